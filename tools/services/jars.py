"""What comes as jars, brought by Maven once for each state of its pom."""

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tools.services import folders
from tools.services.failures import Failure
from tools.services.programs import java, missing, program

POM: Final = Path(__file__).with_name("pom.xml")
SECONDS: Final = 600
NEEDED: Final = ("default-jre-headless", "maven", "openssl")
LEAN: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms32m")  # quick to start; two cores are few


def jars(server: str) -> Path:
    """The folder with the jars of a server."""
    return brought(POM) / server


def brought(pom: Path, *parts: Path, finish: Callable[[Path], None] = lambda _: None) -> Path:
    """The folder that a pom fills, and ``finish`` completes from other ``parts``; made once for each state of these."""
    place = _place(pom, *parts)
    if not place.exists():
        _bring(place, pom, finish)
    return place


def missing_for_jars(pom: Path = POM, *parts: Path) -> list[str]:
    """The packages that bring Java, and Maven as long as there is something to bring."""
    maven = _place(pom, *parts).exists() or program("mvn")
    return missing([(java(), NEEDED[0]), (maven, NEEDED[1]), (program("openssl"), NEEDED[2])])


def _place(*parts: Path) -> Path:
    return folders.cache() / hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:12]


def _bring(place: Path, pom: Path, finish: Callable[[Path], None]) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.parent.joinpath("lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several ask for them at the same time
        if place.exists():
            return
        unfinished = place.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        command: list[str | Path] = [
            str(program("mvn")),
            "--quiet",
            "--batch-mode",
            "--file",
            pom,
            "package",
            f"-Djars={unfinished}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS)
        if done.returncode:
            raise Failure(f"Maven cannot bring the jars:\n{done.stdout}{done.stderr}")
        finish(unfinished)
        unfinished.rename(place)
