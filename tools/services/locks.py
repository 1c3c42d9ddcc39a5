"""Locks that end with who holds them."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.services import folders
from tools.services.failures import Failure


@contextmanager
def alone_in(folder: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Make the folder, and keep out everybody else who asks. ``waits`` is called before waiting for another."""
    descriptor = _lock(folder, waits)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path, waits: Callable[[], None]) -> int:
    while True:
        folders.make(folder)
        if folder.lstat().st_uid != os.getuid() or folder.is_symlink():
            raise Failure(f"{folder} is not ours")
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # The one who had it may have removed the folder: then this is a lock on nothing.
        if folder.exists() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)


class Users:
    """How many use something, whether or not they live to say that they have finished."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def enter(self) -> int:
        """One more; what is returned is for `leave`."""
        descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return descriptor

    def leave(self, descriptor: int) -> bool:
        """One fewer; whether it was the last."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True
