"""The settings of what keeps everything."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr

from entrypoints.settings_part import Part
from entrypoints.settings_variables import Refused, Variable, server_url


def _server(value: SecretStr) -> SecretStr:
    server_url(value.get_secret_value())
    return value


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
