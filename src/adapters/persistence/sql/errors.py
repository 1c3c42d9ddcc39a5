"""From the errors of sqlite3 to those of the port, in one table."""

import sqlite3

from ports.errors import PortError, Rejected, Unavailable
from ports.trouble import Cause

# What sqlite3 may raise for a statement: its own tree, and what its binding of parameters raises for odd values.
SQLITE_ERRORS = (sqlite3.Error, sqlite3.Warning, UnicodeError, OverflowError)

_BY_CODE = {
    sqlite3.SQLITE_BUSY: "another process holds the database",
    sqlite3.SQLITE_LOCKED: "the database is locked",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk failed",
    sqlite3.SQLITE_CANTOPEN: "the database file cannot be opened",
    sqlite3.SQLITE_READONLY: "the database file cannot be written",
    sqlite3.SQLITE_NOMEM: "no memory is left",
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted",
    sqlite3.SQLITE_PROTOCOL: "the database is locked",
    sqlite3.SQLITE_SCHEMA: "the schema is being changed",
}

_BY_CLASS: dict[type[Exception], type[PortError]] = {
    sqlite3.OperationalError: Unavailable,
    sqlite3.InternalError: Unavailable,
    sqlite3.InterfaceError: Rejected,
    sqlite3.DataError: Rejected,
    sqlite3.IntegrityError: Rejected,
    sqlite3.ProgrammingError: Rejected,
    sqlite3.NotSupportedError: Rejected,
    sqlite3.DatabaseError: Rejected,
    sqlite3.Error: Rejected,
    sqlite3.Warning: Rejected,
    UnicodeError: Rejected,
    OverflowError: Rejected,
}


def port_error(error: Exception) -> PortError:
    """The port's word for an error of the driver; chain the cause."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in _BY_CODE:
        cause = Cause.FULL if code & 0xFF == sqlite3.SQLITE_FULL else Cause.OUT_OF_REACH
        return Unavailable(_BY_CODE[code & 0xFF], retry_after=1, cause=cause)
    for kind in type(error).__mro__:
        if kind in _BY_CLASS:
            return _BY_CLASS[kind](f"the database refused: {type(error).__name__}: {error}")
    raise TypeError(f"not an error of sqlite3: {type(error).__name__}") from error
