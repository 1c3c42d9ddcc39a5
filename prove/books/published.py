"""One event as a foreign reader finds it on a broker."""

import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """What its headers and its body say."""

    topic: str
    attributes: Mapping[str, str]  # without what a protocol puts before their names
    body: bytes

    @property
    def id(self) -> str:
        return self.attributes["id"]

    @property
    def source(self) -> str:
        return self.attributes["source"]

    @property
    def type(self) -> str:
        return self.attributes["type"]

    @property
    def subject(self) -> str:
        return self.attributes["subject"]

    @property
    def sequence(self) -> int:
        return int(self.attributes["sequence"])

    @property
    def data(self) -> dict[str, object]:
        data = json.loads(self.body)
        assert isinstance(data, dict)
        return data
