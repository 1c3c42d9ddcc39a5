"""Short-lived memory that may forget."""

from abc import ABC, abstractmethod

KEY_MOST = 200
VALUE_MOST = 512 * 1024


class Cache(ABC):
    """Keeps bytes under a key for a while, or less.

    A cache may forget anything at any time, and a cache that is away answers as if it had forgotten: it never raises
    for being out of reach, and never waits longer than a small bound. Keys are up to 200 characters of printable ASCII
    without blanks, values up to 512 KiB; `ValueError` otherwise. May be called by many at once.

    What was put or dropped while it was away may not have arrived: afterwards an older value may be there again, for
    no longer than the time that it was given. A value that was never put under a key is never given for it.
    """

    @property
    def trouble(self) -> str | None:
        """Why nothing is remembered now, or not all of it; None while all is well, as far as is known. Asks nobody."""
        return None

    async def start(self) -> None:  # noqa: B027 - some have nothing to do
        """Get ready; returns soon and without an error, also when the cache is away."""

    async def stop(self) -> None:  # noqa: B027
        """Let go of what is held. A cache that is stopped is away."""

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """What was stored under ``key``, or None."""

    @abstractmethod
    async def put(self, key: str, value: bytes, *, seconds: float) -> None:
        """Remember ``value`` for ``seconds`` (more than 0), in place of what was there."""

    @abstractmethod
    async def drop(self, key: str) -> None:
        """Forget ``key``."""


def check_entry(key: str, value: bytes = b"", seconds: float = 1) -> None:
    """Raise `ValueError` unless key, value and time to live are what every cache accepts."""
    if not (0 < len(key) <= KEY_MOST and key.isascii() and key.isprintable() and " " not in key):
        raise ValueError(f"a cache key is 1 to {KEY_MOST} printable ASCII characters without blanks")
    if len(value) > VALUE_MOST:
        raise ValueError(f"a cached value has at most {VALUE_MOST} bytes")
    if not seconds > 0:
        raise ValueError("a cached value lives for more than 0 seconds")
