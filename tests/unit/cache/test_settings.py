"""Where the cache is: read from the environment, refused readably when it cannot be."""

import pytest

from entrypoints.settings import Settings, SettingsError
from entrypoints.settings_ports import MemcachedCache, RedisCache

CANARY = "canary-7f3a9c"


def redis_at(url: str) -> RedisCache:
    chosen = Settings.load({"CROSSDOCK_CACHE": "redis", "REDIS_URL": url}, None).cache
    assert isinstance(chosen, RedisCache)
    return chosen


def memcached_at(servers: str) -> MemcachedCache:
    chosen = Settings.load({"CROSSDOCK_CACHE": "memcached", "MEMCACHED_SERVERS": servers}, None).cache
    assert isinstance(chosen, MemcachedCache)
    return chosen


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("redis://localhost", ("redis", "localhost", 6379, None, None, 0)),
        ("redis://localhost/", ("redis", "localhost", 6379, None, None, 0)),
        ("redis://cache.example:6380/7", ("redis", "cache.example", 6380, None, None, 7)),
        ("redis://:secret@h/1", ("redis", "h", 6379, None, "secret", 1)),
        ("rediss://ann:p%40ss%2Fw@h:1/15", ("rediss", "h", 1, "ann", "p@ss/w", 15)),
        ("REDISS://[::1]:6379", ("rediss", "::1", 6379, None, None, 0)),
    ],
)
def test_an_address_of_redis_is_read(url: str, parts: tuple[object, ...]) -> None:
    chosen = redis_at(url)

    server = chosen.server
    assert (server.scheme, server.host, server.port, server.user, server.password, chosen.database) == parts


@pytest.mark.parametrize(
    "url",
    [
        "localhost:6379",
        "http://localhost:6379",
        "unix:///run/redis.sock",
        "redis://",
        "redis:///0",
        "redis://h:port",
        "redis://h:0",
        "redis://h:70000",
        "redis://two words",
        "redis://h/first",
        "redis://h/-1",
        "redis://h/12345",
        "redis://h/1/2",
        "redis://h/0?ssl_cert_reqs=none",
        "redis://h/0#0",
        "redis://ann@h",
        f"redis://:{CANARY}@h/first",
        f"redis://ann:{CANARY}@h:port",
        f"redis://h?password={CANARY}",
    ],
)
def test_an_address_that_cannot_be_one_is_refused_and_shows_no_password(url: str) -> None:
    with pytest.raises(SettingsError) as caught:
        redis_at(url)

    (problem,) = caught.value.problems
    assert problem.variable == "REDIS_URL"
    assert "redis://user:password@host:port/number" in problem.allowed
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(problem)


def test_an_authority_without_tls_would_be_of_no_use() -> None:
    import ssl  # noqa: PLC0415 - some file of certificates that is there

    file = ssl.get_default_verify_paths().cafile or ssl.get_default_verify_paths().openssl_cafile

    with pytest.raises(SettingsError) as caught:
        Settings.load({"CROSSDOCK_CACHE": "redis", "REDIS_SSL_CAFILE": file}, None)

    (problem,) = caught.value.problems
    assert problem.variable == "REDIS_SSL_CAFILE"


def test_the_password_of_redis_is_a_secret() -> None:
    settings = Settings.load({"CROSSDOCK_CACHE": "redis", "REDIS_URL": f"redis://:{CANARY}@h"}, None)

    assert settings.secrets == (CANARY,)
    assert CANARY not in repr(settings)
    assert all(CANARY not in line.shown for line in settings.lines)


@pytest.mark.parametrize(
    ("servers", "places"),
    [
        ("localhost:11211", [("localhost", 11211)]),
        ("a.example:1, b.example:2 ,c:3", [("a.example", 1), ("b.example", 2), ("c", 3)]),
        ("[::1]:11211", [("::1", 11211)]),
    ],
)
def test_the_servers_of_memcached_are_read(servers: str, places: list[tuple[str, int]]) -> None:
    assert list(memcached_at(servers).places) == places


@pytest.mark.parametrize(
    "servers",
    [
        "localhost",
        "localhost:",
        ":11211",
        "a:1,,b:2",
        "a:1,",
        "a:0",
        "a:port",
        "a b:1",
        "a:1,a:1",
        "A:1,a:1",
        "a:1,a:01",
        "[a:1",
        "u@h:1",
    ],
)
def test_what_is_no_list_of_servers_is_refused(servers: str) -> None:
    with pytest.raises(SettingsError) as caught:
        memcached_at(servers)

    (problem,) = caught.value.problems
    assert problem.variable == "MEMCACHED_SERVERS"


def test_the_settings_of_caches_that_were_not_chosen_are_checked_as_well() -> None:
    """What can never work is better told now than on the day that the cache is changed."""
    with pytest.raises(SettingsError) as caught:
        Settings.load({"CROSSDOCK_CACHE": "memory", "REDIS_URL": "nonsense", "MEMCACHED_SERVERS": "nonsense"}, None)

    assert [problem.variable for problem in caught.value.problems] == ["REDIS_URL", "MEMCACHED_SERVERS"]
