"""An outside API in the hand of a test: what an hour is called somewhere, for want of anything simpler."""

from dataclasses import dataclass, replace
from datetime import datetime

from adapters.outside.codec import Codec
from domain.model.errors import Refusal
from ports.clock import Clock
from ports.quota import Quota


class NoSuchWord(Refusal):
    """There is no such word."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer."""

    words: str
    asked_at: datetime
    stale: bool = False


class Scripted:
    """Answers a word with itself, ``seconds`` later; raises the next of ``errors`` first, one a call."""

    def __init__(self, clock: Clock, *errors: BaseException, seconds: float = 0, name: str = "") -> None:
        self.errors = list(errors)
        self.always: BaseException | None = None
        self.seconds = seconds
        self.calls: list[float] = []
        self._clock = clock
        self._name = name

    async def __call__(self, word: str) -> Said:
        self.calls.append(self._clock.monotonic())
        asked_at = self._clock.now()
        if self.seconds:
            await self._clock.sleep(self.seconds)
        if self.errors:
            raise self.errors.pop(0)
        if self.always is not None:
            raise self.always
        return Said(f"{word}{self._name}", asked_at)


class SaidCodec(Codec[str, Said]):
    """Words and time on two lines."""

    version = 1
    unknown = NoSuchWord

    def key(self, question: str) -> str:
        return question.casefold()

    def encode(self, answer: Said) -> bytes:
        return f"{answer.words}\n{answer.asked_at.isoformat()}".encode()

    def decode(self, stored: bytes) -> Said:
        words, time = stored.decode().split("\n")
        return Said(words, datetime.fromisoformat(time))

    def asked_at(self, answer: Said) -> datetime:
        return answer.asked_at

    def stale(self, answer: Said) -> Said:
        return replace(answer, stale=True)


class ToldQuota(Quota):
    """Grants, or tells to wait, as a test says: 0 is a grant, and when nothing is left to say everything is granted."""

    def __init__(self, *waits: float) -> None:
        self.waits = list(waits)
        self.granted = 0

    async def take(self) -> float:
        wait = self.waits.pop(0) if self.waits else 0.0
        self.granted += wait == 0
        return wait

    async def left(self) -> int:
        return 60 - self.granted
