"""From the errors of asyncpg to those of the port, in one table."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from asyncpg import exceptions  # type: ignore[import-untyped]

from ports.errors import PortError, Rejected, Unavailable
from ports.trouble import Cause

# What asyncpg may raise: its own trees, those of the socket, and what its encoding of parameters raises for odd values.
POSTGRESQL_ERRORS = (
    exceptions.PostgresError,
    exceptions.InterfaceError,
    exceptions.InternalClientError,
    OSError,
    TimeoutError,
    UnicodeError,
    OverflowError,
)

# By the class of the SQLSTATE, which is its first two characters.
STATES: dict[str, type[PortError]] = {
    "01": Rejected,  # warnings, which are not raised
    "02": Rejected,
    "03": Unavailable,  # the statement is not complete yet
    "08": Unavailable,  # connection
    "09": Rejected,
    "0A": Rejected,  # not supported
    "0B": Rejected,
    "0F": Rejected,
    "0L": Rejected,
    "0P": Rejected,
    "0Z": Rejected,
    "10": Rejected,
    "20": Rejected,
    "21": Rejected,
    "22": Rejected,  # data
    "23": Rejected,  # constraints
    "24": Rejected,
    "25": Unavailable,  # the state of the transaction: ended under us, or on a server that only reads now
    "26": Rejected,
    "27": Rejected,
    "28": Unavailable,  # the login: somebody is changing a password
    "2B": Rejected,
    "2D": Rejected,
    "2F": Rejected,
    "34": Rejected,
    "38": Rejected,
    "39": Rejected,
    "3B": Rejected,
    "3D": Unavailable,  # no such database
    "3F": Rejected,
    "40": Unavailable,  # rolled back: a deadlock, a serialization failure
    "42": Rejected,  # syntax, rights, names
    "44": Rejected,
    "53": Unavailable,  # resources: disk, memory, connections
    "54": Rejected,  # too large or too complex
    "55": Unavailable,  # locks, objects in use
    "57": Unavailable,  # an operator, a shutdown, a time-out
    "58": Unavailable,  # the system: I/O
    "72": Unavailable,
    "F0": Unavailable,  # its configuration file
    "HV": Rejected,
    "P0": Rejected,  # raised in a function
    "XX": Unavailable,  # internal: of the server, not of what it was given
}

_BY_CLASS: dict[type[BaseException], type[PortError]] = {
    exceptions.InvalidCachedStatementError: Unavailable,  # the schema has been changed; the next call knows it
    exceptions.OutdatedSchemaCacheError: Unavailable,
    exceptions.InternalClientError: Unavailable,
    exceptions.TargetServerAttributeNotMatched: Unavailable,
    exceptions.ClientConfigurationError: Rejected,
    exceptions.UnsupportedClientFeatureError: Rejected,
    exceptions.UnsupportedServerFeatureError: Rejected,
    exceptions.InterfaceError: Unavailable,  # "connection is closed" and the like
    ssl.SSLError: Unavailable,
    OSError: Unavailable,
    TimeoutError: Unavailable,
    UnicodeError: Rejected,
    OverflowError: Rejected,
}


def port_error(error: BaseException) -> PortError:
    """The port's word for an error of the driver; chain the cause."""
    kind, words = _kind(error), _words(error)
    if kind is Unavailable:
        cause = Cause.FULL if isinstance(error, exceptions.DiskFullError) else Cause.OUT_OF_REACH
        return Unavailable(f"the database is not available: {words}", retry_after=1, cause=cause)
    return kind(f"the database refused: {words}")


def _kind(error: BaseException) -> type[PortError]:
    code = getattr(error, "sqlstate", None) or ""
    for kind in type(error).__mro__:
        if kind in _BY_CLASS:
            return _BY_CLASS[kind]
        if kind is exceptions.PostgresError:  # what newer servers say has no class of its own
            return STATES.get(code[:2], Unavailable)
    raise TypeError(f"not an error of asyncpg: {type(error).__name__}") from error


def _words(error: BaseException) -> str:
    """What it says, without its details: those show what was written."""
    if isinstance(error, exceptions.DataError) and error.__cause__ is not None:
        return f"{type(error).__name__}: {type(error.__cause__).__name__}"  # of asyncpg, which quotes the value
    if isinstance(error, exceptions.PostgresError):
        return f"{type(error).__name__}: {error.args[0] if error.args else ''}"
    if isinstance(error, UnicodeError | OverflowError):
        return type(error).__name__
    return f"{type(error).__name__}: {error}".rstrip(": ")


def is_lost(error: BaseException) -> bool:
    """Whether it leaves open what became of the statement: the connection is gone, or the server is going."""
    if isinstance(error, exceptions.ClientConfigurationError | UnicodeError | OverflowError):
        return False
    if isinstance(error, exceptions.PostgresError):
        code = getattr(error, "sqlstate", None) or ""
        return code[:2] == "08" or code in {"57P01", "57P02", "57P03", "57P05", "25P03", "25P04"}
    return True


@contextmanager
def translated() -> Iterator[None]:
    """What asyncpg raises leaves the block as an error of the port."""
    try:
        yield
    except POSTGRESQL_ERRORS as error:
        raise port_error(error) from error
