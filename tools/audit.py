"""Asks an advisory database about every package that the locks pin, each version once.

Exit code 0: each was asked about and none is known to be vulnerable. 1: some are, and are listed. 2: some could not be
asked about, for want of the database or of an answer, so nothing is known; that is never taken for good news.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tools.locked import Pinned, pinned_in

ROOT = Path(__file__).parents[1]
AUDITOR = Path(sys.executable).with_name("pip-audit")
SECONDS = 600  # for a whole lock; a single question has 15

VULNERABLE, UNKNOWN = 1, 2


class NotAsked(Exception):
    """The database could not be asked; the message says what the auditor said last."""


def unseen(locks: Iterable[Path]) -> Iterator[tuple[Path, list[Pinned]]]:
    """For each lock what it pins and none before it does, for whichever platform."""
    seen = set[tuple[str, str]]()
    for lock in locks:
        new = [pin for pin in pinned_in(lock.read_text("utf-8")) if (pin.name, pin.version) not in seen]
        seen |= {(pin.name, pin.version) for pin in new}
        yield lock, new


def ask(pins: Iterable[Pinned], more: Iterable[str]) -> list[dict[str, Any]]:
    """What the database says of each: ``name``, ``version`` and ``vulns``, or ``skip_reason``."""
    with TemporaryDirectory() as folder:
        asked = Path(folder) / "asked.txt"
        asked.write_text(
            "".join(
                " ".join((f"{pin.name}=={pin.version}", *(f"--hash=sha256:{each}" for each in pin.hashes), "\n"))
                for pin in pins
            )
        )
        options = ("--require-hashes", "--disable-pip", "--vulnerability-service", "osv", "--progress-spinner", "off")
        command = [str(AUDITOR), *options, "--cache-dir", folder, "--format", "json", "--requirement", str(asked)]
        try:
            done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise NotAsked(f"no end within {SECONDS} s") from None
    try:
        answers: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = [line for line in done.stderr.splitlines() if line.strip()]
        if "Traceback (most recent call last):" in said:  # how its libraries say that they reached nobody
            raise NotAsked(
                "it cannot be reached from here, or answers in no way known (OSV_URL names another)"
            ) from None
        raise NotAsked(said[-1] if said else f"it ended with {done.returncode}") from None
    return answers


def main() -> int:
    """Run the command line."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--osv-url", help="an API like the one of OSV, to be asked in its place")
    arguments.add_argument("--ignore-vuln", action="append", default=[], metavar="ID", help="one that was looked at")
    arguments.add_argument("locks", nargs="*", type=Path, help="all of requirements/ when none is named")
    chosen = arguments.parse_args()
    more = [f"--ignore-vuln={each}" for each in chosen.ignore_vuln]
    more += [f"--osv-url={chosen.osv_url}"] if chosen.osv_url else []
    code = asked = 0
    for lock, pins in unseen(chosen.locks or sorted(ROOT.glob("requirements/*.txt"))):
        try:
            answers = ask(pins, more) if pins else []
        except NotAsked as error:
            print(f"audit: {lock.name}: the advisory database could not be asked, nothing is known: {error}")
            return UNKNOWN
        for answer in answers:
            asked += 1
            if "skip_reason" in answer:
                print(f"audit: {lock.name}: {answer['name']} could not be asked about: {answer['skip_reason']}")
                code = UNKNOWN
            for found in answer.get("vulns", ()):
                fixed = ", ".join(found["fix_versions"]) or "no version yet"
                print(f"audit: {lock.name}: {answer['name']} {answer['version']}: {found['id']}, fixed in {fixed}")
                code = code or VULNERABLE
        if len(answers) < len(pins):
            print(f"audit: {lock.name}: {len(pins) - len(answers)} packages got no answer")
            code = UNKNOWN
    if code == 0:
        print(f"audit: {asked} packages, none of which is known to be vulnerable")
    return code


if __name__ == "__main__":
    sys.exit(main())
