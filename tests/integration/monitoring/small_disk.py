"""A disk that can be full: a few megabytes of memory, mounted."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = b"\0" * 65_536


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own at ``folder``; gone at the end with all that is on it."""
    folder.mkdir()
    options = f"size={megabytes}m,mode=0777"
    if not _as_root("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)):
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        _as_root("umount", "--lazy", str(folder))


def fill(file: Path) -> None:
    """Let this file take all the room that is left on its disk."""
    with file.open("wb", buffering=0) as taken:
        for size in (len(BLOCK), 4096):
            try:
                while taken.write(BLOCK[:size]) == size:
                    pass
            except OSError:
                continue


def _as_root(*command: str) -> bool:
    if os.geteuid() == 0:
        given = list(command)
    elif sudo := shutil.which("sudo"):
        given = [sudo, "--non-interactive", *command]
    else:
        return False
    return subprocess.run(given, capture_output=True, timeout=10, check=False).returncode == 0
