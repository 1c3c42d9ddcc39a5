"""Who has a SQLite file open: the operating system knows, and forgets the dead at once."""

import fcntl
import os
from pathlib import Path


class Presence:
    """Marks this process as one that works on ``path``, until it ends, however it ends.

    ``alone`` is whether nobody else did at the beginning. The mark is a lock on a file beside the database, since
    closing any handle of the database itself would drop SQLite's own locks on it.
    """

    def __init__(self, path: Path) -> None:
        mark = path.with_name(path.name + "-lock")
        self._file = os.fdopen(os.open(mark, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.alone = True
        except BlockingIOError:
            self.alone = False
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def end(self) -> None:
        """This process does not work on it any more."""
        self._file.close()
