"""A small container, made by hand: real services over a memory store, and parts that fail when a test says so."""

from collections.abc import Sequence
from datetime import timedelta

from adapters.event_broker.memory import MemoryEventBroker
from adapters.identity.anyone import Anyone
from adapters.ids import UuidV7Ids
from adapters.persistence.memory import MemoryPersistence
from domain.delivery.dead_letters import DeadLetters
from domain.delivery.pace import Pace
from domain.delivery.unit_of_work import Recording
from domain.delivery.whereabouts import Whereabouts
from domain.model.weather import City, Weather
from domain.services.create_order import CreateOrder
from domain.services.get_order import GetOrder
from domain.services.get_user import GetUser
from domain.services.get_weather import GetWeather
from domain.services.list_orders import ListOrders
from domain.services.ownership import Ownership
from domain.services.register_user import RegisterUser
from entrypoints.backlog import Backlog
from entrypoints.flow_watch import FlowWatch
from entrypoints.health import Health
from entrypoints.metrics import deliveries, outside
from entrypoints.metrics.health import checks
from entrypoints.metrics.process import process
from entrypoints.metrics.registry import Metrics
from entrypoints.settings import Settings
from ports.deliveries import Delivery
from ports.event_broker import Outcome
from ports.identity import Identity
from ports.outside import OutsideCounts
from ports.persistence import Traffic, Write
from ports.task_queue import TaskQueue
from ports.weather import WeatherProvider
from tests.clock import ManualClock


class BreakablePersistence(MemoryPersistence):
    """A memory store whose commits raise what a test puts into ``breaks_with``."""

    breaks_with: Exception | None = None

    async def commit(self, writes: Sequence[Write], *, traffic: Traffic = Traffic.REQUEST, seconds: float = 4) -> None:
        if self.breaks_with is not None:
            raise self.breaks_with
        await super().commit(writes, traffic=traffic, seconds=seconds)


class ToldWeather(WeatherProvider):
    """Says what it was told to say."""

    def __init__(self, says: Weather | Exception) -> None:
        self.says = says
        self.asked: list[str] = []

    async def current(self, city: City) -> Weather:
        self.asked.append(city.name)
        if isinstance(self.says, Exception):
            raise self.says
        return self.says


class IdleTaskQueue(TaskQueue):
    """Takes everything and does nothing."""

    async def start(self) -> None:
        return

    async def stop(self) -> None:
        return

    async def enqueue(self, tasks: Sequence[Delivery]) -> Sequence[Outcome]:
        return [None for _ in tasks]


class HoldingTaskQueue(IdleTaskQueue):
    """Keeps a diary of when it was told to hold and to release."""

    def __init__(self) -> None:
        self.diary: list[str] = []

    def hold(self) -> str:
        self.diary.append("hold")
        return "what was held"

    async def release(self, held: str) -> None:
        self.diary.append(f"release {held}")


WELL = {"status": "ready"}


class ToldHealth:
    """As healthy as it was told to be."""

    def __init__(self) -> None:
        self.health = Health("ready", {"storage": dict.fromkeys(("cause", "detail", "cure", "since"), "") | WELL})

    async def check(self) -> Health:
        return self.health


class Parts:
    """What the web application asks a container for."""

    def __init__(self) -> None:
        self.time = ManualClock()
        self._pace = Pace(self.time)
        self.ids = UuidV7Ids(self.time)
        self.store = BreakablePersistence(self.time)
        self.ownership = Ownership(self.store.users)
        self.caller: Identity = Anyone()
        self.queue: TaskQueue = IdleTaskQueue()
        self.well_being = ToldHealth()
        self.outside = OutsideCounts()
        self.provider = ToldWeather(
            Weather(
                city="Reykjavík",
                country="IS",
                observed_at=self.time.now() - timedelta(minutes=5),
                temperature_c=-1.5,
                feels_like_c=-6.0,
                humidity_percent=81,
                pressure_hpa=1003.0,
                wind_speed_m_s=7.2,
                conditions="light snow",
                provider="sample",
                retrieved_at=self.time.now(),
            )
        )
        self.chosen = Settings.load({"DATABASE_URL": "postgresql://ann:hunter2@db/crossdock"}, None)
        self.recording = Recording(self.store, self.time, partitions=12, performs_as=None)
        broker = MemoryEventBroker(self.ids, partitions=12)
        backlog = Backlog(self.store, broker, self.time, topics=["order_events"], group="crossdock")
        self.flow = FlowWatch(self.store.ledger, backlog, self.time)
        self.told = Metrics(
            lambda: deliveries.counted(self.recording.counts),
            lambda: deliveries.waiting(backlog),
            lambda: outside.outside(self.outside),
            lambda: checks(self.well_being.check),
            process,
        )

    def register_user(self) -> RegisterUser:
        return RegisterUser(self.recording, self.time, self.ids)

    def get_user(self) -> GetUser:
        return GetUser(self.store.users)

    def create_order(self) -> CreateOrder:
        return CreateOrder(self.recording, self.time, self.ids, self.ownership)

    def get_order(self) -> GetOrder:
        return GetOrder(self.store.orders, self.ownership)

    def list_orders(self) -> ListOrders:
        return ListOrders(self.store.orders, self.ownership)

    def get_weather(self) -> GetWeather:
        return GetWeather(self.provider)

    def persistence(self) -> BreakablePersistence:
        return self.store

    def task_queue(self) -> TaskQueue:
        return self.queue

    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.store, self.time)

    def whereabouts(self) -> Whereabouts:
        return Whereabouts(self.store, group="crossdock")

    def flow_watch(self) -> FlowWatch:
        return self.flow

    def settings(self) -> Settings:
        return self.chosen

    def process(self) -> str:
        return "host-1:4711"

    def outside_counts(self) -> OutsideCounts:
        return self.outside

    def pace(self) -> Pace:
        return self._pace

    def clock(self) -> ManualClock:
        return self.time

    def health(self) -> ToldHealth:
        return self.well_being

    def metrics(self) -> Metrics:
        return self.told

    def identity(self) -> Identity:
        return self.caller
