"""A server that only answers: what the load generator reaches here is the most that it can measure."""

import asyncio
import socket
import sys
from typing import cast

import uvloop

_ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"ok":true}'


class _Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        # A request of the generator comes in one piece, and the next one only after the answer.
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=256) as listener:
        server = await asyncio.get_running_loop().create_server(_Answering, sock=listener)
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
