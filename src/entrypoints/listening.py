"""Sockets that a process listens on."""

import socket


class StartError(Exception):
    """The process cannot start; the message says why and what to do."""


def listen(host: str, port: int, *, variable: str) -> socket.socket:
    """A socket that listens; `StartError` when that cannot be, with the ``variable`` to choose another port by."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        why = error.strerror or str(error)
        raise StartError(
            f"cannot listen on {host} port {port}: {why}. Choose another with {variable}=…, or {variable}=0."
        ) from error


def address_of(listener: socket.socket) -> str:
    """Where it can be asked: ``http://127.0.0.1:8000``."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
