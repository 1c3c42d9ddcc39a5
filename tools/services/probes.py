"""Questions that only a server of the right kind, and ready for work, answers well. Each is bounded."""

import base64
import http.client
import socket

from tools.services.ports import HOST

SECONDS = 2.0


def listens(port: int, seconds: float = SECONDS) -> bool:
    """Whether anybody takes a connection there."""
    try:
        with socket.create_connection((HOST, port), seconds):
            return True
    except OSError:
        return False


def hears(port: int, question: bytes, length: int) -> bytes:
    """The first bytes of what is answered; fewer, or none, when that is all."""
    heard = b""
    try:
        with socket.create_connection((HOST, port), SECONDS) as connection:
            connection.settimeout(SECONDS)
            connection.sendall(question)
            while len(heard) < length and (more := connection.recv(length - len(heard))):
                heard += more
    except OSError:
        pass
    return heard


def says(port: int, question: bytes, answer: bytes) -> bool:
    """Whether the answer to some bytes begins with others."""
    return hears(port, question, len(answer)) == answer


def gets(port: int, path: str, login: str = "") -> bool:
    """Whether a GET is answered 200."""
    connection = http.client.HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
        connection.request("GET", path, headers=headers)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
