"""Servers that quote what they were told: the answers that most easily carry a secret into an error."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread


class _Echo(socketserver.BaseRequestHandler):
    """Gives back every byte, to whoever speaks whatever protocol."""

    def handle(self) -> None:
        self.request.settimeout(5)
        try:
            while data := self.request.recv(65_536):
                self.server.told.append(data)  # type: ignore[attr-defined] # it is one of ours
                self.request.sendall(data)
        except OSError:
            return


class _Mail(socketserver.StreamRequestHandler):
    """Speaks SMTP as far as the password, and refuses it with a line that quotes it."""

    timeout = 5

    def handle(self) -> None:
        try:
            self.wfile.write(b"220 mail.example ESMTP\r\n")
            while line := self.rfile.readline(4_096).rstrip():
                self.server.told.append(line)  # type: ignore[attr-defined] # it is one of ours
                greeting = line.upper().startswith(b"EHLO")
                self.wfile.write(
                    b"250-mail.example\r\n250 AUTH PLAIN\r\n" if greeting else b"535 5.7.8 " + line + b"\r\n"
                )
        except OSError:
            return


class Server(socketserver.ThreadingTCPServer):
    """Listens on a free port of 127.0.0.1, and notes what it is told."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, handler: type[socketserver.BaseRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.told: list[bytes] = []

    @property
    def port(self) -> int:
        port: int = self.server_address[1]
        return port


@contextmanager
def quoting_servers() -> Iterator[tuple[Server, Server]]:
    """One for every protocol in which the client speaks first, and one for mail."""
    servers = Server(_Echo), Server(_Mail)
    threads = [Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}) for server in servers]
    for thread in threads:
        thread.start()
    try:
        yield servers
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            thread.join(10)
            server.server_close()
