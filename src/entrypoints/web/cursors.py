"""Cursors: where a list goes on, as a text that callers hand back and need not understand.

A cursor is what the next page starts after, with a mark of the list it belongs to and a checksum: a cursor that was
shortened, changed or taken from another list is told from a good one. It is no secret, and no promise beyond that.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from entrypoints.web.errors import Complaint, invalid_request

CURSOR_MOST = 64

_ORDER = b"o"
_POSITION = b"p"
_CHECKSUM = 4
_NUMBER = 8
_NO_CURSOR = Complaint("/cursor", "This is no cursor of this list.", "query")
_POSITION_MOST = 2**63 - 1  # what a store counts to


def order_cursor(id: UUID) -> str:
    """The page of orders that were placed before this one."""
    return _seal(_ORDER, id.bytes)


def order_of(cursor: str) -> UUID:
    """The order; a `Problem` for what is no such cursor."""
    return UUID(bytes=_open(_ORDER, cursor, 16))


def position_cursor(position: int) -> str:
    """The page of deliveries after this position."""
    return _seal(_POSITION, position.to_bytes(_NUMBER, "big"))


def position_of(cursor: str) -> int:
    """The position; a `Problem` for what is no such cursor."""
    position = int.from_bytes(_open(_POSITION, cursor, _NUMBER), "big")
    if position > _POSITION_MOST:
        raise invalid_request([_NO_CURSOR])
    return position


def _seal(mark: bytes, value: bytes) -> str:
    marked = mark + value
    checksum = binascii.crc32(marked).to_bytes(_CHECKSUM, "big")
    return urlsafe_b64encode(marked + checksum).decode().rstrip("=")


def _open(mark: bytes, cursor: str, length: int) -> bytes:
    try:
        sealed = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)) if len(cursor) <= CURSOR_MOST else b""
    except ValueError:  # a character that is not ASCII, or a length that cannot be
        sealed = b""
    value = sealed[1:-_CHECKSUM]
    if len(value) != length or _seal(mark, value) != cursor:
        raise invalid_request([_NO_CURSOR])
    return value
