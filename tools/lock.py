"""Writes the locks of `requirements/`, or checks that they are what `pyproject.toml` asks for.

Pins that are still good are kept; with ``--upgrade`` the newest versions are taken. A lock holds versions and hashes
and no address, so that it can be installed from any index.
"""

import argparse
import difflib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
FORM = [
    *("--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-emit-index-url", "--no-emit-find-links", "--no-header", "--quiet"),
]

# In this order: the tests run on the very versions that are shipped.
LOCKS = {
    "requirements/run.txt": ["--all-extras", "pyproject.toml"],
    "requirements/dev.txt": [
        *("--all-extras", "pyproject.toml", "--group", "test", "--group", "dev"),
        *("--constraint", "requirements/run.txt"),
    ],
    "requirements/documents.txt": ["--group", "documents"],
    "requirements/supply.txt": ["--group", "supply"],
    "requirements/observers.txt": ["--group", "observers"],
    "requirements/bench.txt": ["--group", "bench", "--constraint", "requirements/run.txt"],
    "requirements/build.txt": ["--group", "build"],
    "requirements/uv.txt": ["--group", "bootstrap"],
}

# What uv says when it cannot reach an index, as opposed to when there is no solution.
UNREACHABLE = ("Failed to fetch", "error sending request", "Could not connect", "dns error", "Network connectivity")


class Unreachable(Exception):
    """The package index does not answer."""


def compile_locks(folder: Path, *, upgrade: bool = False) -> None:
    """Bring the locks of a checkout up to date with its `pyproject.toml`."""
    for lock, inputs in LOCKS.items():
        command = [
            str(UV),
            "pip",
            "compile",
            *FORM,
            *inputs,
            "--output-file",
            lock,
            *(["--upgrade"] if upgrade else []),
        ]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode and any(sign in done.stderr for sign in UNREACHABLE):
            raise Unreachable
        if done.returncode:
            raise SystemExit(f"{lock} cannot be made:\n{done.stderr}")


def differences() -> Iterator[str]:
    """The lines in which the locks differ from what they would be if they were made now."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "requirements").mkdir()
        for file in ("pyproject.toml", *LOCKS):
            shutil.copy(ROOT / file, folder / file)
        compile_locks(folder)
        for lock in LOCKS:
            old, new = ((place / lock).read_text().splitlines() for place in (ROOT, folder))
            yield from difflib.unified_diff(old, new, lock, f"{lock} as pyproject.toml asks", n=0, lineterm="")


def check() -> int:
    """Say whether the locks are current; without an index nothing can be said, which only CI takes for a failure."""
    try:
        found = list(differences())
    except Unreachable:
        print("lock: not checked, the package index cannot be reached")
        return int(os.environ.get("CI") == "true")
    if found:
        print("\n".join([*found, "lock: not current; run `make lock`"]))
    return int(bool(found))


def main() -> int:
    """Run the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="change nothing, fail when the locks are not current")
    arguments.add_argument("--upgrade", action="store_true", help="take the newest versions")
    chosen = arguments.parse_args()
    if chosen.check:
        return check()
    try:
        compile_locks(ROOT, upgrade=chosen.upgrade)
    except Unreachable:
        print("lock: the package index cannot be reached; nothing was changed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
