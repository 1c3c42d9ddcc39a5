"""The settings of what carries events."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr

from entrypoints.settings_part import PEM, Authorities, Part, PemFile, contradictory_certificates, server_list
from entrypoints.settings_variables import Refused, Variable, server_url

_NAME = r"[A-Za-z0-9._-]{1,100}"  # what Kafka allows in a topic, with room for the rest of it


def _prefix(value: str) -> str:
    if value and not re.fullmatch(_NAME, value):
        raise Refused("cannot stand in the name of a topic")
    return value


def _amqp(value: SecretStr) -> SecretStr:
    url = server_url(value.get_secret_value(), "amqp", "amqps")
    if "?" in url or "#" in url:
        raise Refused("has a query or a fragment, which nothing here would read")
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
        AfterValidator(server_list),
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
        Authorities, Variable("KAFKA_SSL_CAFILE", "who vouches for the servers; without, the system's own list", PEM)
    ] = None
    certificate_file: Annotated[PemFile, Variable("KAFKA_SSL_CERTFILE", "our own certificate", PEM)] = None
    key_file: Annotated[PemFile, Variable("KAFKA_SSL_KEYFILE", "the key of our own certificate", PEM)] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from contradictory_certificates(self.certificate_file, self.key_file)
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
        Authorities, Variable("RABBITMQ_SSL_CAFILE", "who vouches for the server; without, the system's own list", PEM)
    ] = None
    certificate_file: Annotated[PemFile, Variable("RABBITMQ_SSL_CERTFILE", "our own certificate", PEM)] = None
    key_file: Annotated[PemFile, Variable("RABBITMQ_SSL_KEYFILE", "the key of our own certificate", PEM)] = None

    def contradictions(self) -> Iterator[tuple[str, str]]:
        yield from contradictory_certificates(self.certificate_file, self.key_file)
