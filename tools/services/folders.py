"""Where servers keep their data, and where what they are made from is kept."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.services.addresses import FOLDER

ATTEMPTS: Final = 50


def make(folder: Path) -> Path:
    """A folder that other users may enter, whatever the umask: PostgreSQL runs as one."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    return folder


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for private servers. Not pytest's `tmp_path`: other users may not enter that."""
    folder = Path(tempfile.mkdtemp(prefix="crossdock-", dir=FOLDER.parent))
    try:
        yield make(folder)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """All of it; a server that is just ending may still be tidying up in it as well, so more than once if need be."""
    for _ in range(ATTEMPTS):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
    shutil.rmtree(folder)  # and say why not


def cache() -> Path:
    """What is downloaded once."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "crossdock", "services")
