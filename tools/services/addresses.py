"""Where the standing servers are: on fixed ports of loopback, below those that outgoing connections are given.

There is one set for each user of a machine, whichever checkout started it. SERVICES_PORT_SHIFT=… moves the ports, for a
second set beside it.
"""

import os
import tempfile
from pathlib import Path
from typing import Final

from tools.services.ports import HOST
from tools.services.probes import listens

SHIFT: Final = int(os.environ.get("SERVICES_PORT_SHIFT") or 0)

# In each row the first is where the server is looked for.
PORTS: Final = {
    server: {use: port + SHIFT for use, port in ports.items()}
    for server, ports in {
        "postgresql": {"sql": 15432},
        "kafka": {"plain": 19092, "controller": 19093, "secure": 19094},
        "rabbitmq": {"amqp": 15670, "amqps": 15671, "management": 15672, "epmd": 14369, "nodes": 15673},
        "redis": {"redis": 16379},
        "memcached": {"memcached": 21211},
        "greenmail": {"smtp": 13025, "smtps": 13465, "imap": 13143, "api": 13080},
    }.items()
}


def _open_to_others(folder: Path) -> bool:
    return all(place.stat().st_mode & 0o001 for place in (folder, *folder.parents))


# PostgreSQL refuses to run as root, and has to reach its data as another user.
_PLACE = next(filter(_open_to_others, [Path(tempfile.gettempdir()), Path("/var/tmp")]), Path("/tmp"))  # noqa: S108

FOLDER: Final = _PLACE / f"crossdock-services-{os.getuid()}{f'-{SHIFT}' if SHIFT else ''}"
CERTIFICATES: Final = FOLDER / "tls"
CA_FILE: Final = CERTIFICATES / "ca.pem"

USER: Final = "crossdock"
SECRET: Final = "crossdock-secret"  # noqa: S105 of Kafka's listener on loopback

POSTGRESQL: Final = f"postgresql://crossdock:crossdock@{HOST}:{PORTS['postgresql']['sql']}/crossdock"
KAFKA: Final = f"{HOST}:{PORTS['kafka']['plain']}"
KAFKA_SECURE: Final = f"{HOST}:{PORTS['kafka']['secure']}"  # SASL_SSL: PLAIN or SCRAM-SHA-512 as USER with SECRET
RABBITMQ: Final = f"amqp://guest:guest@{HOST}:{PORTS['rabbitmq']['amqp']}/"
RABBITMQ_SECURE: Final = f"amqps://guest:guest@{HOST}:{PORTS['rabbitmq']['amqps']}/"
RABBITMQ_MANAGEMENT: Final = f"http://guest:guest@{HOST}:{PORTS['rabbitmq']['management']}/"
REDIS: Final = f"redis://{HOST}:{PORTS['redis']['redis']}/0"
MEMCACHED: Final = f"{HOST}:{PORTS['memcached']['memcached']}"
SMTP: Final = f"smtp://{HOST}:{PORTS['greenmail']['smtp']}"
SMTPS: Final = f"smtps://{HOST}:{PORTS['greenmail']['smtps']}"
IMAP: Final = f"imap://{HOST}:{PORTS['greenmail']['imap']}"
MAILBOX: Final = f"http://{HOST}:{PORTS['greenmail']['api']}"


def reachable(name: str) -> bool:
    """Whether somebody listens where the standing server of this name is."""
    return listens(next(iter(PORTS[name].values())), seconds=1)
