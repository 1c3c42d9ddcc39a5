"""The page that walks through adding an outside API is followed to the letter, in a copy of the sources."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "adding-an-outside-api.md"
BLOCK = re.compile(
    r"^```python\n# (?P<file>[\w/]+\.py)(?:, before: (?P<before>[^\n]+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


def follow(page: str, copy: Path) -> set[str]:
    """Do what the blocks say; the files that they name."""
    touched: set[str] = set()
    for block in BLOCK.finditer(page):
        path = copy / block["file"]
        touched.add(block["file"])
        if block["before"] is None:
            assert not path.exists(), f"{block['file']} is there already"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block["code"], encoding="utf-8")
            continue
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        places = [number for number, line in enumerate(lines) if line.strip() == block["before"]]
        assert len(places) == 1, f"{block['file']} has {len(places)} lines that read {block['before']}"
        # What stands at the edge of a file is two lines apart from its neighbours; a page cannot show those.
        lines.insert(places[0], block["code"] + ("\n\n" if block["code"].startswith(("def ", "class ")) else ""))
        path.write_text("".join(lines), encoding="utf-8")
    return touched


def run(copy: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Copy:
    """The sources and the tests as they are after the page was followed, and the files that it names."""

    path: Path
    touched: list[str]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    path = tmp_path_factory.mktemp("page")
    for folder in ("src", "tests", "tools"):
        shutil.copytree(ROOT / folder, path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", path)
    return Copy(path, sorted(follow(PAGE.read_text(encoding="utf-8"), path)))


def test_every_block_of_the_page_is_followed() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert len(BLOCK.findall(page)) == page.count("```python") == 14


def test_what_the_page_tests_is_so(copy: Copy) -> None:
    run(copy.path, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/integration/tides")


def test_what_the_page_adds_keeps_the_import_rules(copy: Copy) -> None:
    lint = str(Path(sys.executable).with_name("lint-imports"))

    run(copy.path / "src", lint, "--no-logo", "--no-cache", "--config", str(copy.path / "pyproject.toml"))


def test_what_the_page_adds_is_written_as_everything_else(copy: Copy) -> None:
    ruff = str(Path(sys.executable).with_name("ruff"))

    run(copy.path, ruff, "check", "--no-cache", *copy.touched)
    run(copy.path, ruff, "format", "--no-cache", "--check", *copy.touched)
