"""TCP ports on loopback: which are taken, by whom, and which are free for long."""

import random
import socket
from pathlib import Path

HOST = "127.0.0.1"
LISTENS = "0A"  # the state in /proc/net/tcp
FIRST_PRIVATE = 22000  # above those of the standing servers, see `addresses`

_given: set[int] = set()


def is_taken(port: int) -> bool:
    """Whether a server could not listen there; connections that are still closing are no hindrance."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
        return False


def free_ports(count: int) -> list[int]:
    """Ports that a server may have for itself, also while it is away for a restart.

    They are below those that the system gives to outgoing connections, so none of these can sit on one meanwhile.
    """
    span = Path("/proc/sys/net/ipv4/ip_local_port_range")
    end = int(span.read_text().split()[0]) if span.exists() else 32768
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(FIRST_PRIVATE, max(end, FIRST_PRIVATE + 1000))  # noqa: S311 it is not a secret
        if port not in _given and not is_taken(port):
            _given.add(port)
            found.append(port)
    return found


def holder(port: int) -> str:
    """Who listens there, as far as we may see it."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[3] == LISTENS and row[1].endswith(f":{port:04X}")}
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(descriptor.readlink()) in sockets:
                process = descriptor.parents[1]
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
        except OSError:  # it has ended, or is not ours to look into
            continue
    return "a process of somebody else"
