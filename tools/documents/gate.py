"""Whether the documents of this code may follow those that were committed last."""

import difflib
import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.documents import asyncapi, openapi

Document = Mapping[str, Any]

HOW = """\
What breaks whoever uses the API as it was committed is refused. Add beside what is there: an optional field, another
path, an event of a new type (its version at the end of its name). What has to go all the same wants a new version of
the product: raise it in pyproject.toml (0.1 → 0.2, or 1 → 2), then `make documents`."""
NOT_CURRENT = "is not what this code does; that breaks nobody, and `make documents` writes it"


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that is committed beside the code that writes it."""

    path: str
    breaks: Callable[[Document, Document], Iterator[str]]


OPENAPI = Kept("docs/openapi.json", openapi.breaks)
ASYNCAPI = Kept("docs/asyncapi.json", asyncapi.breaks)


def text_of(document: Document) -> str:
    """The document as it is committed."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def broken(kept: Kept, new: Document, root: Path) -> list[str]:
    """What ``new`` breaks that earlier documents of the same version promised; nothing when the version is new."""
    found: dict[str, None] = {}
    for old in committed(kept.path, root):
        if series(old) == series(new):
            found.update(dict.fromkeys(kept.breaks(old, new)))
    return list(found)


def series(document: Document) -> tuple[str, ...]:
    """What versions have in common that break nobody: the first number, before 1.0 the first two."""
    numbers = str(document["info"]["version"]).split(".")
    return tuple(numbers[:1] if numbers[0] != "0" else numbers[:2])


def committed(path: str, root: Path) -> Iterator[Document]:
    """The document of the latest commit, and the one before it, lest a commit that was not checked goes unseen.

    Where there is no repository, what lies in the folder counts.
    """
    revisions = _git(root, "log", "-2", "--format=%H", "--", path)
    if revisions is None:
        file = root / path
        texts = [file.read_text(encoding="utf-8")] if file.exists() else []
    else:
        found = (_git(root, "show", f"{revision}:{path}") for revision in revisions.split())
        texts = [text for text in found if text]
    return map(json.loads, texts)


def differences(kept: Kept, new: Document, root: Path) -> list[str]:
    """The lines in which the file is not what the code does."""
    file = root / kept.path
    old = file.read_text(encoding="utf-8") if file.exists() else ""
    lines = difflib.unified_diff(old.splitlines(), text_of(new).splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607 - whichever git is there
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None
