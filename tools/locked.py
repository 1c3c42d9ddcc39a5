"""What a lock of `requirements/` pins, read from its text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.*))?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class NoLock(ValueError):
    """A line of a lock is nothing that a lock should hold; the message has the line."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package of a lock: its version, the SHA-256 of every file that may be installed, and who asks for it."""

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]
    wanted_by: tuple[str, ...]


def pinned_in(lock: str) -> Iterator[Pinned]:
    """The packages of a lock, in its order; `NoLock` when it holds a line that is neither pin, hash nor comment."""
    for block in re.split(r"^(?=[^\s#])", lock, flags=re.MULTILINE)[1:]:
        first, *rest = (line.strip().removesuffix("\\").strip() for line in block.splitlines())
        pin = _PIN.fullmatch(first)
        if pin is None:
            raise NoLock(first)
        hashes, wanted_by = [], []
        for line in filter(None, rest):
            if found := _HASH.fullmatch(line):
                hashes.append(found[1])
            elif line.startswith("#"):
                who = line.removeprefix("#").strip().removeprefix("via").strip().split(" ")[0]
                wanted_by += [who] if who else []
            else:
                raise NoLock(line)
        yield Pinned(pin["name"], pin["version"], pin["marker"] or "", tuple(hashes), tuple(wanted_by))
