"""Programs of others that tests run: what is written for Node (`tests/node`), and readers of our documents in Python.

Each is bounded. What is not installed is skipped with its reason, and fails with CI=true.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.node import FOLDER, NODE, PACKAGES, is_current

NODE_FOLDER = FOLDER
SECONDS = 120.0
_BESIDE = Path(sys.executable).parents[1]
# They ask nobody for anything: no news of versions, no statistics.
_SILENT = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_COLOR": "1", "DO_NOT_TRACK": "1"}


def node_packages() -> Path:
    """Where the packages for Node are, when they are what the lock says."""
    if not is_current():
        pytest.skip("the packages for Node are not installed: `make test` does it, or says why not")
    return PACKAGES


def reader(name: str) -> Path:
    """A program of requirements/documents.txt."""
    return beside("documents", name)


def beside(environment: str, name: str) -> Path:
    """A program of an environment of its own, which has a lock of the same name."""
    program = _BESIDE / environment / "bin" / name
    if not program.exists():
        pytest.skip(f"requirements/{environment}.txt is not installed: `make test` does it")
    return program


def run_node(*arguments: str | Path, cwd: Path = FOLDER, given: str = "") -> str:
    """What a script writes to its standard output; it must succeed."""
    node_packages()
    return run(NODE, *arguments, cwd=cwd, given=given)


def run(
    *command: str | Path,
    cwd: Path,
    given: str = "",
    seconds: float = SECONDS,
    environ: Mapping[str, str] | None = None,
) -> str:
    """What a program writes to its standard output; it must succeed within its time, and gets no other settings."""
    done = attempt(*command, cwd=cwd, given=given, seconds=seconds, environ=environ)
    assert done.returncode == 0, f"{command[0]} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def attempt(
    *command: str | Path,
    cwd: Path,
    given: str = "",
    seconds: float = SECONDS,
    environ: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """The same for a program that may refuse."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), **_SILENT, **(environ or {})}
    return subprocess.run(
        [str(each) for each in command],
        cwd=cwd,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
