"""What is asked of the cluster as a whole: which one it is, its topics, and where a group stands in them."""

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaClient, TopicPartition  # type: ignore[import-untyped]
from aiokafka import errors as kafka
from aiokafka.client import CoordinationType  # type: ignore[import-untyped]
from aiokafka.protocol.admin import CreatePartitionsRequest, CreateTopicsRequest  # type: ignore[import-untyped]
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest  # type: ignore[import-untyped]
from aiokafka.protocol.coordination import FindCoordinatorRequest  # type: ignore[import-untyped]
from aiokafka.protocol.metadata import MetadataRequest  # type: ignore[import-untyped]
from aiokafka.protocol.offset import OffsetRequest  # type: ignore[import-untyped]

from adapters.event_broker.kafka.connection import RETRY_BACKOFF, Kept
from adapters.event_broker.kafka.errors import kafka_errors
from ports.errors import Rejected, Unavailable

log = logging.getLogger("crossdock.event_broker")

IDENTITY_FRESH: Final = 3.0  # seconds until the cluster is asked again which one it is
IDENTITY_SECONDS: Final = 2.5  # at most, to be told

EARLIEST: Final = -2
LATEST: Final = -1
COMMITTED: Final = 1  # isolation: what a transaction has not committed is not there yet
NOBODY: Final = -1  # the generation of who commits for a group without being a member

Answer = TypeVar("Answer")
Offsets = Mapping[TopicPartition, int]


class KafkaCluster:
    """Speaks for this process to the cluster. Topics and groups are named as Kafka knows them, with their prefix."""

    def __init__(
        self, clients: Kept[AIOKafkaClient], *, partitions: int, replication_factor: int, seconds: float
    ) -> None:
        self._clients = clients
        self._partitions = partitions
        self._replication_factor = replication_factor
        self._seconds = seconds
        self._identity = ("", float("-inf"))
        self._coordinators: dict[str, int] = {}
        self._placed: set[tuple[str, TopicPartition]] = set()

    def open(self) -> None:
        self._clients.open()

    async def close(self) -> None:
        self._forget()
        await self._clients.close()

    async def identity(self) -> str:
        """The cluster's id, at most a few seconds old."""
        now = asyncio.get_running_loop().time()
        identity, asked_at = self._identity
        if now - asked_at > IDENTITY_FRESH:
            async with kafka_errors("asked which cluster it is", seconds=IDENTITY_SECONDS):
                identity = (await self._ask(MetadataRequest([]))).cluster_id
            if not identity:
                raise Unavailable("Kafka does not tell its cluster id")
            self._identity = (identity, now)
        return identity

    async def partitions(self, topics: Collection[str]) -> Mapping[str, int]:
        """How many each topic has; a topic that is not there is left out."""
        async with kafka_errors("asked for topics", seconds=self._seconds):
            return {topic: len(leaders) for topic, leaders in (await self._leaders(topics)).items()}

    async def missing(self, topics: Collection[str]) -> Sequence[str]:
        """The topics that are not there; `Rejected` when one has another number of partitions."""
        found = await self.partitions(topics)
        for topic, number in found.items():
            if number != self._partitions:
                raise _other_number(topic, number, self._partitions)
        return sorted(set(topics) - found.keys())

    async def ends(self, topics: Collection[str]) -> Offsets:
        """The offset that the next message of each partition gets, as far as topics are there."""
        async with kafka_errors("asked for the ends of topics", seconds=IDENTITY_SECONDS):
            return await _steadily(lambda: self._ends(topics))

    async def declare(self, topics: Collection[str], group: str) -> None:
        """Make the topics that are missing, and give the group its place in each."""
        async with kafka_errors("declaring topics", seconds=self._seconds):
            await _steadily(lambda: self._declare(topics, group))

    async def backlog(self, topics: Collection[str], group: str) -> int:
        """How many messages are after the group's place; where it has none, all that are there."""
        async with kafka_errors("asked for the backlog", seconds=self._seconds):
            return await _steadily(lambda: self._backlog(topics, group))

    async def _ends(self, topics: Collection[str]) -> Offsets:
        return await self._offsets(await self._leaders(topics), LATEST)

    async def _declare(self, topics: Collection[str], group: str) -> None:
        await self._give_place(group, await self._present(topics))

    async def _backlog(self, topics: Collection[str], group: str) -> int:
        leaders = await self._leaders(topics)
        begins, ends, places = await asyncio.gather(
            self._offsets(leaders, EARLIEST), self._offsets(leaders, LATEST), self._places(group, _all_of(leaders))
        )
        # What has expired is before the beginning, and nobody's backlog.
        return sum(max(0, end - max(places.get(each, 0), begins.get(each, 0))) for each, end in ends.items())

    # Topics

    async def _present(self, topics: Collection[str]) -> Mapping[str, Mapping[int, int]]:
        """The leaders of the topics' partitions, once all are there as they should be."""
        wanted = set(topics)
        while True:
            leaders = await self._leaders(wanted)
            if missing := wanted - leaders.keys():
                await self._create(missing)
            elif small := [topic for topic, each in leaders.items() if len(each) < self._partitions]:
                await self._grow(small, leaders)
            elif all(node >= 0 for each in leaders.values() for node in each.values()):
                break
            await asyncio.sleep(RETRY_BACKOFF / 4)  # what is new takes a moment to have leaders
        for topic, each in leaders.items():
            if len(each) != self._partitions:
                raise _other_number(topic, len(each), self._partitions)
        return leaders

    async def _create(self, topics: Iterable[str]) -> None:
        rows: list[Any] = [(topic, self._partitions, self._replication_factor, [], []) for topic in sorted(topics)]
        for row in (await self._ask(CreateTopicsRequest(rows, int(self._seconds * 1000), False))).topic_errors:
            topic, code, words = row[0], row[1], row[2] if len(row) > 2 else ""
            if kafka.for_code(code) not in {kafka.NoError, kafka.TopicAlreadyExistsError}:
                raise kafka.for_code(code)(f"topic {topic!r}: {words}")
            log.info("made the topic %s with %d partitions", topic, self._partitions)

    async def _grow(self, topics: Sequence[str], leaders: Mapping[str, Mapping[int, int]]) -> None:
        """Give empty topics their partitions: a broker or somebody else's client may have made them by accident."""
        those = {topic: leaders[topic] for topic in topics}
        begins, ends = await self._offsets(those, EARLIEST), await self._offsets(those, LATEST)
        for topic in topics:
            if any(begins.get(each) != end for each, end in ends.items() if each.topic == topic):
                raise _other_number(topic, len(leaders[topic]), self._partitions)
        rows = [(topic, (self._partitions, None)) for topic in topics]
        for row in (await self._ask(CreatePartitionsRequest(rows, int(self._seconds * 1000), False))).topic_errors:
            topic, code, words = row
            # InvalidPartitionsError: another process was first
            if kafka.for_code(code) not in {kafka.NoError, kafka.InvalidPartitionsError}:
                raise kafka.for_code(code)(f"topic {topic!r}: {words}")
            log.info("the empty topic %s has %d partitions now", topic, self._partitions)

    async def _leaders(self, topics: Collection[str]) -> dict[str, dict[int, int]]:
        """The node that leads each partition, -1 when none does."""
        if not topics:
            return {}
        answer = await self._ask(MetadataRequest(sorted(topics), allow_auto_topic_creation=False))
        leaders = {}
        for code, topic, _, partitions in answer.topics:
            error = kafka.for_code(code)
            if error is kafka.NoError:
                leaders[topic] = {row[1]: row[2] for row in partitions}
            elif error not in {kafka.UnknownTopicOrPartitionError, kafka.LeaderNotAvailableError}:
                raise error(f"topic {topic!r}")
        return leaders

    # Places

    async def _give_place(self, group: str, leaders: Mapping[str, Mapping[int, int]]) -> None:
        """Where the group has no place yet, it gets what comes from now on."""
        wanted = _all_of(leaders)
        places = await self._places(group, wanted)
        if new := [each for each in wanted if each not in places]:
            # In this order: what another process publishes once it has seen the group's place is after this end.
            ends = await self._offsets(leaders, LATEST)
            places = await self._places(group, new)
            new = [each for each in new if each not in places]
        if new:
            # A place that we have seen and that is no more has expired, or its topic was made anew: nothing is passed.
            lost = {each for each in new if (group, each) in self._placed}
            begins = await self._offsets(leaders, EARLIEST) if lost else {}
            await self._place(group, {each: begins[each] if each in lost else ends[each] for each in new})
        self._placed.update((group, each) for each in wanted)

    async def _places(self, group: str, partitions: Collection[TopicPartition]) -> Offsets:
        """What the group has committed, where it has."""
        if not partitions:
            return {}
        answer = await self._ask_coordinator(group, OffsetFetchRequest(group, _by_topic(dict.fromkeys(partitions))))
        return {
            TopicPartition(topic, partition): offset
            for topic, rows in answer.topics
            for partition, offset, *_ in rows
            if offset >= 0
        }

    async def _place(self, group: str, offsets: Offsets) -> None:
        rows = _by_topic({each: (offset, "") for each, offset in offsets.items()})
        try:
            await self._ask_coordinator(group, OffsetCommitRequest(group, NOBODY, "", -1, rows))
        except (kafka.UnknownMemberIdError, kafka.IllegalGenerationError, kafka.RebalanceInProgressError):
            # The group has members, and it is for them to commit: they begin at the beginning.
            log.info("the group %s has members already; they give it its place", group)

    async def _offsets(self, leaders: Mapping[str, Mapping[int, int]], which: int) -> Offsets:
        by_node: defaultdict[int, dict[TopicPartition, tuple[int]]] = defaultdict(dict)
        for topic, each in leaders.items():
            for partition, node in each.items():
                if node < 0:
                    raise kafka.LeaderNotAvailableError(f"{topic} {partition}")
                by_node[node][TopicPartition(topic, partition)] = (which,)
        answers = await asyncio.gather(
            *(self._ask(OffsetRequest(-1, COMMITTED, _by_topic(rows)), node) for node, rows in by_node.items())
        )
        offsets = {}
        for topic, rows in (row for answer in answers for row in answer.topics):
            for partition, code, _, offset in rows:
                _check(code, f"{topic} {partition}")
                offsets[TopicPartition(topic, partition)] = offset
        return offsets

    # Asking

    async def _ask_coordinator(self, group: str, request: Any) -> Any:
        """Ask the node that keeps the group's places; who it is may just be changing."""
        while True:
            try:
                if group not in self._coordinators:
                    found = await self._ask(FindCoordinatorRequest(group, int(CoordinationType.GROUP)))
                    _check(found.error_code, f"group {group!r}")
                    self._coordinators[group] = found.coordinator_id
                answer = await self._ask(request, self._coordinators[group])
                _check(getattr(answer, "error_code", 0), f"group {group!r}")
                for topic, rows in answer.topics:
                    for partition, *_, code in rows:
                        _check(code, f"group {group!r}, {topic} {partition}")
            except (
                kafka.GroupCoordinatorNotAvailableError,
                kafka.NotCoordinatorForGroupError,
                kafka.GroupLoadInProgressError,
            ):
                self._coordinators.pop(group, None)
                await asyncio.sleep(RETRY_BACKOFF)
            else:
                return answer

    async def _ask(self, request: Any, node: int | None = None) -> Any:
        """Ask this node, or any: when it is not ready, another."""
        unready: set[int] = set()
        while True:
            client = await self._clients.get(seconds=self._seconds)
            asked = _any_node(client, unready) if node is None else node
            try:
                return await client.send(asked, request)
            except BaseException as error:
                # No answer came, or it did not come in time: the next question goes by another connection.
                self._forget()
                self._clients.throw_away(client)
                if node is not None or not isinstance(error, kafka.NodeNotReadyError):
                    raise
                unready.add(asked)

    def _forget(self) -> None:
        self._identity = ("", float("-inf"))
        self._coordinators.clear()


async def _steadily(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask again while partitions change their leaders and those come and go; the caller bounds it."""
    while True:
        try:
            return await ask()
        except (
            kafka.NotLeaderForPartitionError,
            kafka.LeaderNotAvailableError,
            kafka.UnknownTopicOrPartitionError,
            kafka.KafkaStorageError,
            kafka.NodeNotReadyError,
        ):
            await asyncio.sleep(RETRY_BACKOFF)


def _any_node(client: AIOKafkaClient, unready: Collection[int]) -> int:
    nodes: set[int] = {each.nodeId for each in client.cluster.brokers()}
    if not nodes - set(unready):
        raise kafka.MetadataEmptyBrokerList("no broker of the cluster is ready")
    return random.choice(sorted(nodes - set(unready)))  # noqa: S311 - shares the work, keeps no secret


def _all_of(leaders: Mapping[str, Mapping[int, int]]) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic, each in leaders.items() for partition in each]


def _by_topic(rows: Mapping[TopicPartition, Any]) -> list[tuple[str, list[Any]]]:
    """As requests want it: by topic, the partitions alone or with what is said of each."""
    by_topic: defaultdict[str, list[Any]] = defaultdict(list)
    for each, said in rows.items():
        by_topic[each.topic].append(each.partition if said is None else (each.partition, *said))
    return list(by_topic.items())


def _check(code: int, what: str) -> None:
    error = kafka.for_code(code)
    if error is not kafka.NoError:
        raise error(what)


def _other_number(topic: str, found: int, wanted: int) -> Rejected:
    return Rejected(
        f"the topic {topic!r} has {found} partitions and CROSSDOCK_PARTITIONS says {wanted}: set it to {found}, or"
        f" delete the topic once all is handled, to have it made with {wanted}"
    )
