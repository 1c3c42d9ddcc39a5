"""Finds programs where Debian puts them, whether or not PATH leads there."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

ELSEWHERE = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
JAVA_AT_LEAST = 17


def program(name: str) -> Path | None:
    """Where a program is."""
    found = shutil.which(name) or shutil.which(name, path=ELSEWHERE)
    return Path(found) if found else None


def newest(pattern: str) -> Path | None:
    """The path under / that fits; of several the one with the highest version in it."""
    fitting = sorted(Path("/").glob(pattern), key=_version)
    return fitting[-1] if fitting else None


def java() -> Path | None:
    """A Java that is new enough."""
    found = program("java")
    if found is None:
        return None
    told = subprocess.run([found, "-version"], capture_output=True, text=True, check=False, timeout=30).stderr
    version = re.search(r'version "(\d+)', told)
    return found if version and int(version[1]) >= JAVA_AT_LEAST else None


def _version(path: Path) -> tuple[list[int], str]:
    return [int(number) for number in re.findall(r"\d+", str(path))], str(path)


def missing(needed: Iterable[tuple[object, str]]) -> list[str]:
    """The packages of those programs that were not found."""
    return sorted({package for found, package in needed if not found})
