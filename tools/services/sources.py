"""Programs that are to be had as source alone: built with Go, once, which takes minutes."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tools.services import folders
from tools.services.failures import Failure, NotInstalled
from tools.services.programs import program

SECONDS: Final = 1_800
_ELSEWHERE: Final = Path("/usr/local/go/bin/go")  # where Go's own archive puts it


def built(name: str, commands: Sequence[Sequence[str]], files: Mapping[str, str] | None = None) -> Path:
    """The program that these commands leave under its name in the folder that they run in, where these files are."""
    files = files or {}
    said = repr((commands, sorted(files.items())))
    place = folders.cache() / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.parent.joinpath(f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # several ask for it at the same time
            if not place.exists():
                _build(place, name, commands, files)
    return place


def go() -> Path | None:
    """Where Go is."""
    return program("go") or (_ELSEWHERE if _ELSEWHERE.exists() else None)


def _build(place: Path, name: str, commands: Sequence[Sequence[str]], files: Mapping[str, str]) -> None:
    found = go()
    if found is None:
        raise NotInstalled(["golang-go"])
    with folders.temporary() as folder:
        for file, text in files.items():
            (folder / file).write_text(text)
        path = f"{folder}:{found.parent}:{os.environ.get('PATH', '')}"
        for command in commands:
            done = subprocess.run(
                command,
                cwd=folder,
                env={**os.environ, "GOBIN": str(folder), "PATH": path},
                capture_output=True,
                text=True,
                check=False,
                timeout=SECONDS,
            )
            if done.returncode:
                raise Failure(f"{name} cannot be built: {' '.join(command)}\n{done.stdout}{done.stderr}")
        shutil.move(folder / name, place)
