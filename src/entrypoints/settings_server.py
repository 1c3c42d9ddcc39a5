"""The settings of the process: where it listens, and where secrets are read from."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from entrypoints.settings_part import Part, listed, visible
from entrypoints.settings_variables import Rate, Refused, Variable, host_name, is_loopback, rate


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
        AfterValidator(visible),
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
        BeforeValidator(listed),
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
        BeforeValidator(listed),
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
