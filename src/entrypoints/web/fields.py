"""What fields look like in our JSON, for the documentation, and how JSON is written."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field
from pydantic_core import to_json as _to_json

# Requests say exactly what is expected: no unknown fields, no "3" for 3, no 1 for true.
STRICT = ConfigDict(extra="forbid", strict=True)

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87"])]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T05:13:57.123456Z"])]
Amount = Annotated[
    str,
    Field(
        json_schema_extra={"pattern": r"^\d{1,12}(\.\d{1,4})?$"},
        examples=["9.90"],
        description="Exact; never a JSON number.",
    ),
]

_UUID_LENGTH = 36


def to_json(value: object) -> bytes:
    """JSON as UTF-8, without blanks; a number that JSON has no word for becomes null."""
    return _to_json(value, inf_nan_mode="null")


def id_from_path(text: str) -> UUID | None:
    """The id, or None for a text that is none: nothing can have it, so whoever asks is told that it is not found."""
    try:
        return UUID(text) if len(text) == _UUID_LENGTH else None
    except ValueError:
        return None
