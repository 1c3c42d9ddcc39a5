"""One typed class for each port and backend, with the variables it is read from: each port in a file of its own.

A new backend is one class in the file of its port, its name here, and in the union of its port in
`entrypoints.settings`.
"""

from entrypoints.settings_cache import MemcachedCache, MemoryCache, RedisCache
from entrypoints.settings_delivery import DeliverySettings, FaultSettings
from entrypoints.settings_event_broker import EventBrokerSettings, KafkaBroker, MemoryBroker, RabbitMqBroker
from entrypoints.settings_identity import NoIdentity, OidcIdentity
from entrypoints.settings_mailer import LogMailer, MemoryMailer, SmtpMailer
from entrypoints.settings_part import Part
from entrypoints.settings_persistence import DATABASE_FORMS, MemoryPersistence, PostgresqlPersistence, SqlitePersistence
from entrypoints.settings_server import FileSettings, ServerSettings
from entrypoints.settings_task_queue import BackgroundTaskQueue, CeleryTaskQueue, MemoryTaskQueue
from entrypoints.settings_telemetry import ErrorReportSettings, LoggingSettings, TelemetrySettings
from entrypoints.settings_weather import (
    SEVERAL,
    WEATHER_FORMS,
    WEATHER_PROVIDERS,
    OpenMeteo,
    OpenMeteoAccess,
    OpenWeather,
    OpenWeatherAccess,
    SampleWeather,
    SeveralWeather,
    WeatherSettings,
)
