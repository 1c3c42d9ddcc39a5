"""What docs/runbooks.md tells to do, done as it stands there."""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.integration.monitoring.promtool import ROOT

SECONDS = 90

# What `systemctl` does here, by verb and unit: the machine of a test has no units.
Units = Mapping[tuple[str, str], Callable[[], object]]
# What a word in capitals stands for, given what the commands before have shown.
Words = Mapping[str, Callable[[str], str]]


@dataclass(frozen=True)
class Done:
    """A command that was given, and what came of it."""

    command: str
    code: int
    said: str


def page_of(runbook_url: str) -> str:
    """The page that an alert leads to."""
    path, _, anchor = runbook_url.partition("#")
    pages: list[tuple[str, str]] = re.findall(
        r"^## (\w+)\n(.*?)(?=^## |\Z)", (ROOT / path).read_text(), re.MULTILINE | re.DOTALL
    )
    return next(page for name, page in pages if name.lower() == anchor)


def commands_of(page: str) -> list[str]:
    """What stands in its blocks, one each line."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines()]


async def follow(
    page: str,
    *,
    environ: Mapping[str, str],
    cwd: Path,
    units: Units,
    words: Words,
    meanwhile: Callable[[], object],
) -> list[Done]:
    """Give the commands of a page one after the other.

    ``meanwhile`` is what others do once the first has been given.
    """
    done: list[Done] = []
    for line in commands_of(page):
        command, shown = line, "".join(each.said for each in done)
        for word in re.findall(r"\b[A-Z]{2,}\b", line):
            command = command.replace(word, words[word](shown))
        done.append(await asyncio.to_thread(_give, command, environ, cwd, units))
        if len(done) == 1:
            meanwhile()
    return done


def _give(command: str, environ: Mapping[str, str], cwd: Path, units: Units) -> Done:
    first, *rest = command.split()
    if first == "systemctl":
        verb, unit = rest
        units[verb, unit]()
        return Done(command, 0, "")
    asked = {**environ, "PATH": f"{cwd}:{os.environ['PATH']}", "COLUMNS": "300"}
    given = ["/bin/sh", "-c", command]
    done = subprocess.run(given, env=asked, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    return Done(command, done.returncode, done.stdout + done.stderr)
