"""What `make prove` may know of the product."""

import ast
from pathlib import Path

import pytest

from ports.crash_points import CrashPoint
from prove.points import CASES

PROVE = Path(__file__).parents[3] / "prove"
PRODUCT = {"adapters", "domain", "entrypoints", "ports"}


def test_every_step_has_a_case() -> None:
    assert CASES.keys() == set(CrashPoint)


@pytest.mark.parametrize("file", [*(PROVE / "books").glob("*.py"), PROVE / "verdict.py"], ids=lambda file: file.name)
def test_who_reads_the_books_shares_no_code_with_who_keeps_them(file: Path) -> None:
    tree = ast.walk(ast.parse(file.read_text()))

    imported = {
        name
        for node in tree
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert not {name.partition(".")[0] for name in imported} & PRODUCT
