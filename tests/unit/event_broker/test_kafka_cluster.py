"""What we ask the cluster while its servers come and go, of a server that says what it is told to."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest
from aiokafka.protocol.admin import ApiVersionResponse_v0  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataResponse_v5  # type: ignore[import-untyped]

from adapters.event_broker.kafka.broker import KafkaEventBroker
from ports.errors import Unavailable

HOST: Final = "127.0.0.1"
METADATA, API_VERSIONS = 3, 18


class Cluster:
    """Of one node, which takes connections before the cluster knows it."""

    def __init__(self) -> None:
        self.knows_its_node = False
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = struct.unpack("!i", await reader.readexactly(4))
                key, _, correlation = struct.unpack("!hhi", (await reader.readexactly(size))[:8])
                answer = struct.pack("!i", correlation) + self._answer(key)
                writer.write(struct.pack("!i", len(answer)) + answer)
        except asyncio.IncompleteReadError:
            writer.close()

    def _answer(self, key: int) -> bytes:
        answers = {
            API_VERSIONS: ApiVersionResponse_v0(0, [(METADATA, 0, 5), (API_VERSIONS, 0, 0)]),
            METADATA: MetadataResponse_v5(
                0, [(1, HOST, self.port, None)] if self.knows_its_node else [], "the-cluster", 1, []
            ),
        }
        return bytes(answers[key].encode())


@asynccontextmanager
async def a_cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    async with await asyncio.start_server(cluster.serve, HOST, 0) as server:
        cluster.port = server.sockets[0].getsockname()[1]
        yield cluster


async def test_a_server_that_did_not_know_its_cluster_yet_is_asked_anew() -> None:
    """Kafka answers some moments before it is part of its cluster: nobody is to wait for minutes because of them."""
    async with a_cluster() as cluster:
        broker = KafkaEventBroker([f"{HOST}:{cluster.port}"], partitions=1, seconds=3)
        await broker.start()
        with pytest.raises(Unavailable, match="no broker"):
            await broker.identity()
        cluster.knows_its_node = True

        identity = await broker.identity()

        await broker.stop()
    assert identity == "kafka-the-cluster"
