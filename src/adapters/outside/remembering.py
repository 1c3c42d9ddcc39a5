"""Leaves answers in memory for the next who asks."""

from typing import Generic

from adapters.outside.ask import A, Ask, Q
from adapters.outside.codec import Codec
from adapters.outside.memory import Memory


class Remembering(Generic[Q, A]):
    """Looks once more before it asks, and remembers what it hears, also that there is no such thing.

    Whoever was late finds here what the one before has left; ``young_seconds`` is how old that may be.
    """

    def __init__(self, ask: Ask[Q, A], *, memory: Memory[Q, A], codec: Codec[Q, A], young_seconds: float) -> None:
        self._ask = ask
        self._memory = memory
        self._unknown = codec.unknown
        self._young_seconds = young_seconds

    async def __call__(self, question: Q) -> A:
        found = await self._memory.recall(question)
        if found is not None:
            entry, age = found
            if age < self._young_seconds:
                return entry.answer
        try:
            answer = await self._ask(question)
        except self._unknown:
            await self._memory.remember_unknown(question)
            raise
        await self._memory.remember(question, answer)
        return answer
