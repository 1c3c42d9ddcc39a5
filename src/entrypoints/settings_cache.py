"""The settings of what remembers answers."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from entrypoints.settings_part import PEM, Authorities, Part, server_list
from entrypoints.settings_variables import Refused, Server, Variable, server_of, server_url


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
        Authorities, Variable("REDIS_SSL_CAFILE", "who vouches for Redis; without, the system's own list", PEM)
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
    places = [server.strip().lower().rpartition(":") for server in server_list(value).split(",")]
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
