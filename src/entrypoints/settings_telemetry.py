"""The settings of what the service says of itself, and to whom."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal, get_args
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, SecretStr

from entrypoints.settings_part import PEM, Authorities, Part
from entrypoints.settings_variables import Refused, Variable, passwords_in, server_url


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
    """What is counted, and OpenTelemetry: what is told to a collector, by the names that OpenTelemetry has for it."""

    metrics: Annotated[
        bool,
        Variable(
            "CROSSDOCK_METRICS",
            "whether requests are counted, /metrics answers, and a collector is told metrics",
            "true, false",
        ),
    ] = True
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
            "OTEL_EXPORTER_OTLP_CERTIFICATE", "who vouches for the collector; without, the system's own list", PEM
        ),
    ] = None

    @property
    def tells_traces(self) -> bool:
        """Whether traces are exported."""
        return self._tells(self.traces_exporter, self.traces_endpoint)

    @property
    def tells_metrics(self) -> bool:
        """Whether metrics are exported."""
        return self.metrics and self._tells(self.metrics_exporter, self.metrics_endpoint)

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
