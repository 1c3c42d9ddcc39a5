"""The whole wiring: which adapter fills which port, and who gets what.

The only file that imports adapters, each inside the function that builds it: what was not chosen is never imported.
"""

import os
import secrets
import socket
from typing import TYPE_CHECKING, Any, cast

from dependency_injector import containers, providers

if TYPE_CHECKING:
    from adapters.manual_clock import ManualClock as ManualClock  # noqa: PLC0414 - for whoever imports it from here

from domain.delivery.attempts import Attempts
from domain.delivery.dead_letters import DeadLetters
from domain.delivery.pace import Pace
from domain.delivery.perform import Perform
from domain.delivery.receive import Receive
from domain.delivery.relay import EventRelay, TaskRelay
from domain.delivery.retry import Retry
from domain.delivery.shares import Shares
from domain.delivery.unit_of_work import Recording
from domain.model import tasks
from domain.model.events import EVENT_TYPES, OrderCreated
from domain.services.confirm_order import ConfirmOrder
from domain.services.create_order import CreateOrder
from domain.services.get_order import GetOrder
from domain.services.get_user import GetUser
from domain.services.get_weather import GetWeather
from domain.services.list_orders import ListOrders
from domain.services.register_user import RegisterUser
from domain.services.send_order_confirmation import SendOrderConfirmation
from domain.services.send_welcome_email import SendWelcomeEmail
from entrypoints.health import HealthCheck
from entrypoints.settings import Settings
from entrypoints.settings_ports import OpenMeteo, OpenWeather, SqlitePersistence
from ports.cache import Cache
from ports.clock import Clock
from ports.event_broker import EventBroker
from ports.ids import Ids
from ports.mailer import Mailer
from ports.persistence import Persistence
from ports.task_queue import TaskQueue
from ports.weather import WeatherProvider

TASKS_WAITING_MOST = 10_000  # some 15 MB; beyond, tasks wait in their rows alone
TOPICS = tuple(sorted({event.topic for event in EVENT_TYPES}))


# --- adapters ---------------------------------------------------------------------------------------------------------


def _system_clock() -> Clock:
    from adapters.clock import SystemClock

    return SystemClock()


def _ids(clock: Clock) -> Ids:
    from adapters.ids import UuidV7Ids

    return UuidV7Ids(clock)


def _sqlite(settings: Settings, clock: Clock) -> Persistence:
    from adapters.persistence.sql.sqlite import SqlitePersistence as Adapter

    return Adapter(cast("SqlitePersistence", settings.persistence).path, clock)


def _memory_persistence(clock: Clock) -> Persistence:
    from adapters.persistence.memory import MemoryPersistence

    return MemoryPersistence(clock)


def _memory_broker(settings: Settings, ids: Ids) -> EventBroker:
    from adapters.event_broker.memory import MemoryEventBroker

    return MemoryEventBroker(ids, partitions=settings.event_broker.partitions)


def _background(settings: Settings, perform: Perform) -> TaskQueue:
    from adapters.task_queue.background import BackgroundTaskQueue

    return BackgroundTaskQueue(perform, most_waiting=TASKS_WAITING_MOST, grace=settings.server.grace / 2)


def _memory_task_queue(perform: Perform) -> TaskQueue:
    from adapters.task_queue.memory import MemoryTaskQueue

    return MemoryTaskQueue(perform)


def _memory_cache(clock: Clock) -> Cache:
    from adapters.cache.memory import MemoryCache

    return MemoryCache(clock)


def _log_mailer() -> Mailer:
    from adapters.mailer.log import LogMailer

    return LogMailer()


def _memory_mailer() -> Mailer:
    from adapters.mailer.memory import MemoryMailer

    return MemoryMailer()


def _http(clock: Clock) -> Any:
    from adapters.http_client import HttpClient

    return HttpClient(clock)


def _openweather(settings: Settings, http: Any, clock: Clock) -> WeatherProvider:
    from adapters.weather.openweather import OpenWeather as Adapter

    chosen = cast("OpenWeather", settings.weather)
    key = None if chosen.key is None else chosen.key.get_secret_value()
    return Adapter(url=chosen.url, api_key=key, http=http, clock=clock)


def _open_meteo(settings: Settings, http: Any, cache: Cache, clock: Clock) -> WeatherProvider:
    from adapters.weather.open_meteo import OpenMeteo as Adapter

    chosen = cast("OpenMeteo", settings.weather)
    return Adapter(
        geocoding_url=chosen.geocoding_url, forecast_url=chosen.forecast_url, http=http, cache=cache, clock=clock
    )


def _sample(clock: Clock) -> WeatherProvider:
    from adapters.weather.sample import SampleWeather

    return SampleWeather(clock=clock)


def _resilient(settings: Settings, provider: WeatherProvider, cache: Cache, clock: Clock) -> WeatherProvider:
    from adapters.weather.resilient import ResilientWeather

    chosen = settings.weather
    return ResilientWeather(provider, name=chosen.backend, cache=cache, clock=clock, fresh_seconds=chosen.ttl)


# --- policy -----------------------------------------------------------------------------------------------------------


def _process_name() -> str:
    """Unique to this run of this process, since it owns leases and claims."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _attempts(settings: Settings) -> Attempts:
    return Attempts(most=settings.delivery.max_attempts, delay=settings.delivery.retry_delay)


def _recording(settings: Settings, persistence: Persistence, clock: Clock, process: str) -> Recording:
    performs_here = settings.task_queue.backend == "background"
    return Recording(
        persistence,
        clock,
        partitions=settings.event_broker.partitions,
        performs_as=process if performs_here else None,
    )


def _event_relay(
    settings: Settings,
    persistence: Persistence,
    broker: EventBroker,
    clock: Clock,
    process: str,
    reactions: dict[Any, Any],
    pace: Pace,
) -> EventRelay:
    partitions = settings.event_broker.partitions
    return EventRelay(
        persistence,
        broker,
        Shares(persistence.leases, clock, role="relay", member=process, count=partitions),
        clock,
        kept_types=[event.type for event in reactions],
        topics=TOPICS,
        group=settings.event_broker.consumer_group,
        pace=pace,
    )


def _by_backend(
    port: str, settings: providers.Provider[Settings], **choices: providers.Provider[Any]
) -> providers.Selector:
    return providers.Selector(providers.Callable(lambda chosen: getattr(chosen, port).backend, settings), **choices)


class Container(containers.DeclarativeContainer):
    """One for each process, or for each test."""

    settings = providers.Dependency(instance_of=Settings)
    process = providers.Singleton(_process_name)
    clock = providers.Singleton(_system_clock)
    ids = providers.Singleton(_ids, clock)

    persistence = _by_backend(
        "persistence",
        settings,
        sqlite=providers.Singleton(_sqlite, settings, clock),
        memory=providers.Singleton(_memory_persistence, clock),
    )
    event_broker = _by_backend(
        "event_broker",
        settings,
        memory=providers.Singleton(_memory_broker, settings, ids),
    )
    cache = _by_backend("cache", settings, memory=providers.Singleton(_memory_cache, clock))
    mailer = _by_backend(
        "mailer",
        settings,
        log=providers.Singleton(_log_mailer),
        memory=providers.Singleton(_memory_mailer),
    )
    http = providers.Singleton(_http, clock)
    weather_provider = _by_backend(
        "weather",
        settings,
        openweather=providers.Singleton(_openweather, settings, http, clock),
        open_meteo=providers.Singleton(_open_meteo, settings, http, cache, clock),
        sample=providers.Singleton(_sample, clock),
    )
    weather = providers.Singleton(_resilient, settings, weather_provider, cache, clock)

    attempts = providers.Singleton(_attempts, settings)
    pace = providers.Singleton(Pace, clock)
    unit_of_work = providers.Singleton(_recording, settings, persistence, clock, process)

    send_welcome_email = providers.Singleton(SendWelcomeEmail, persistence.provided.users, mailer)
    send_order_confirmation = providers.Singleton(
        SendOrderConfirmation, persistence.provided.users, persistence.provided.orders, mailer
    )
    work = providers.Dict(
        {tasks.SendWelcomeEmail: send_welcome_email, tasks.SendOrderConfirmation: send_order_confirmation}
    )
    perform = providers.Singleton(Perform, persistence, clock, work, process=process, attempts=attempts, pace=pace)
    task_queue = _by_backend(
        "task_queue",
        settings,
        background=providers.Singleton(_background, settings, perform),
        memory=providers.Singleton(_memory_task_queue, perform),
    )

    confirm_order = providers.Singleton(ConfirmOrder, clock, ids)
    reactions = providers.Dict({OrderCreated: confirm_order})
    consumer_group = providers.Callable(lambda chosen: chosen.event_broker.consumer_group, settings)
    receive = providers.Singleton(
        Receive,
        unit_of_work,
        event_broker,
        clock,
        ids,
        reactions,
        topics=providers.Object(TOPICS),
        group=consumer_group,
        attempts=attempts,
        pace=pace,
    )
    retry = providers.Singleton(
        Retry, unit_of_work, clock, reactions, group=consumer_group, process=process, attempts=attempts
    )
    event_relay = providers.Singleton(
        _event_relay, settings, persistence, event_broker, clock, process, reactions, pace
    )
    task_relay = providers.Singleton(TaskRelay, persistence, task_queue, clock, attempts=attempts, pace=pace)
    dead_letters = providers.Singleton(DeadLetters, persistence, clock)

    register_user = providers.Singleton(RegisterUser, unit_of_work, clock, ids)
    get_user = providers.Singleton(GetUser, persistence.provided.users)
    create_order = providers.Singleton(CreateOrder, unit_of_work, clock, ids)
    get_order = providers.Singleton(GetOrder, persistence.provided.orders)
    list_orders = providers.Singleton(ListOrders, persistence.provided.orders)
    get_weather = providers.Singleton(GetWeather, weather)

    health = providers.Singleton(HealthCheck, persistence, event_broker, clock)


def build(settings: Settings) -> Container:
    """The container over these settings; nothing is started, and no adapter imported before it is asked for."""
    container = Container(settings=providers.Object(settings))
    container.check_dependencies()
    return container


def manual_clock() -> "ManualClock":
    """A clock for tests, to override ``clock`` with."""
    from adapters.manual_clock import ManualClock

    return ManualClock()


def migrate_database(settings: Settings) -> bool:
    """Bring the chosen database to the newest schema; whether there was anything to do."""
    if not isinstance(settings.persistence, SqlitePersistence):
        return False
    from adapters.persistence.sql.migrations.upgrade import upgrade_sqlite

    return upgrade_sqlite(settings.persistence.path)
