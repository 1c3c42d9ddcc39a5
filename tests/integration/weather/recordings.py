"""What a provider has said, kept in a file: written while the real one is asked, and said again by the stand-in.

Keys are never written: of a request the address's path and the open parameters are kept.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Unpack
from urllib.parse import urlsplit

from adapters.http_client import Answer, Details
from adapters.outside.metered import Http
from tests.stand_ins.weather_server import Asked, answers, head

FOLDER: Final = Path(__file__).parents[2] / "recordings" / "weather"
SECRETS: Final = frozenset({"appid"})  # what is asked besides, and stands in no file

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and the answer to it."""

    path: str
    parameters: Parameters
    status: int
    body: object

    @property
    def name(self) -> str:
        """What people find it by."""
        asked = self.parameters.get("q") or self.parameters.get("name") or ",".join(self.parameters.values())
        return f"{self.path} {asked}"


@dataclass(slots=True)
class Recording:
    """The exchanges with one provider."""

    about: str
    exchanges: list[Exchange] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> "Recording":
        """What a file holds."""
        content = json.loads(path.read_text(encoding="utf-8"))
        return cls(content["about"], [Exchange(**exchange) for exchange in content["exchanges"]])

    @classmethod
    def continued(cls, path: Path, about: str) -> "Recording":
        """What a file holds if it is about the same, else nothing: answers of two days are not mixed."""
        found = cls.read(path) if path.exists() else None
        return found if found is not None and found.about == about else cls(about)

    def write(self, path: Path) -> None:
        """Keep it, readable and in an order that does not depend on when things were asked."""
        rows = [
            {"path": one.path, "parameters": dict(one.parameters), "status": one.status, "body": one.body}
            for one in sorted(self.exchanges, key=lambda one: (one.path, sorted(one.parameters.items())))
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"about": self.about, "exchanges": rows}, ensure_ascii=False, indent=1)
        path.write_text(f"{text}\n", encoding="utf-8")

    def note(self, exchange: Exchange) -> None:
        """Take the place of an older answer to the same question."""
        same = (exchange.path, exchange.parameters)
        self.exchanges[:] = [one for one in self.exchanges if (one.path, one.parameters) != same]
        self.exchanges.append(exchange)

    def answer_to(self, path: str, parameters: Parameters) -> Exchange | None:
        """What was said to this."""
        return next((one for one in self.exchanges if (one.path, one.parameters) == (path, parameters)), None)

    async def replay(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Say again what was said; a script of the stand-in. What nobody has asked is an error, and not invented."""
        parameters = {name: value for name, value in asked.query if name not in SECRETS}
        exchange = self.answer_to(asked.path, parameters)
        if exchange is None:
            writer.write(head(501, {"Content-Length": "0"}))
        else:
            await answers(exchange.body, status=exchange.status)(asked, writer)


class Recorder:
    """An HTTP client that notes what it is answered."""

    def __init__(self, http: Http, recording: Recording) -> None:
        self._http = http
        self._recording = recording

    async def get(self, url: str, parameters: Mapping[str, str], **details: Unpack[Details]) -> Answer:
        """As the one inside."""
        answer = await self._http.get(url, parameters, **details)
        body = json.loads(answer.body)
        self._recording.note(Exchange(urlsplit(url).path, dict(parameters), answer.status, body))
        return answer
