"""The messages that peers send: the same as ours, byte for byte."""

import json
from pathlib import Path
from typing import NamedTuple


class Message(NamedTuple):
    """What travels."""

    subject: str
    attributes: dict[str, str]
    partition: int
    body: bytes

    @property
    def kafka_headers(self) -> list[tuple[str, bytes]]:
        return [(f"ce_{name}", text.encode()) for name, text in self.attributes.items()]


def read_messages(path: str, most: int | None = None) -> list[Message]:
    """Of a file that the bench has written."""
    lines = Path(path).read_text(encoding="utf-8").splitlines()[:most]
    return [
        Message(subject, attributes, partition, body.encode())
        for subject, attributes, partition, body in map(json.loads, lines)
    ]
