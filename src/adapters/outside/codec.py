"""What has to be known about the answers of an outside API to remember them."""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Generic

from adapters.outside.ask import A, Q


class Codec(ABC, Generic[Q, A]):
    """Turns answers into bytes and back; one small class for each port that is remembered."""

    # The version of what `encode` writes: with another one, what others have stored is not even looked at.
    version: int
    # What is raised when there is no such thing, which is remembered too.
    unknown: type[Exception]

    @abstractmethod
    def key(self, question: Q) -> str:
        """Equal for questions that have one answer; any text."""

    @abstractmethod
    def encode(self, answer: A) -> bytes:
        """The answer as bytes."""

    @abstractmethod
    def decode(self, stored: bytes) -> A:
        """The answer; `ValueError` for anything but what `encode` would have written: others may write there."""

    @abstractmethod
    def asked_at(self, answer: A) -> datetime:
        """When the provider was asked for it."""

    @abstractmethod
    def stale(self, answer: A) -> A:
        """The same answer, saying that a fresher one could not be had."""
