"""A server between a worker and its broker, which cuts the connections on which certain bytes are said."""

import asyncio
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class CuttingProxy:
    """It stands for a broker that goes away at this very moment, before it has heard it, and is back at once."""

    def __init__(self, broker_url: str, at: bytes) -> None:
        self._url = urlsplit(broker_url)
        self._at = at
        self.is_cutting = True

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    @property
    def url(self) -> str:
        """Where the broker seems to be."""
        host, port = self._server.sockets[0].getsockname()
        assert self._url.port is not None
        return self._url.geturl().replace(f"{self._url.hostname}:{self._url.port}", f"{host}:{port}")

    async def _carry(self, from_worker: asyncio.StreamReader, to_worker: asyncio.StreamWriter) -> None:
        from_broker, to_broker = await asyncio.open_connection(self._url.hostname, self._url.port)
        there = asyncio.create_task(self._copy(from_worker, to_broker, self._at))
        back = asyncio.create_task(self._copy(from_broker, to_worker, None))
        try:
            await asyncio.wait((there, back), return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            to_broker.close()
            to_worker.close()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, at: bytes | None) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                if at is not None and at in data and self.is_cutting:
                    return
                writer.write(data)
                await writer.drain()
