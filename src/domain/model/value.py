"""Values that are made for each request and message."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


@overload
def value(cls: type[T]) -> type[T]: ...
@overload
def value(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True)
def value(cls: type[Any] | None = None, *, kw_only: bool = False) -> Any:
    """A data class with slots that is never changed: the type checker sees to it, and nothing else does.

    For what is made so often that it matters: a frozen data class sets each field by a call, at ten times the price.
    """
    made = dataclass(slots=True, unsafe_hash=True, kw_only=kw_only)
    return made if cls is None else made(cls)
