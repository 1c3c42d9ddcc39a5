"""One typed class for each port and backend, with the variables it is read from.

A new backend is one class here and its name in the union of its port in `entrypoints.settings`.
"""

import re
import ssl
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from entrypoints.settings_variables import (
    Rate,
    Refused,
    Server,
    Variable,
    host_name,
    is_loopback,
    mail_address,
    masked,
    outbound_url,
    passwords_in,
    rate,
    server_of,
    server_url,
)
from ports.crash_points import CrashPoint
from ports.identity import OPERATOR, SCOPES

_NAME = r"[A-Za-z0-9._-]{1,100}"  # what Kafka allows in a topic, with room for the rest of it
_FAULT = re.compile(rf"({'|'.join(map(re.escape, CrashPoint))}):(kill|freeze)(:[1-9][0-9]{{0,5}})?")
_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")


class Part(BaseSettings):
    """The settings of one port, by the names that the code uses."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, str_strip_whitespace=True, allow_inf_nan=False
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # `Settings.load` alone looks at the outside, since it remembers where each value came from.
        return (init_settings,)

    def contradictions(self) -> Iterator[tuple[str, str]]:
        """Fields that cannot be used beside the others, each with what is wrong."""
        yield from ()

    def secrets(self) -> Iterator[str]:
        """What is secret of it, as it may turn up in a text."""
        for _, value in self:
            if isinstance(value, SecretStr):
                secret = value.get_secret_value()
                # Of an address the password alone: the rest may be told, and the whole is rarely what is written.
                yield from passwords_in(secret) if "://" in secret else (secret,)

    @classmethod
    def variables(cls) -> Iterator[tuple[str, Variable]]:
        """Field names and the variables they are read from."""
        for name, field in cls.model_fields.items():
            for mark in field.metadata:
                if isinstance(mark, Variable):
                    yield name, mark


def _visible(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not _VISIBLE.fullmatch(value.get_secret_value()):
        raise Refused("cannot be sent in a header")
    return value


def _server(value: SecretStr) -> SecretStr:
    server_url(value.get_secret_value())
    return value


def _file(value: Path | None) -> Path | None:
    if value is not None and not value.is_file():
        raise Refused("is no file that can be read here")
    return value


def _authorities(value: Path | None) -> Path | None:
    if _file(value) is not None:
        try:
            ssl.create_default_context(cafile=value)
        except (OSError, ssl.SSLError):
            raise Refused("holds no certificates in PEM form") from None
    return value


def _contradictory_certificates(certificate: Path | None, key: Path | None) -> Iterator[tuple[str, str]]:
    if key is not None and certificate is None:
        yield "key_file", "is the key of a certificate that is not set"
    elif certificate is not None:
        try:
            ssl.create_default_context().load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError):
            yield "certificate_file", "and its key are no pair in PEM form"


_PEM = "the path of a file in PEM form"
PemFile = Annotated[Path | None, AfterValidator(_file)]
Authorities = Annotated[Path | None, AfterValidator(_authorities)]


# --- persistence ------------------------------------------------------------------------------------------------------


def _sqlite_path(value: object) -> object:
    if not isinstance(value, str):
        return value
    slash, path = value.partition("://")[2][:1], value.partition("://")[2][1:]
    if slash != "/" or not path or path.endswith("/") or path.startswith(":") or "?" in path or "\0" in path:
        raise Refused("names no file")
    return Path(path)


DATABASE_FORMS = "sqlite:///relative.db, sqlite:////absolute.db, postgresql://user:password@host:port/name, memory://"


class SqlitePersistence(Part):
    """One file on this machine."""

    backend: Literal["sqlite"] = "sqlite"
    path: Annotated[
        Path, Variable("DATABASE_URL", "the file", DATABASE_FORMS, sensitive=True), BeforeValidator(_sqlite_path)
    ] = Path("crossdock.db")


class PostgresqlPersistence(Part):
    """A PostgreSQL server, which several machines can share."""

    backend: Literal["postgresql"] = "postgresql"
    url: Annotated[
        SecretStr, Variable("DATABASE_URL", "the database", DATABASE_FORMS, sensitive=True), AfterValidator(_server)
    ] = SecretStr("postgresql://localhost/crossdock")


class MemoryPersistence(Part):
    """Gone at exit; for test suites."""

    backend: Literal["memory"] = "memory"
    url: Annotated[Literal["memory://"], Variable("DATABASE_URL", "the store", DATABASE_FORMS, sensitive=True)] = (
        "memory://"
    )


# --- event broker -----------------------------------------------------------------------------------------------------


def _prefix(value: str) -> str:
    if value and not re.fullmatch(_NAME, value):
        raise Refused("cannot stand in the name of a topic")
    return value


def _amqp(value: SecretStr) -> SecretStr:
    url = server_url(value.get_secret_value(), "amqp", "amqps")
    if "?" in url or "#" in url:
        raise Refused("has a query or a fragment, which nothing here would read")
    return value


def _celery_broker(value: SecretStr) -> SecretStr:
    server_url(value.get_secret_value(), "redis", "rediss", "amqp", "amqps")
    return value


class EventBrokerSettings(Part):
    """What is the same on each broker."""

    topic_prefix: Annotated[
        str,
        Variable(
            "CROSSDOCK_TOPIC_PREFIX",
            "put before each topic, exchange and queue name, so that environments can share a broker",
            "up to 100 letters, digits, dots, dashes and underscores",
        ),
        AfterValidator(_prefix),
    ] = ""
    consumer_group: Annotated[
        str,
        Variable(
            "CROSSDOCK_CONSUMER_GROUP",
            "consumers of one group share the work",
            "1 to 100 letters, digits, dots, dashes and underscores",
        ),
        Field(pattern=f"^{_NAME}$"),
    ] = "crossdock"
    partitions: Annotated[
        int,
        Variable("CROSSDOCK_PARTITIONS", "subjects are spread over so many partitions; fixed once used", "1 to 1024"),
        Field(ge=1, le=1024),
    ] = 12


class MemoryBroker(EventBrokerSettings):
    """Within this process."""

    backend: Literal["memory"] = "memory"


_KAFKA_PROTOCOLS = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
_KAFKA_MECHANISMS = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def _servers(value: str) -> str:
    for server in value.split(","):
        host, _, port = server.strip().rpartition(":")
        if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise Refused("is no list of servers")
        host_name(host)
    return value


def _copies(value: int) -> int:
    if value == 0:
        raise Refused("is no number of copies")
    return value


class KafkaBroker(EventBrokerSettings):
    """Apache Kafka."""

    backend: Literal["kafka"] = "kafka"
    servers: Annotated[
        str,
        Variable("KAFKA_BOOTSTRAP_SERVERS", "where Kafka answers", "host:port, several separated by commas"),
        AfterValidator(_servers),
    ] = "localhost:9092"
    replication: Annotated[
        int,
        Variable(
            "KAFKA_REPLICATION_FACTOR", "copies of a topic that is created; -1 is the servers' default", "-1 or 1 to 99"
        ),
        Field(ge=-1, le=99),
        AfterValidator(_copies),
    ] = -1
    security: Annotated[
        _KAFKA_PROTOCOLS,
        Variable("KAFKA_SECURITY_PROTOCOL", "how Kafka is spoken to", "PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
    ] = "PLAINTEXT"
    mechanism: Annotated[
        _KAFKA_MECHANISMS,
        Variable("KAFKA_SASL_MECHANISM", "how we say who we are", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
    ] = "PLAIN"
    username: Annotated[str, Variable("KAFKA_SASL_USERNAME", "who we are", "a name")] = ""
    password: Annotated[
        SecretStr | None, Variable("KAFKA_SASL_PASSWORD", "the password of that name", "text", secret=True)
    ] = None
    ca_file: Annotated[
        Authorities, Variable("KAFKA_SSL_CAFILE", "who vouches for the servers; without, the system's own list", _PEM)
    ] = None
    certificate_file: Annotated[PemFile, Variable("KAFKA_SSL_CERTFILE", "our own certificate", _PEM)] = None
    key_file: Annotated[PemFile, Variable("KAFKA_SSL_KEYFILE", "the key of our own certificate", _PEM)] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from _contradictory_certificates(self.certificate_file, self.key_file)
        if self.security.startswith("SASL"):
            if not self.username:
                yield "username", f"is missing: KAFKA_SECURITY_PROTOCOL is {self.security}"
            if self.password is None:
                yield "password", f"is missing: KAFKA_SECURITY_PROTOCOL is {self.security}"
        elif self.username or self.password:
            yield "security", f"is {self.security}, which says to nobody who we are; a name or a password is set"


class RabbitMqBroker(EventBrokerSettings):
    """RabbitMQ."""

    backend: Literal["rabbitmq"] = "rabbitmq"
    url: Annotated[
        SecretStr,
        Variable(
            "RABBITMQ_URL",
            "where RabbitMQ answers; amqps is TLS",
            "amqp://user:password@host:port/virtual-host or amqps://…",
            sensitive=True,
        ),
        AfterValidator(_amqp),
    ] = SecretStr("amqp://guest:guest@localhost:5672/")
    ca_file: Annotated[
        Authorities, Variable("RABBITMQ_SSL_CAFILE", "who vouches for the server; without, the system's own list", _PEM)
    ] = None
    certificate_file: Annotated[PemFile, Variable("RABBITMQ_SSL_CERTFILE", "our own certificate", _PEM)] = None
    key_file: Annotated[PemFile, Variable("RABBITMQ_SSL_KEYFILE", "the key of our own certificate", _PEM)] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from _contradictory_certificates(self.certificate_file, self.key_file)


# --- task queue -------------------------------------------------------------------------------------------------------

_CELERY_FORMS = "redis://host:port/number, rediss://…, amqp://user:password@host:port/virtual-host, amqps://…"


class CeleryTaskQueue(Part):
    """Celery, with workers of its own."""

    backend: Literal["celery"] = "celery"
    broker_url: Annotated[
        SecretStr,
        Variable("CELERY_BROKER_URL", "what carries tasks to the workers", _CELERY_FORMS, sensitive=True),
        AfterValidator(_celery_broker),
    ] = SecretStr("redis://localhost:6379/0")
    result_backend: Annotated[
        SecretStr,
        Variable(
            "CELERY_RESULT_BACKEND",
            "where Celery would keep results; ours are in the database",
            "redis://host:port/number, rediss://…, or what else Celery knows",
            sensitive=True,
        ),
    ] = SecretStr("redis://localhost:6379/0")
    ca_file: Annotated[
        Authorities,
        Variable("CELERY_SSL_CAFILE", "who vouches for Celery's servers; without, the system's own list", _PEM),
    ] = None


class BackgroundTaskQueue(Part):
    """FastAPI's BackgroundTasks, made durable."""

    backend: Literal["background"] = "background"


class MemoryTaskQueue(Part):
    """Performed when told to; for test suites."""

    backend: Literal["memory"] = "memory"


# --- delivery ---------------------------------------------------------------------------------------------------------


class DeliverySettings(Part):
    """How often what fails is tried again."""

    max_attempts: Annotated[
        int,
        Variable("CROSSDOCK_MAX_ATTEMPTS", "attempts before a message is dead", "1 to 1000"),
        Field(ge=1, le=1000),
    ] = 8
    retry_delay: Annotated[
        float,
        Variable(
            "CROSSDOCK_RETRY_DELAY", "seconds before the second attempt; doubles, jittered, at most 60", "0 to 60"
        ),
        Field(ge=0, le=60),
    ] = 1.0


# --- weather ----------------------------------------------------------------------------------------------------------

_OUTBOUND = "an https address, or http on loopback; without user, query and fragment"
WEATHER_PROVIDERS = ("openweather", "open_meteo", "sample")
WEATHER_FORMS = f"auto, {', '.join(WEATHER_PROVIDERS)}, or several of these without auto, separated by commas"
SEVERAL = ","  # the backend of a list; no name that could be chosen


class WeatherSettings(Part):
    """What is the same for each provider."""

    ttl: Annotated[
        int,
        Variable("CROSSDOCK_WEATHER_TTL", "seconds an answer is fresh", "1 to 86400"),
        Field(ge=1, le=86400),
    ] = 600
    stale: Annotated[
        int,
        Variable(
            "CROSSDOCK_WEATHER_STALE",
            "seconds more that it may still be given while the provider is down",
            "0 to 604800",
        ),
        Field(ge=0, le=604800),
    ] = 3600
    quota: Annotated[
        Rate,
        Variable("CROSSDOCK_WEATHER_QUOTA", "calls to each provider, never more", "N/second, N/minute, N/hour, N/day"),
        BeforeValidator(rate),
    ] = Rate(60, 60)

    @property
    def providers(self) -> tuple[str, ...]:
        """Who is asked, in this order."""
        raise NotImplementedError


class OpenWeatherAccess(WeatherSettings):
    """How the API of openweathermap.org is reached; without its key the app starts, and it is not asked."""

    key: Annotated[
        SecretStr | None,
        Variable("OPEN_WEATHER_API_KEY", "the key of OpenWeather", "1 to 255 visible ASCII characters", secret=True),
        AfterValidator(_visible),
    ] = None
    url: Annotated[
        str, Variable("OPEN_WEATHER_URL", "where OpenWeather answers", _OUTBOUND), AfterValidator(outbound_url)
    ] = "https://api.openweathermap.org/data/2.5/weather"


class OpenWeather(OpenWeatherAccess):
    """The API of openweathermap.org; without its key weather answers 503."""

    backend: Literal["openweather"] = "openweather"

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.backend,)


class OpenMeteoAccess(WeatherSettings):
    """How the API of open-meteo.com is reached, which needs no key."""

    geocoding_url: Annotated[
        str,
        Variable("OPEN_METEO_GEOCODING_URL", "where Open-Meteo knows places", _OUTBOUND),
        AfterValidator(outbound_url),
    ] = "https://geocoding-api.open-meteo.com/v1/search"
    forecast_url: Annotated[
        str,
        Variable("OPEN_METEO_FORECAST_URL", "where Open-Meteo knows the weather", _OUTBOUND),
        AfterValidator(outbound_url),
    ] = "https://api.open-meteo.com/v1/forecast"


class OpenMeteo(OpenMeteoAccess):
    """The API of open-meteo.com."""

    backend: Literal["open_meteo"] = "open_meteo"

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.backend,)


class SampleWeather(WeatherSettings):
    """Fixed answers, which say so."""

    backend: Literal["sample"] = "sample"

    @property
    def providers(self) -> tuple[str, ...]:
        return (self.backend,)


def _names(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = [name.strip() for name in value.split(",")]
    if not all(names):
        raise Refused("has a comma without a name on both sides")
    for name in names:
        if name == "auto":
            raise Refused("has auto among several: it stands alone")
        if name not in WEATHER_PROVIDERS:
            raise Refused(f"names {masked(name)[:40]!r}, which is not known")
        if names.count(name) > 1:
            raise Refused(f"names {name} twice")
    return tuple(names)


class SeveralWeather(OpenWeatherAccess, OpenMeteoAccess):
    """Each when those before it cannot answer."""

    backend: Literal[","] = ","
    order: Annotated[
        tuple[str, ...], Variable("CROSSDOCK_WEATHER", "who is asked", WEATHER_FORMS), BeforeValidator(_names)
    ] = ("openweather", "open_meteo")

    @property
    def providers(self) -> tuple[str, ...]:
        return self.order


# --- cache, mailer, identity ------------------------------------------------------------------------------------------


class MemoryCache(Part):
    """Within this process."""

    backend: Literal["memory"] = "memory"


def _redis(value: SecretStr) -> SecretStr:
    parts = urlsplit(server_url(value.get_secret_value(), "redis", "rediss"))
    if parts.query or parts.fragment:
        raise Refused("has a query or a fragment, which nothing here would read")
    if not re.fullmatch(r"/?|/[0-9]{1,4}", parts.path):
        raise Refused("names no database by its number")
    if parts.username and not parts.password:
        raise Refused("has a user without a password; a password alone is written :password@")
    return value


class RedisCache(Part):
    """A Redis, which several processes can share."""

    backend: Literal["redis"] = "redis"
    url: Annotated[
        SecretStr,
        Variable(
            "REDIS_URL",
            "where Redis answers; rediss is TLS",
            "redis://user:password@host:port/number or rediss://…",
            sensitive=True,
        ),
        AfterValidator(_redis),
    ] = SecretStr("redis://localhost:6379/0")
    ca_file: Annotated[
        Authorities, Variable("REDIS_SSL_CAFILE", "who vouches for Redis; without, the system's own list", _PEM)
    ] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        if self.ca_file is not None and self.server.scheme != "rediss":
            yield "ca_file", "is set, and REDIS_URL is not rediss://: nothing would be encrypted"

    @property
    def server(self) -> Server:
        """Where Redis is, and who we are to it."""
        return server_of(self.url.get_secret_value(), {"redis": 6379, "rediss": 6379})

    @property
    def database(self) -> int:
        """The number of the database."""
        return int(urlsplit(self.url.get_secret_value()).path.strip("/") or 0)


def _several_servers(value: str) -> str:
    places = [server.strip().lower().rpartition(":") for server in _servers(value).split(",")]
    names = {(host, int(port)) for host, _, port in places}
    if any(host.startswith("[") is not host.endswith("]") for host, _ in names):
        raise Refused("has an IPv6 address with one bracket")
    if len(names) < len(places):
        raise Refused("names a server twice")
    return value


class MemcachedCache(Part):
    """One Memcached or several, which several processes can share."""

    backend: Literal["memcached"] = "memcached"
    servers: Annotated[
        str,
        Variable("MEMCACHED_SERVERS", "where Memcached answers", "host:port, several separated by commas"),
        AfterValidator(_several_servers),
    ] = "localhost:11211"

    @property
    def places(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each."""
        parts = (server.strip().rpartition(":") for server in self.servers.split(","))
        return tuple((host.removeprefix("[").removesuffix("]"), int(port)) for host, _, port in parts)


class LogMailer(Part):
    """Writes each mail to the log instead of sending it."""

    backend: Literal["log"] = "log"


class MemoryMailer(Part):
    """Keeps what was sent; for test suites."""

    backend: Literal["memory"] = "memory"


def _smtp(value: SecretStr) -> SecretStr:
    parts = urlsplit(server_url(value.get_secret_value(), "smtp", "smtps"))
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise Refused("has more than a user, a password, a host and a port")
    if bool(parts.username) != bool(parts.password):
        raise Refused("has a user without a password, or the other way round")
    return value


class SmtpMailer(Part):
    """A mail server."""

    backend: Literal["smtp"] = "smtp"
    url: Annotated[
        SecretStr,
        Variable(
            "SMTP_URL",
            "the mail server; smtps is TLS from the first byte, smtp changes to TLS when it is offered",
            "smtp://user:password@host:port or smtps://…",
            sensitive=True,
        ),
        AfterValidator(_smtp),
    ] = SecretStr("smtp://localhost:25")
    sender: Annotated[
        str,
        Variable("MAIL_FROM", "the address that mails come from", "an address, or Name <address>", public=True),
        AfterValidator(mail_address),
    ] = "crossdock@localhost"
    ca_file: Annotated[
        Authorities, Variable("SMTP_SSL_CAFILE", "who vouches for the server; without, the system's own list", _PEM)
    ] = None

    @property
    def server(self) -> Server:
        """Where the mail server is, and who we are to it."""
        return server_of(self.url.get_secret_value(), {"smtp": 25, "smtps": 465})


class NoIdentity(Part):
    """Anyone may do everything but operate."""

    backend: Literal["none"] = "none"


_ISSUER_FORMS = "an https address, or http on loopback, exactly as it stands in the tokens; without query and fragment"
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "Ed448"),
)
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")  # what RFC 6749 §3.3 lets a scope consist of


def _issuer(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme == "http" and parts.hostname and not is_loopback(parts.hostname):
        raise Refused("would let anybody on the way exchange the keys")
    return outbound_url(value)


def _audience(value: str | None) -> str | None:
    if value is not None and not (value.isprintable() and 0 < len(value) <= 255):
        raise Refused("is no audience")
    return value


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    names = tuple(name for name in re.split(r"[,\s]+", value.strip()) if name)
    if len(set(names)) < len(names):
        raise Refused("names one twice")
    return names


def _algorithms(value: tuple[str, ...]) -> tuple[str, ...]:
    for name in value:
        if name == "none" or name.startswith("HS"):
            raise Refused(f"allows {name}, with which anybody could sign")
        if name not in _ALGORITHMS:
            raise Refused("names an algorithm that is not known")
    if not value:
        raise Refused("allows no algorithm, and so no token")
    return value


def _default_scopes(value: tuple[str, ...]) -> tuple[str, ...]:
    for scope in value:
        if scope == OPERATOR:
            raise Refused("would make an operator of everybody who has a token")
        if scope not in SCOPES:
            raise Refused("names a scope that is not known")
    return value


def _scope_claims(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > 20 or not all(_WORD.fullmatch(path) for path in value):
        raise Refused("is no list of at most 20 claims")
    return value


class OidcIdentity(Part):
    """An OpenID Connect issuer: Keycloak, Auth0, Firebase and others."""

    backend: Literal["oidc"] = "oidc"
    issuer: Annotated[
        str | None, Variable("OIDC_ISSUER", "who signs the tokens", _ISSUER_FORMS), AfterValidator(_issuer)
    ] = None
    audience: Annotated[
        str | None,
        Variable("OIDC_AUDIENCE", "whom the tokens have to be for: this API", "1 to 255 characters"),
        AfterValidator(_audience),
    ] = None
    algorithms: Annotated[
        tuple[str, ...],
        Variable("CROSSDOCK_OIDC_ALGORITHMS", "how tokens may be signed", f"several of {', '.join(_ALGORITHMS)}"),
        BeforeValidator(_listed),
        AfterValidator(_algorithms),
    ] = ("RS256", "PS256", "ES256", "EdDSA")
    leeway: Annotated[
        int,
        Variable("CROSSDOCK_OIDC_LEEWAY", "seconds that the clocks of issuer and service may differ", "0 to 300"),
        Field(ge=0, le=300),
    ] = 30
    scope_claims: Annotated[
        tuple[str, ...],
        Variable(
            "CROSSDOCK_OIDC_SCOPE_CLAIMS",
            "the claims that say what a caller may do; {audience} stands for OIDC_AUDIENCE",
            "names, with dots into claims within claims, separated by commas",
        ),
        BeforeValidator(_listed),
        AfterValidator(_scope_claims),
    ] = ("scope", "scp", "permissions", "realm_access.roles", "resource_access.{audience}.roles")
    default_scopes: Annotated[
        tuple[str, ...],
        Variable(
            "CROSSDOCK_OIDC_DEFAULT_SCOPES",
            "what everybody with a token may do, for issuers whose tokens do not say",
            f"several of {', '.join(scope for scope in SCOPES if scope != OPERATOR)}",
        ),
        BeforeValidator(_listed),
        AfterValidator(_default_scopes),
    ] = ()
    docs_client_id: Annotated[
        str | None,
        Variable(
            "CROSSDOCK_OIDC_DOCS_CLIENT_ID",
            "the public client that the API docs sign people in as (PKCE); without, they take a token by hand",
            "1 to 255 visible ASCII characters",
        ),
        Field(pattern=r"^[\x21-\x7e]{1,255}$"),
    ] = None
    ca_file: Annotated[
        Authorities, Variable("OIDC_SSL_CAFILE", "who vouches for the issuer; without, the usual list", _PEM)
    ] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        for name in ("issuer", "audience"):
            if not getattr(self, name):
                yield name, "is missing: CROSSDOCK_IDENTITY is oidc"

    @property
    def scope_paths(self) -> tuple[str, ...]:
        """Where scopes stand in a token."""
        return tuple(path.replace("{audience}", self.audience or "") for path in self.scope_claims)


# --- the process ------------------------------------------------------------------------------------------------------


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        try:
            ip_network(each)
        except ValueError:
            raise Refused("names something that is no address and no network") from None
    return value


_ORIGIN = re.compile(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")


def _origins(value: tuple[str, ...]) -> tuple[str, ...]:
    for each in value:
        if each != "*" and not _ORIGIN.fullmatch(each):
            raise Refused("names something that no browser sends as Origin")
    return value


class ServerSettings(Part):
    """Where the service listens, who operates it, how long it drains."""

    host: Annotated[
        str, Variable("HOST", "the address to listen on", "a host name or an IP address"), AfterValidator(host_name)
    ] = "127.0.0.1"
    port: Annotated[
        int, Variable("PORT", "the port to listen on; 0 takes a free one", "0 to 65535"), Field(ge=0, le=65535)
    ] = 8000
    probe_port: Annotated[
        int | None,
        Variable(
            "CROSSDOCK_PROBE_PORT",
            "where relay, consumer and worker answer /livez, /readyz and /metrics; without, they do not; 0 takes a "
            "free one",
            "0 to 65535",
        ),
        Field(ge=0, le=65535),
    ] = None
    operator_token: Annotated[
        SecretStr | None,
        Variable(
            "CROSSDOCK_OPERATOR_TOKEN",
            "opens the operator paths; without it one is made up and printed at start when listening on loopback, "
            "else these paths are off",
            "1 to 255 visible ASCII characters",
            secret=True,
        ),
        AfterValidator(_visible),
    ] = None
    rate_limit: Annotated[
        Rate | None,
        Variable(
            "CROSSDOCK_RATE_LIMIT",
            "requests that each caller may make; empty is off",
            "N/second, N/minute, N/hour, N/day",
        ),
        BeforeValidator(rate),
    ] = None
    trusted_proxies: Annotated[
        tuple[str, ...],
        Variable(
            "CROSSDOCK_TRUSTED_PROXIES",
            "whose X-Forwarded-For is believed; without, a caller is the other end of the connection",
            "addresses and networks, separated by commas",
        ),
        BeforeValidator(_listed),
        AfterValidator(_networks),
    ] = ()
    max_in_flight: Annotated[
        int,
        Variable(
            "CROSSDOCK_MAX_IN_FLIGHT",
            "requests that a process works on at once; beyond, they are refused at once",
            "1 to 1000000",
        ),
        Field(ge=1, le=1_000_000),
    ] = 1000
    cors_origins: Annotated[
        tuple[str, ...],
        Variable(
            "CROSSDOCK_CORS_ORIGINS",
            "the sites whose pages may call this API from a browser; without, none but our own",
            "origins as browsers send them (https://app.example.com), separated by commas; * is every site",
        ),
        BeforeValidator(_listed),
        AfterValidator(_origins),
    ] = ()
    grace: Annotated[
        float, Variable("CROSSDOCK_GRACE", "seconds to drain after SIGTERM", "0 to 3600"), Field(ge=0, le=3600)
    ] = 10.0
    idempotency_keep: Annotated[
        int,
        Variable(
            "CROSSDOCK_IDEMPOTENCY_KEEP",
            "seconds that the answer to a request with an Idempotency-Key is kept",
            "60 to 2592000",
        ),
        Field(ge=60, le=2_592_000),
    ] = 86_400

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        return is_loopback(self.host)


class LoggingSettings(Part):
    """How the service speaks about itself."""

    format: Annotated[
        Literal["auto", "console", "json", "datadog"],
        Variable(
            "CROSSDOCK_LOG_FORMAT",
            "auto is console on a terminal, else json; json lines use Elastic Common Schema names, those of datadog "
            "have besides what Datadog knows traces and services by",
            "auto, console, json, datadog",
        ),
    ] = "auto"
    level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"],
        Variable("CROSSDOCK_LOG_LEVEL", "the least that is logged", "debug, info, warning, error, critical"),
    ] = "info"


_TELEMETRY_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")


def _pairs(text: str) -> dict[str, str]:
    """Read ``name=value,name=value``, with values in %-encoding, as OpenTelemetry writes lists of pairs."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    return {name.strip(): unquote(value.strip()) for name, _, value in parts}


def _telemetry_headers(value: SecretStr | None) -> SecretStr | None:
    pairs = {} if value is None else _pairs(value.get_secret_value())
    if not all(_TELEMETRY_HEADER.fullmatch(name) and text.isprintable() and text for name, text in pairs.items()):
        raise Refused("is no list of headers")
    return value


def _resource_attributes(value: str) -> str:
    if not all(name and text for name, text in _pairs(value).items()):
        raise Refused("is no list of attributes")
    return value


def _telemetry_address(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        server_url(value.get_secret_value(), "http", "https")
    return value


_NAMED_VALUES = "name=value, several separated by commas, values in %-encoding"
_COLLECTOR_FORMS = "http://host:port, https://host:port"
_SAMPLERS = Literal[
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
]


class TelemetrySettings(Part):
    """OpenTelemetry: what is told to a collector, by the names that OpenTelemetry has for it."""

    disabled: Annotated[bool, Variable("OTEL_SDK_DISABLED", "true tells no collector anything", "true, false")] = False
    service_name: Annotated[
        str | None,
        Variable(
            "OTEL_SERVICE_NAME",
            "what this service is called there; without, crossdock",
            "1 to 255 printable characters",
        ),
        Field(pattern=r"^[^\x00-\x1f\x7f]{1,255}$"),
    ] = None
    resource: Annotated[
        str,
        Variable("OTEL_RESOURCE_ATTRIBUTES", "what else each process says of itself there", _NAMED_VALUES),
        AfterValidator(_resource_attributes),
    ] = ""
    traces_exporter: Annotated[
        Literal["otlp", "none"] | None,
        Variable(
            "OTEL_TRACES_EXPORTER",
            "whether traces are told; without, when an endpoint is set",
            "otlp, none",
        ),
    ] = None
    metrics_exporter: Annotated[
        Literal["otlp", "none"] | None,
        Variable(
            "OTEL_METRICS_EXPORTER",
            "whether metrics are told, besides what /metrics says; without, when an endpoint is set",
            "otlp, none",
        ),
    ] = None
    metrics_interval: Annotated[
        int,
        Variable("OTEL_METRIC_EXPORT_INTERVAL", "milliseconds between two times of it", "100 to 3600000"),
        Field(ge=100, le=3_600_000),
    ] = 60_000
    sampler: Annotated[
        _SAMPLERS,
        Variable("OTEL_TRACES_SAMPLER", "which traces are told", ", ".join(get_args(_SAMPLERS))),
    ] = "parentbased_always_on"
    sampler_ratio: Annotated[
        float,
        Variable("OTEL_TRACES_SAMPLER_ARG", "the part of them, for the samplers by ratio", "0 to 1"),
        Field(ge=0, le=1),
    ] = 1.0
    endpoint: Annotated[
        SecretStr | None,
        Variable("OTEL_EXPORTER_OTLP_ENDPOINT", "where the collector answers", _COLLECTOR_FORMS, sensitive=True),
        AfterValidator(_telemetry_address),
    ] = None
    traces_endpoint: Annotated[
        SecretStr | None,
        Variable(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "where it takes traces; without, /v1/traces behind the endpoint",
            "http://host:port/path, https://host:port/path",
            sensitive=True,
        ),
        AfterValidator(_telemetry_address),
    ] = None
    metrics_endpoint: Annotated[
        SecretStr | None,
        Variable(
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
            "where it takes metrics; without, /v1/metrics behind the endpoint",
            "http://host:port/path, https://host:port/path",
            sensitive=True,
        ),
        AfterValidator(_telemetry_address),
    ] = None
    protocol: Annotated[
        Literal["http/protobuf"],
        Variable("OTEL_EXPORTER_OTLP_PROTOCOL", "how the collector is spoken to", "http/protobuf"),
    ] = "http/protobuf"
    headers: Annotated[
        SecretStr | None,
        Variable("OTEL_EXPORTER_OTLP_HEADERS", "headers of what is sent to it", _NAMED_VALUES, secret=True),
        AfterValidator(_telemetry_headers),
    ] = None
    ca_file: Annotated[
        Authorities,
        Variable(
            "OTEL_EXPORTER_OTLP_CERTIFICATE", "who vouches for the collector; without, the system's own list", _PEM
        ),
    ] = None

    @property
    def tells_traces(self) -> bool:
        """Whether traces are exported."""
        return self._tells(self.traces_exporter, self.traces_endpoint)

    @property
    def tells_metrics(self) -> bool:
        """Whether metrics are exported."""
        return self._tells(self.metrics_exporter, self.metrics_endpoint)

    def _tells(self, exporter: str | None, own: SecretStr | None) -> bool:
        is_set = self.endpoint is not None or own is not None
        return not self.disabled and (exporter == "otlp" or (exporter is None and is_set))

    def url(self, path: str, own: SecretStr | None) -> str:
        """Where one kind of telemetry goes: ``own`` as it is, else ``path`` behind the endpoint."""
        if own is not None:
            return own.get_secret_value()
        base = "http://localhost:4318" if self.endpoint is None else self.endpoint.get_secret_value()
        return f"{base.rstrip('/')}/{path}"

    @property
    def header_values(self) -> dict[str, str]:
        """The headers by name."""
        return {} if self.headers is None else _pairs(self.headers.get_secret_value())

    @property
    def resource_values(self) -> dict[str, str]:
        """The attributes of this process, by name."""
        return _pairs(self.resource)

    @property
    def environment(self) -> str:
        """Where this process works: ``production``, say; empty when nobody has said."""
        named = self.resource_values
        return named.get("deployment.environment.name") or named.get("deployment.environment", "")

    def secrets(self) -> Iterator[str]:
        yield from super().secrets()
        yield from self.header_values.values()


class FileSettings(Part):
    """Where settings stand that are neither in the environment nor in ``.env``."""

    secrets_dir: Annotated[
        Path | None,
        Variable(
            "CROSSDOCK_SECRETS_DIR",
            "a folder of files, such as /run/secrets, each named like a setting and with its value inside; the "
            "environment and .env win over it",
            "the path of a folder",
        ),
    ] = None


def _dsn(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        parts = urlsplit(server_url(value.get_secret_value(), "http", "https"))
        if not (parts.username and parts.path.rpartition("/")[2].isdecimal()):
            raise Refused("names no key and no project")
    return value


class ErrorReportSettings(Part):
    """Whom errors are reported to that nobody foresaw."""

    dsn: Annotated[
        SecretStr | None,
        Variable(
            "SENTRY_DSN",
            "where errors are reported that nobody foresaw, and what has died: a project of Sentry or of its like; "
            "without, nowhere",
            "https://key@host/project",
            secret=True,
        ),
        AfterValidator(_dsn),
    ] = None
    environment: Annotated[
        str | None,
        Variable(
            "SENTRY_ENVIRONMENT",
            "where this process works; without, deployment.environment.name of OTEL_RESOURCE_ATTRIBUTES, "
            "else production",
            "1 to 64 letters, digits, dots, dashes and underscores",
        ),
        Field(pattern=r"^[A-Za-z0-9._-]{1,64}$"),
    ] = None
    release: Annotated[
        str | None,
        Variable(
            "SENTRY_RELEASE", "what is running; without, crossdock@ and its version", "1 to 200 visible characters"
        ),
        Field(pattern=r"^[\x21-\x7e]{1,200}$"),
    ] = None

    def secrets(self) -> Iterator[str]:
        if self.dsn is not None:
            yield self.dsn.get_secret_value()
            yield from passwords_in(self.dsn.get_secret_value())
            yield urlsplit(self.dsn.get_secret_value()).username or ""


def _fault(value: str) -> str:
    if value and not _FAULT.fullmatch(value):
        raise Refused("is no fault at a known point")
    return value


class FaultSettings(Part):
    """Faults on purpose; for the tests of the promises."""

    armed: Annotated[
        str,
        Variable(
            "CROSSDOCK_FAULT",
            "a step at which the process dies or stops, at the first time or the Nth; for tests only",
            f"POINT:kill, POINT:freeze, POINT:kill:N, POINT:freeze:N with POINT one of {', '.join(CrashPoint)}",
        ),
        AfterValidator(_fault),
    ] = ""
