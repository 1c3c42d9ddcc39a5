"""Installs the packages that the tests want for Node (`tests/node`), once, and again when the lock has changed.

Node and npm come with requirements/dev.txt. The lock holds versions and hashes and no address, so that it can be
installed from any registry; nothing that a package would run at its installation is run.
"""

import hashlib
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "tests" / "node"
PACKAGES = FOLDER / "node_modules"
STAMP = PACKAGES / ".made-from"  # in the Makefile as well
NODE = Path(sys.executable).with_name("node")
NPM = Path(sys.executable).with_name("npm")

SECONDS = 300.0
# More of how npm goes about it is in tests/node/.npmrc.
_OPTIONS = (
    *("--loglevel=error", "--fetch-timeout=60000"),
    *("--fetch-retries=2", "--fetch-retry-mintimeout=500", "--fetch-retry-maxtimeout=2000"),
)
_LINES_MOST = 15


def made_from(folder: Path = FOLDER) -> str:
    """What an installation is known by."""
    files = (folder / "package.json", folder / "package-lock.json")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def is_current() -> bool:
    """Whether what is installed is what the lock says."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == made_from()


def install(folder: Path = FOLDER, *, seconds: float = SECONDS) -> str | None:
    """Install; None when it is done, else why it is not."""
    with subprocess.Popen(
        [str(NPM), "ci", *_OPTIONS],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as npm:
        try:
            told, _ = npm.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"it took more than {seconds:g} s"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(npm.pid, signal.SIGKILL)
    if npm.returncode:
        return "npm said:\n" + "\n".join(told.strip().splitlines()[-_LINES_MOST:])
    (folder / STAMP.relative_to(FOLDER)).write_text(made_from(folder), encoding="utf-8")
    return None


def main() -> int:
    """Install if need be. A failure is told and is none here: the tests that want a package are skipped, or fail."""
    if is_current():
        STAMP.touch()  # make goes by times
        return 0
    print("Installing from tests/node/package-lock.json")
    if why := install():
        print(f"The packages for Node could not be installed, and what wants them is not tested: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
