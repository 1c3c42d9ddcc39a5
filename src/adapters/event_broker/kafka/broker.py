"""Apache Kafka, through aiokafka.

aiokafka reports each of its own retries as an ERROR, many in a second while a broker is away: give its logger
(``aiokafka``) the level CRITICAL. Nothing is lost with that: what keeps us from working leaves this driver as
`Unavailable` with its reason, or is logged as ``crossdock.event_broker``.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final

from adapters.event_broker.kafka.cluster import KafkaCluster
from adapters.event_broker.kafka.connection import Access, Farewells, File, Kept, end_client
from adapters.event_broker.kafka.membership import make_consumer
from adapters.event_broker.kafka.publisher import KafkaPublisher, end_producer, make_producer
from adapters.event_broker.kafka.subscription import KafkaSubscription
from ports.event_broker import EventBroker, Outcome
from ports.message import Message

STOP_SECONDS: Final = 5.0
BROKERS_OWN: Final = -1


class KafkaEventBroker(EventBroker):
    """Carries messages in topics of Kafka: the record key is the subject, headers are the attributes.

    ``seconds`` is the deadline of each call. ``security_protocol`` is PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL,
    ``sasl_mechanism`` PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; without ``ca_file`` the system's authorities are trusted.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        partitions: int,
        topic_prefix: str = "",
        replication_factor: int = BROKERS_OWN,
        security_protocol: str = "PLAINTEXT",
        sasl_mechanism: str = "PLAIN",
        username: str | None = None,
        password: str | None = None,
        ca_file: File | None = None,
        certificate_file: File | None = None,
        key_file: File | None = None,
        seconds: float = 10.0,
    ) -> None:
        self._access = Access(
            servers,
            security_protocol=security_protocol,
            sasl_mechanism=sasl_mechanism,
            username=username,
            password=password,
            ca_file=ca_file,
            certificate_file=certificate_file,
            key_file=key_file,
        )
        self._prefix = topic_prefix
        self._seconds = seconds
        self._farewells = Farewells()
        self._cluster = KafkaCluster(
            Kept(partial(self._access.client, request_seconds=seconds), end_client, self._farewells),
            partitions=partitions,
            replication_factor=replication_factor,
            seconds=seconds,
        )
        self._publisher = KafkaPublisher(
            Kept(partial(make_producer, self._access, seconds=seconds), end_producer, self._farewells),
            self._find,
            prefix=topic_prefix,
            seconds=seconds,
        )
        self._groups: defaultdict[str, set[str]] = defaultdict(set)  # that were declared, by topic
        self._subscriptions: set[KafkaSubscription] = set()

    async def start(self) -> None:
        self._cluster.open()
        self._publisher.open()

    async def stop(self) -> None:
        subscriptions, self._subscriptions = self._subscriptions, set()
        await asyncio.gather(*(subscription.close() for subscription in subscriptions))
        await self._publisher.close()
        await self._cluster.close()
        await self._farewells.finish(STOP_SECONDS)

    async def identity(self) -> str:
        return f"kafka-{await self._cluster.identity()}"

    async def declare(self, topics: Sequence[str], group: str) -> None:
        for topic in topics:
            self._groups[topic].add(group)
        await self._cluster.declare(self._names(topics), self._prefix + group)

    async def missing(self, topics: Sequence[str], group: str) -> Sequence[str]:  # noqa: ARG002 - the port's
        return await self._cluster.missing(self._names(topics))

    async def publish(self, messages: Sequence[Message]) -> Sequence[Outcome]:
        return await self._publisher.publish(messages)

    def subscribe(self, topics: Sequence[str], group: str) -> KafkaSubscription:
        subscription = KafkaSubscription(
            self._cluster,
            partial(make_consumer, self._access, self._prefix + group),
            self._farewells,
            self._names(topics),
            self._prefix + group,
            prefix=self._prefix,
            seconds=self._seconds,
        )
        self._subscriptions = {each for each in self._subscriptions if not each.is_over} | {subscription}
        return subscription

    async def backlog(self, topics: Sequence[str], group: str) -> int:
        return await self._cluster.backlog(self._names(topics), self._prefix + group)

    async def _find(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many partitions each topic has; one that was declared and is gone is made again."""
        found = await self._cluster.partitions(self._names(topics))
        for topic in topics:
            if self._prefix + topic not in found:
                for group in self._groups.get(topic, ()):
                    await self._cluster.declare([self._prefix + topic], self._prefix + group)
        if len(found) < len(topics):
            found = await self._cluster.partitions(self._names(topics))
        return {topic.removeprefix(self._prefix): number for topic, number in found.items()}

    def _names(self, topics: Collection[str]) -> list[str]:
        return sorted({self._prefix + topic for topic in topics})
