"""What the documents say in code and in numbers is what stands in the code."""

import re
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest

from entrypoints.settings import Settings

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"

BLOCK = re.compile(r"(?:^<!-- (?P<file>\S+) -->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
SETTING = re.compile(r"^\| `([A-Z_]+)` \| (?:`([^`]*)`|none|empty) \|", re.MULTILINE)
BOUND = re.compile(r"^\|[^|]*\| ([\d,.]+) \| `([A-Z_]+)` in \[[^]]*\]\(\.\./src/([^)]*)\.py\) \|$", re.MULTILINE)


def blocks() -> list[tuple[str, str]]:
    """The code of the page on testing, each block with the file that it is from."""
    text = (DOCS / "testing.md").read_text(encoding="utf-8")
    return [(match["file"] or "", match["code"]) for match in BLOCK.finditer(text)]


def bounds() -> list[tuple[str, str, str]]:
    """Module, constant and value of each row of the table of bounds."""
    text = (DOCS / "delivery.md").read_text(encoding="utf-8")
    return [(file.replace("/", "."), name, value) for value, name, file in BOUND.findall(text)]


@pytest.mark.parametrize(("file", "code"), blocks(), ids=lambda text: text.partition("\n")[0][:60])
def test_the_code_of_the_page_on_testing_is_run_here(file: str, code: str) -> None:
    assert file, "a block of code without the name of its file"
    assert code in (Path(__file__).parent / file).read_text(encoding="utf-8")


def test_no_block_of_the_page_was_overlooked() -> None:
    assert len(blocks()) == (DOCS / "testing.md").read_text(encoding="utf-8").count("```python") > 0


@pytest.mark.parametrize(("module", "name", "value"), bounds())
def test_a_bound_in_the_page_on_delivery_is_the_one_in_the_code(module: str, name: str, value: str) -> None:
    constant = getattr(import_module(module), name)

    seconds = constant.total_seconds() if isinstance(constant, timedelta) else constant

    assert seconds == float(value.replace(",", ""))


def test_no_bound_of_the_page_was_overlooked() -> None:
    table = (DOCS / "delivery.md").read_text(encoding="utf-8").partition("| bound |")[2]

    assert len(bounds()) == table.count("` in [") > 0


def test_the_page_on_operating_lists_every_setting_with_its_default() -> None:
    text = (DOCS / "operating.md").read_text(encoding="utf-8")

    assert SETTING.findall(text) == [(line.variable.name, line.default) for line in Settings.defaults().lines]
