"""What fields look like in our JSON, for the documentation, and how JSON is written."""

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError
from pydantic_core import to_json as _to_json

from domain.model.money import DIGITS_BEFORE_POINT, TOTAL_DIGITS_BEFORE_POINT

# Requests say exactly what is expected: no unknown fields, no "3" for 3, no 1 for true.
STRICT = ConfigDict(extra="forbid", strict=True)

# What the domain takes for a line of text, as far as a pattern that everybody reads alike can say it: no control
# characters, and not only blanks.
_VISIBLE = r"[^\u0000-\u001f\u007f-\u009f]"
ONE_LINE = rf"^{_VISIBLE}*[^\u0000-\u0020\u007f-\u00a0\u2000-\u200b\u3000]{_VISIBLE}*$"

Id = Annotated[str, Field(json_schema_extra={"format": "uuid"}, examples=["01937b5e-8f3a-7c21-9a4e-5d2f6b1c0e87"])]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-11-23T05:13:57.123456Z"])]


def _amount(pattern: str, example: str) -> Any:
    return Field(json_schema_extra={"pattern": pattern}, examples=[example], description="Exact; never a JSON number.")


Amount = Annotated[str, _amount(rf"^[0-9]{{1,{DIGITS_BEFORE_POINT}}}(\.[0-9]{{1,4}})?$", "9.90")]
GivenAmount = Annotated[str, _amount(rf"^0*[0-9]{{1,{DIGITS_BEFORE_POINT}}}(\.[0-9]{{1,4}})?$", "9.90")]
Total = Annotated[str, _amount(rf"^[0-9]{{1,{TOTAL_DIGITS_BEFORE_POINT}}}(\.[0-9]{{1,4}})?$", "19.80")]

# Outer blanks are taken off; further characters that cannot be seen (Unicode's category Cf) are refused as well.
OneLine = Annotated[str, Field(json_schema_extra={"pattern": ONE_LINE})]

# A UUID as everybody writes it: UUID() takes braces, other scripts' digits and hyphens anywhere as well.
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_WHOLE_NUMBER = re.compile(r"-?[0-9]+")


def to_json(value: object) -> bytes:
    """JSON as UTF-8, without blanks; a number that JSON has no word for becomes null."""
    return _to_json(value, inf_nan_mode="null")


def id_from_path(text: str) -> UUID | None:
    """The id, or None for a text that is none: nothing can have it, so whoever asks is told that it is not found."""
    return UUID(text) if _UUID.fullmatch(text) else None


def _whole_number(value: object) -> object:
    """As JSON writes it: without a look at it first, `` 5``, ``5_0`` and ``5.0`` are numbers too."""
    if isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        raise PydanticCustomError("int_parsing", "This must be a whole number.")
    return value


Limit = Annotated[int, Field(ge=1, le=100), BeforeValidator(_whole_number)]
