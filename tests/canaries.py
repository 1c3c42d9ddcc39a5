"""A value of its own for each secret, which can be told wherever it turns up and however it was written there."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote

from entrypoints.settings import Settings

# What is around a canary wants %-encoding in an address and an escape in JSON, as passwords of people do.
_FORMS = {
    "DATABASE_URL": "postgresql://app:{quoted}@127.0.0.1:{port}/crossdock",
    "KAFKA_SASL_PASSWORD": "{plain}",
    "RABBITMQ_URL": "amqp://app:{quoted}@127.0.0.1:{port}/",
    "CELERY_BROKER_URL": "{carrier}://app:{quoted}@127.0.0.1:{port}/0",
    "CELERY_RESULT_BACKEND": "redis://app:{quoted}@127.0.0.1:{port}/0",
    "OPEN_WEATHER_API_KEY": "{plain}",
    "REDIS_URL": "redis://app:{quoted}@127.0.0.1:{port}/0",
    "SMTP_URL": "smtp://app:{quoted}@127.0.0.1:{mail_port}",
    "CROSSDOCK_OPERATOR_TOKEN": "{plain}",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "http://app:{quoted}@127.0.0.1:{port}",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://app:{quoted}@127.0.0.1:{port}/v1/traces",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://app:{quoted}@127.0.0.1:{port}/v1/metrics",
    "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20{quoted}",
    "SENTRY_DSN": "http://{quoted}@127.0.0.1:{port}/1",
}
# What callers send and is theirs alone.
CALLERS = ("the token of a caller", "the key of a request", "the cookie of a caller", "the query of a caller")


def secret_settings() -> list[str]:
    """The settings that are a secret, or may hold one."""
    return [line.variable.name for line in Settings.defaults().lines if line.variable.secret or line.variable.sensitive]


NAMES = (*_FORMS, *CALLERS)


def canary(name: str) -> str:
    """The part that is looked for: letters and digits, which no encoding of text changes."""
    return f"Canary{NAMES.index(name):02d}b7Xq9Tz"


def secret(name: str) -> str:
    """The whole secret."""
    return f'{canary(name)}/"+%'


def given(port: int, *, mail_port: int, carrier: str) -> dict[str, str]:
    """Each secret setting, for servers on these ports of this machine; ``carrier`` is the scheme of Celery's broker."""
    return {
        name: form.format(
            plain=secret(name), quoted=quote(secret(name), safe=""), port=port, mail_port=mail_port, carrier=carrier
        )
        for name, form in _FORMS.items()
    }


def _encodings(text: str) -> Iterator[bytes]:
    raw = text.encode()
    yield raw
    yield raw.hex().encode()
    yield raw[::-1]
    for before in range(3):  # base64 has three faces, by what stands before
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            # Less what is mixed with the bytes before and behind.
            yield encode(b"\0" * before + raw)[(0, 2, 3)[before] : -4 if (before + len(raw)) % 3 else None]


_LOOKED_FOR: Mapping[str, tuple[bytes, ...]] = {name: tuple(_encodings(canary(name).lower())) for name in NAMES}
_AS_IT_IS: Mapping[str, tuple[bytes, ...]] = {name: tuple(_encodings(canary(name))) for name in NAMES}


def found_in(output: str | bytes) -> list[str]:
    """Whose canaries are in an output: as they are, in other letters, in hexadecimal, backwards or in base64."""
    raw = output.encode(errors="surrogateescape") if isinstance(output, str) else output
    small = raw.lower()
    return [
        name
        for name in NAMES
        if any(form in raw for form in _AS_IT_IS[name]) or any(form in small for form in _LOOKED_FOR[name][:3])
    ]


def leaks(outputs: Iterable[tuple[str, str | bytes]]) -> list[str]:
    """Where which canaries are, of outputs with their names."""
    return [f"{where}: {name}" for where, output in outputs for name in found_in(output)]
