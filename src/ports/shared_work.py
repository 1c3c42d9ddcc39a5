"""Work that was begun by one and is done for all: it belongs to nobody's request, message or trace.

A task of asyncio keeps the context variables of whoever begins it for as long as it lives. What many wait for would say
in its lines, and in its spans, that it was the first of them who did it all.
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def begin_shared(work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
    """Begin ``work`` in an empty context; whoever begins it has to keep the task, as with `asyncio.create_task`."""
    return asyncio.get_running_loop().create_task(work, context=Context())
