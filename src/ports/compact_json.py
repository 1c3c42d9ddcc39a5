"""JSON without blanks, as rows and messages hold it."""

from json import JSONEncoder
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]

_encoder = JSONEncoder(ensure_ascii=False, separators=(",", ":"))
# What the encoder makes anew for each value, which takes longer than to write a small one. Nothing here is in a circle.
_written = c_make_encoder(None, _encoder.default, encode_basestring, None, ":", ",", False, False, True)


def compact_json(value: object) -> str:
    """The text; `TypeError` for what JSON has no word for."""
    return "".join(_written(value, 0))
