"""The whole wiring: which adapter fills which port, and who gets what.

The only file that imports adapters, each inside the function that builds it: what was not chosen is never imported.
"""

import os
import secrets
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dependency_injector import containers, providers

if TYPE_CHECKING:
    from adapters.manual_clock import ManualClock as ManualClock  # noqa: PLC0414 - for whoever imports it from here
    from entrypoints.metrics.otlp import MetricsExport
    from entrypoints.telemetry import Telemetry

from domain.delivery.attempts import Attempts
from domain.delivery.dead_letters import DeadLetters
from domain.delivery.pace import Pace
from domain.delivery.perform import Perform
from domain.delivery.receive import Receive
from domain.delivery.relay import EventRelay, TaskRelay
from domain.delivery.retry import Retry
from domain.delivery.shares import LeasedShares
from domain.delivery.unit_of_work import Recording
from domain.delivery.whereabouts import Whereabouts
from domain.model import tasks
from domain.model.events import EVENT_TYPES, OrderCreated
from domain.services.confirm_order import ConfirmOrder
from domain.services.create_order import CreateOrder
from domain.services.get_order import GetOrder
from domain.services.get_user import GetUser
from domain.services.get_weather import GetWeather
from domain.services.list_orders import ListOrders
from domain.services.ownership import Ownership
from domain.services.register_user import RegisterUser
from domain.services.send_order_confirmation import SendOrderConfirmation
from domain.services.send_welcome_email import SendWelcomeEmail
from entrypoints.backlog import Backlog
from entrypoints.flow_watch import FlowWatch
from entrypoints.health import HealthCheck
from entrypoints.metrics import deliveries as metrics_of_deliveries
from entrypoints.metrics import health as metrics_of_health
from entrypoints.metrics import outside as metrics_of_outside
from entrypoints.metrics import process as metrics_of_process
from entrypoints.metrics.registry import Metrics
from entrypoints.settings import Settings
from entrypoints.settings_ports import (
    CeleryTaskQueue,
    KafkaBroker,
    MemcachedCache,
    OidcIdentity,
    OpenMeteo,
    OpenWeather,
    PostgresqlPersistence,
    RabbitMqBroker,
    RedisCache,
    SmtpMailer,
    SqlitePersistence,
)
from entrypoints.settings_variables import Rate
from ports.cache import Cache
from ports.clock import Clock
from ports.delivery_counts import DeliveryCounts
from ports.event_broker import EventBroker
from ports.identity import Identity
from ports.ids import Ids
from ports.mailer import Mailer
from ports.outside import OutsideCounts
from ports.persistence import Persistence
from ports.quota import Quota
from ports.rate_limit import RateLimit
from ports.task_queue import TaskQueue
from ports.weather import WeatherProvider

CACHE_PREFIX = "crossdock:cache:1:"  # another number when entries of before would be misread
QUOTA_PREFIX = "crossdock:quota:1:"
RATE_LIMIT_PREFIX = "crossdock:rate-limit:1:"
TASKS_WAITING_MOST = 10_000  # some 15 MB; beyond, tasks wait in their rows alone
TOPICS = tuple(sorted({event.topic for event in EVENT_TYPES}))


# --- adapters ---------------------------------------------------------------------------------------------------------


def _system_clock() -> Clock:
    from adapters.clock import SystemClock

    return SystemClock()


def _store_clock() -> Clock:
    from adapters.clock import StoreClock

    return StoreClock()


def _ids(clock: Clock) -> Ids:
    from adapters.ids import UuidV7Ids

    return UuidV7Ids(clock)


def _sqlite(settings: Settings, clock: Clock) -> Persistence:
    from adapters.persistence.sql.sqlite import SqlitePersistence as Adapter

    return Adapter(cast("SqlitePersistence", settings.persistence).path, clock)


def _postgresql(settings: Settings, clock: Clock) -> Persistence:
    from adapters.persistence.sql.postgresql import PostgresqlPersistence as Adapter

    url = cast("PostgresqlPersistence", settings.persistence).url.get_secret_value()
    return Adapter(url, clock, set_time=getattr(clock, "correct", None))


def _memory_persistence(clock: Clock) -> Persistence:
    from adapters.persistence.memory import MemoryPersistence

    return MemoryPersistence(clock)


def _memory_broker(settings: Settings, ids: Ids) -> EventBroker:
    from adapters.event_broker.memory import MemoryEventBroker

    return MemoryEventBroker(ids, partitions=settings.event_broker.partitions)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _kafka(settings: Settings) -> EventBroker:
    from adapters.event_broker.kafka.broker import KafkaEventBroker

    chosen = cast("KafkaBroker", settings.event_broker)
    return KafkaEventBroker(
        [server.strip() for server in chosen.servers.split(",")],
        partitions=chosen.partitions,
        topic_prefix=chosen.topic_prefix,
        replication_factor=chosen.replication,
        security_protocol=chosen.security,
        sasl_mechanism=chosen.mechanism,
        username=chosen.username or None,
        password=None if chosen.password is None else chosen.password.get_secret_value(),
        ca_file=_text(chosen.ca_file),
        certificate_file=_text(chosen.certificate_file),
        key_file=_text(chosen.key_file),
    )


def _rabbitmq(settings: Settings, persistence: Persistence, clock: Clock, process: str) -> EventBroker:
    from adapters.event_broker.rabbitmq.broker import RabbitMqEventBroker

    chosen = cast("RabbitMqBroker", settings.event_broker)

    def shares(group: str) -> LeasedShares:
        member = f"{process}:{secrets.token_hex(2)}"
        return LeasedShares(persistence.leases, clock, role=f"group/{group}", member=member, count=chosen.partitions)

    return RabbitMqEventBroker(
        chosen.url.get_secret_value(),
        prefix=chosen.topic_prefix,
        partitions=chosen.partitions,
        shares=shares,
        ca_file=chosen.ca_file,
        certificate_file=chosen.certificate_file,
        key_file=chosen.key_file,
    )


def _background(settings: Settings, perform: Perform) -> TaskQueue:
    from adapters.task_queue.background import BackgroundTaskQueue

    return BackgroundTaskQueue(perform, most_waiting=TASKS_WAITING_MOST, grace=settings.server.grace / 2)


def _celery(settings: Settings) -> TaskQueue:
    from adapters.task_queue.celery import CeleryTaskQueue as Adapter

    chosen = cast("CeleryTaskQueue", settings.task_queue)
    return Adapter(
        chosen.broker_url.get_secret_value(),
        queue=f"{settings.event_broker.topic_prefix}crossdock.tasks",
        result_backend=chosen.result_backend.get_secret_value(),
        ca_file=chosen.ca_file,
    )


def _memory_task_queue(perform: Perform) -> TaskQueue:
    from adapters.task_queue.memory import MemoryTaskQueue

    return MemoryTaskQueue(perform)


def _memory_cache(clock: Clock) -> Cache:
    from adapters.cache.memory import MemoryCache

    return MemoryCache(clock)


def _redis(settings: Settings, clock: Clock) -> Any:
    from adapters.redis_client import RedisClient

    chosen = cast("RedisCache", settings.cache)
    server = chosen.server
    return RedisClient(
        host=server.host,
        port=server.port,
        username=server.user,
        password=server.password,
        database=chosen.database,
        tls=server.scheme == "rediss",
        ca_file=chosen.ca_file,
        clock=clock,
    )


def _redis_cache(settings: Settings, redis: Any) -> Cache:
    from adapters.cache.redis import RedisCache as Adapter

    return Adapter(redis, prefix=f"{settings.event_broker.topic_prefix}{CACHE_PREFIX}")


def _memcached_cache(settings: Settings, clock: Clock) -> Cache:
    from adapters.cache.memcached import MemcachedCache as Adapter

    chosen = cast("MemcachedCache", settings.cache)
    return Adapter(chosen.places, prefix=f"{settings.event_broker.topic_prefix}{CACHE_PREFIX}", clock=clock)


def _memory_quota(clock: Clock, api: str, rate: Rate) -> Quota:  # noqa: ARG001 - one object each
    from adapters.quota.memory import MemoryQuota

    return MemoryQuota(rate.count, _quota_seconds(rate), clock=clock)


def _redis_quota(settings: Settings, redis: Any, clock: Clock, api: str, rate: Rate) -> Quota:
    from adapters.quota.redis import RedisQuota

    key = f"{settings.event_broker.topic_prefix}{QUOTA_PREFIX}{api}"
    return RedisQuota(redis, key, rate.count, _quota_seconds(rate), clock=clock)


def _memory_rate_limit(settings: Settings, clock: Clock) -> RateLimit | None:
    from adapters.rate_limit.memory import MemoryRateLimit

    rate = settings.server.rate_limit
    return None if rate is None else MemoryRateLimit(rate.count, rate.seconds, clock=clock)


def _redis_rate_limit(settings: Settings, redis: Any, clock: Clock) -> RateLimit | None:
    from adapters.rate_limit.redis import RedisRateLimit

    rate = settings.server.rate_limit
    prefix = f"{settings.event_broker.topic_prefix}{RATE_LIMIT_PREFIX}"
    return None if rate is None else RedisRateLimit(redis, prefix, rate.count, rate.seconds, clock=clock)


def _quota_seconds(rate: Rate) -> float:
    """A little longer than the provider's: what is granted now may leave later than what is granted next."""
    return rate.seconds + _late_seconds(rate)


def _late_seconds(rate: Rate) -> float:
    return min(1.0, rate.seconds / 5)


def _log_mailer() -> Mailer:
    from adapters.mailer.log import LogMailer

    return LogMailer()


def _smtp(settings: Settings, clock: Clock) -> Mailer:
    from adapters.mailer.smtp import SmtpMailer as Adapter

    chosen = cast("SmtpMailer", settings.mailer)
    server = chosen.server
    return Adapter(
        host=server.host,
        port=server.port,
        username=server.user,
        password=server.password,
        implicit_tls=server.scheme == "smtps",
        sender=chosen.sender,
        ca_file=chosen.ca_file,
        clock=clock,
    )


def _memory_mailer() -> Mailer:
    from adapters.mailer.memory import MemoryMailer

    return MemoryMailer()


def _http(clock: Clock, tracing: Any) -> Any:
    from adapters.outside.metered import PLACES

    # For the places of three APIs, and some more: a call that is left while it connects frees its place before that.
    return _http_client(clock, tracing, connections=4 * PLACES)


def _http_client(clock: Clock, tracing: Any, **options: Any) -> Any:
    if tracing is None:
        from adapters.http_client import HttpClient

        return HttpClient(clock, **options)
    from adapters.tracing.opentelemetry.http_client import TracedHttpClient

    return TracedHttpClient(clock, tracing, **options)


def _metered(
    api: str, rate: Rate, http: Any, quota: Callable[[str, Rate], Quota], clock: Clock, counts: OutsideCounts
) -> Any:
    from adapters.outside.metered import Metered

    counts.quotas[api] = quota(api, rate)
    return Metered(http, counts.quotas[api], api=api, clock=clock, late_seconds=_late_seconds(rate))


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


def _weather(
    settings: Settings, cache: Cache, clock: Clock, counts: OutsideCounts, **drivers: Callable[[], WeatherProvider]
) -> WeatherProvider:
    from adapters.weather.resilient import ResilientWeather

    chosen = settings.weather
    return ResilientWeather(
        {name: drivers[name]() for name in chosen.providers},
        cache=cache,
        clock=clock,
        counts=counts,
        fresh_seconds=chosen.ttl,
        stale_seconds=chosen.stale,
    )


def _anyone() -> Identity:
    from adapters.identity.anyone import Anyone

    return Anyone()


def _oidc(settings: Settings, clock: Clock, tracing: Any) -> Identity:
    from adapters.identity.oidc.identity import OidcIdentity as Adapter

    chosen = cast("OidcIdentity", settings.identity)
    tls = None if chosen.ca_file is None else ssl.create_default_context(cafile=chosen.ca_file)
    return Adapter(
        issuer=chosen.issuer or "",
        audience=chosen.audience or "",
        algorithms=chosen.algorithms,
        leeway=chosen.leeway,
        scope_claims=chosen.scope_paths,
        default_scopes=chosen.default_scopes,
        # Two questions make a renewal, and callers may wait for one.
        http=_http_client(
            clock, tracing, connections=2, connect_seconds=1.5, wait_seconds=2, call_seconds=2.5, tls=tls
        ),
        clock=clock,
    )


# --- what is traced, when traces are told: the same ports around what was chosen -----------------------------------


def _telemetry(settings: Settings, process: str) -> "Telemetry | None":
    if not settings.telemetry.tells_traces:
        return None
    from entrypoints.telemetry import Telemetry

    return Telemetry(settings.telemetry, process=process)


def _metrics_export(settings: Settings, metrics: Metrics, process: str) -> "MetricsExport | None":
    if not settings.telemetry.tells_metrics:
        return None
    from entrypoints.metrics.otlp import MetricsExport

    return MetricsExport(metrics, settings.telemetry, process=process)


def _tracing(telemetry: "Telemetry | None") -> Any:
    if telemetry is None:
        return None
    from adapters.tracing.opentelemetry.spans import Spans

    return Spans(telemetry.tracer_provider, ratio=telemetry.ratio)


def _traced_persistence(persistence: Persistence, settings: Settings, tracing: Any) -> Persistence:
    if tracing is None:
        return persistence
    from adapters.tracing.opentelemetry.persistence import TracedPersistence

    return TracedPersistence(persistence, tracing, system=settings.persistence.backend)


def _traced_broker(broker: EventBroker, settings: Settings, tracing: Any) -> EventBroker:
    if tracing is None:
        return broker
    from adapters.tracing.opentelemetry.event_broker import TracedEventBroker

    return TracedEventBroker(broker, tracing, system=settings.event_broker.backend)


def _traced_task_queue(queue: TaskQueue, settings: Settings, tracing: Any) -> TaskQueue:
    if tracing is None:
        return queue
    from adapters.tracing.opentelemetry.task_queue import TracedTaskQueue

    return TracedTaskQueue(queue, tracing, system=settings.task_queue.backend)


def _traced_mailer(mailer: Mailer, tracing: Any) -> Mailer:
    if tracing is None:
        return mailer
    from adapters.tracing.opentelemetry.mailer import TracedMailer

    return TracedMailer(mailer, tracing)


def _traced_work(work: dict[Any, Any], settings: Settings, tracing: Any) -> dict[Any, Any]:
    if tracing is None:
        return work
    from adapters.tracing.opentelemetry.handlers import traced_work

    return traced_work(work, tracing, system=settings.task_queue.backend)


def _traced_reactions(reactions: dict[Any, Any], settings: Settings, tracing: Any) -> dict[Any, Any]:
    if tracing is None:
        return reactions
    from adapters.tracing.opentelemetry.handlers import traced_reactions

    broker = settings.event_broker
    return traced_reactions(reactions, tracing, system=broker.backend, group=broker.consumer_group)


# --- policy -----------------------------------------------------------------------------------------------------------


def _process_name() -> str:
    """Unique to this run of this process, since it owns leases and claims."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


def _attempts(settings: Settings) -> Attempts:
    return Attempts(most=settings.delivery.max_attempts, delay=settings.delivery.retry_delay)


def _recording(
    settings: Settings, persistence: Persistence, clock: Clock, process: str, counts: DeliveryCounts
) -> Recording:
    performs_here = settings.task_queue.backend == "background"
    return Recording(
        persistence,
        clock,
        partitions=settings.event_broker.partitions,
        performs_as=process if performs_here else None,
        counts=counts,
    )


def _event_relay(
    settings: Settings,
    persistence: Persistence,
    broker: EventBroker,
    clock: Clock,
    process: str,
    reactions: dict[Any, Any],
    *,
    pace: Pace,
    counts: DeliveryCounts,
) -> EventRelay:
    partitions = settings.event_broker.partitions
    return EventRelay(
        persistence,
        broker,
        LeasedShares(persistence.leases, clock, role="relay", member=process, count=partitions),
        clock,
        kept_types=[event.type for event in reactions],
        topics=TOPICS,
        group=settings.event_broker.consumer_group,
        pace=pace,
        counts=counts,
    )


def _task_relay(
    settings: Settings,
    persistence: Persistence,
    queue: TaskQueue,
    clock: Clock,
    process: str,
    *,
    attempts: Attempts,
    pace: Pace,
    counts: DeliveryCounts,
) -> TaskRelay:
    # A queue that several relays have in common is handed tasks by one of them at a time.
    in_common = settings.task_queue.backend == "celery"
    shares = LeasedShares(persistence.leases, clock, role="tasks", member=process, count=1) if in_common else None
    return TaskRelay(persistence, queue, clock, attempts=attempts, shares=shares, pace=pace, counts=counts)


def _metrics(
    counts: DeliveryCounts, backlog: Callable[[], Backlog], outside: OutsideCounts, health: HealthCheck
) -> Metrics:
    return Metrics(
        lambda: metrics_of_deliveries.counted(counts),
        lambda: metrics_of_deliveries.waiting(backlog()),  # which builds adapters, and not before somebody asks
        lambda: metrics_of_outside.outside(outside),
        lambda: metrics_of_health.checks(health.check),
        metrics_of_process.process,
    )


def _by_backend(
    port: str, settings: providers.Provider[Settings], **choices: providers.Provider[Any]
) -> providers.Selector:
    return providers.Selector(providers.Callable(lambda chosen: getattr(chosen, port).backend, settings), **choices)


class Container(containers.DeclarativeContainer):
    """One for each process, or for each test."""

    settings = providers.Dependency(instance_of=Settings)
    process = providers.Singleton(_process_name)
    telemetry = providers.Singleton(_telemetry, settings, process)
    tracing = providers.Singleton(_tracing, telemetry)
    clock = _by_backend(
        "persistence",
        settings,
        sqlite=providers.Singleton(_system_clock),
        postgresql=providers.Singleton(_store_clock),
        memory=providers.Singleton(_system_clock),
    )
    ids = providers.Singleton(_ids, clock)

    persistence = _by_backend(
        "persistence",
        settings,
        sqlite=providers.Singleton(_sqlite, settings, clock),
        postgresql=providers.Singleton(_postgresql, settings, clock),
        memory=providers.Singleton(_memory_persistence, clock),
    )
    event_broker = _by_backend(
        "event_broker",
        settings,
        memory=providers.Singleton(_memory_broker, settings, ids),
        kafka=providers.Singleton(_kafka, settings),
        rabbitmq=providers.Singleton(_rabbitmq, settings, persistence, clock, process),
    )
    redis = providers.Singleton(_redis, settings, clock)
    cache = _by_backend(
        "cache",
        settings,
        memory=providers.Singleton(_memory_cache, clock),
        redis=providers.Singleton(_redis_cache, settings, redis),
        memcached=providers.Singleton(_memcached_cache, settings, clock),
    )
    quota = _by_backend(
        "cache",
        settings,
        memory=providers.Factory(_memory_quota, clock),
        redis=providers.Factory(_redis_quota, settings, redis, clock),
        memcached=providers.Factory(_memory_quota, clock),  # Memcached cannot count a moving window
    )
    rate_limit = _by_backend(
        "cache",
        settings,
        memory=providers.Singleton(_memory_rate_limit, settings, clock),
        redis=providers.Singleton(_redis_rate_limit, settings, redis, clock),
        memcached=providers.Singleton(_memory_rate_limit, settings, clock),
    )
    mailer = _by_backend(
        "mailer",
        settings,
        log=providers.Singleton(_log_mailer),
        memory=providers.Singleton(_memory_mailer),
        smtp=providers.Singleton(_smtp, settings, clock),
    )
    outside_counts = providers.Singleton(OutsideCounts)
    http = providers.Singleton(_http, clock, tracing)
    weather_rate = providers.Callable(lambda chosen: chosen.weather.quota, settings)
    openweather_http = providers.Singleton(
        _metered, "openweather", weather_rate, http, quota.provider, clock, outside_counts
    )
    open_meteo_http = providers.Singleton(
        _metered, "open_meteo", weather_rate, http, quota.provider, clock, outside_counts
    )
    weather = providers.Singleton(  # not by backend: several may be chosen, each of which is built when it is
        _weather,
        settings,
        cache,
        clock,
        outside_counts,
        openweather=providers.Singleton(_openweather, settings, openweather_http, clock).provider,
        open_meteo=providers.Singleton(_open_meteo, settings, open_meteo_http, cache, clock).provider,
        sample=providers.Singleton(_sample, clock).provider,
    )

    identity = _by_backend(
        "identity",
        settings,
        none=providers.Singleton(_anyone),
        oidc=providers.Singleton(_oidc, settings, clock, tracing),
    )

    attempts = providers.Singleton(_attempts, settings)
    pace = providers.Singleton(Pace, clock)
    delivery_counts = providers.Singleton(DeliveryCounts)
    traced_persistence = providers.Singleton(_traced_persistence, persistence, settings, tracing)
    unit_of_work = providers.Singleton(_recording, settings, traced_persistence, clock, process, delivery_counts)

    traced_mailer = providers.Singleton(_traced_mailer, mailer, tracing)
    send_welcome_email = providers.Singleton(SendWelcomeEmail, persistence.provided.users, traced_mailer)
    send_order_confirmation = providers.Singleton(
        SendOrderConfirmation, persistence.provided.users, persistence.provided.orders, traced_mailer
    )
    work = providers.Singleton(
        _traced_work,
        providers.Dict(
            {tasks.SendWelcomeEmail: send_welcome_email, tasks.SendOrderConfirmation: send_order_confirmation}
        ),
        settings,
        tracing,
    )
    perform = providers.Singleton(
        Perform, persistence, clock, work, process=process, attempts=attempts, pace=pace, counts=delivery_counts
    )
    task_queue = _by_backend(
        "task_queue",
        settings,
        background=providers.Singleton(_background, settings, perform),
        celery=providers.Singleton(_celery, settings),
        memory=providers.Singleton(_memory_task_queue, perform),
    )

    confirm_order = providers.Singleton(ConfirmOrder, clock, ids)
    reactions = providers.Singleton(_traced_reactions, providers.Dict({OrderCreated: confirm_order}), settings, tracing)
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
        _event_relay,
        settings,
        persistence,
        providers.Singleton(_traced_broker, event_broker, settings, tracing),
        clock,
        process,
        reactions,
        pace=pace,
        counts=delivery_counts,
    )
    task_relay = providers.Singleton(
        _task_relay,
        settings,
        persistence,
        providers.Singleton(_traced_task_queue, task_queue, settings, tracing),
        clock,
        process,
        attempts=attempts,
        pace=pace,
        counts=delivery_counts,
    )
    dead_letters = providers.Singleton(DeadLetters, persistence, clock)
    whereabouts = providers.Singleton(Whereabouts, persistence, group=consumer_group)

    register_user = providers.Singleton(RegisterUser, unit_of_work, clock, ids)
    get_user = providers.Singleton(GetUser, persistence.provided.users)
    ownership = providers.Singleton(Ownership, persistence.provided.users)
    create_order = providers.Singleton(CreateOrder, unit_of_work, clock, ids, ownership)
    get_order = providers.Singleton(GetOrder, persistence.provided.orders, ownership)
    list_orders = providers.Singleton(ListOrders, persistence.provided.orders, ownership)
    get_weather = providers.Singleton(GetWeather, weather)

    backlog = providers.Singleton(
        Backlog, persistence, event_broker, clock, topics=providers.Object(TOPICS), group=consumer_group
    )
    flow_watch = providers.Singleton(FlowWatch, persistence.provided.ledger, backlog, clock)
    health = providers.Singleton(HealthCheck, clock)
    metrics = providers.Singleton(_metrics, delivery_counts, backlog.provider, outside_counts, health)
    metrics_export = providers.Singleton(_metrics_export, settings, metrics, process)


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
    if isinstance(settings.persistence, SqlitePersistence):
        from adapters.persistence.sql.migrations.upgrade import upgrade_sqlite

        return upgrade_sqlite(settings.persistence.path)
    if isinstance(settings.persistence, PostgresqlPersistence):
        from adapters.persistence.sql.migrations.upgrade import upgrade_postgresql

        return upgrade_postgresql(settings.persistence.url.get_secret_value())
    return False
