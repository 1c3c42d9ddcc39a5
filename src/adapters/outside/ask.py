"""What each part around an outside API wants, and is."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

Q = TypeVar("Q")  # what is asked
A = TypeVar("A")  # what is answered

# Answers, or raises what its port names. May be called by many at once.
Ask: TypeAlias = Callable[[Q], Awaitable[A]]
