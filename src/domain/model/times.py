"""Instants as text: RFC 3339, UTC."""

from datetime import UTC, datetime


def to_rfc3339(instant: datetime) -> str:
    """``2026-11-23T05:13:57.123456Z``; the instant must know its zone."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime:
    """The instant, in UTC; `ValueError` when the text is no instant or has no zone."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant needs a zone")
    return instant.astimezone(UTC)
