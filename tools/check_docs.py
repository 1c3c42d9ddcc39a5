"""Checks what can be checked in the documents: links lead somewhere, settings and verbs that are named exist."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from entrypoints.settings import Settings
from entrypoints.settings_files import with_files

ROOT = Path(__file__).parents[1]
SKIPPED = {".venv", ".git", ".pytest_cache", ".services", "node_modules"}

LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
SETTING = re.compile(r"\bCROSSDOCK_[A-Z0-9_]*[A-Z0-9]\b")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
VERB = re.compile(r"(?:^|[`;&]|\$)\s*(?:[A-Z_]+=\S+\s+)*make((?:\s+[A-Z_]+=\S+)*)\s+([a-z][a-z-]*)\b", re.MULTILINE)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def documents() -> Iterator[Path]:
    """Each Markdown file of the repository."""
    for path in sorted(ROOT.rglob("*.md")):
        if not SKIPPED & set(path.relative_to(ROOT).parts):
            yield path


def anchors(text: str) -> set[str]:
    """The fragments that the headings of a document can be reached by, as GitHub makes them."""
    found: set[str] = set()
    for title in HEADING.findall(FENCE.sub("", text)):
        plain = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-")
        anchor, count = plain, 0
        while anchor in found:
            count += 1
            anchor = f"{plain}-{count}"
        found.add(anchor)
    return found


def broken_links(path: Path, text: str) -> Iterator[str]:
    """Relative links of a document that lead nowhere."""
    for link in LINK.findall(FENCE.sub("", text)):
        if re.match(r"[a-z][a-z0-9+.-]*:|//", link):
            continue
        file, _, fragment = unquote(link).partition("#")
        target = (path.parent / file if file else path).resolve()
        if not target.is_relative_to(ROOT) or not target.exists():
            yield f"links to {link}, which does not exist"
        elif fragment and target.suffix == ".md" and fragment not in anchors(target.read_text(encoding="utf-8")):
            yield f"links to {link}, and there is no such heading"


def mistakes() -> Iterator[str]:
    """Everything that is wrong, a line each."""
    settings = with_files({line.variable.name for line in Settings.defaults().lines})
    verbs = set(TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8")))
    for path in documents():
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT)
        yield from (f"{name}: {broken}" for broken in broken_links(path, text))
        yield from (f"{name}: there is no setting {each}" for each in sorted(set(SETTING.findall(text)) - settings))
        named = {verb for _, verb in VERB.findall(text)}
        yield from (f"{name}: there is no `make {each}`" for each in sorted(named - verbs))


def main() -> int:
    """Print the mistakes; 1 when there are any."""
    found = list(mistakes())
    for mistake in found:
        print(mistake)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
