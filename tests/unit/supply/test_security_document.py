"""`SECURITY.md` says of each control which test shows it; this says that there are such tests."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT.joinpath("SECURITY.md").read_text("utf-8")
CONTROLS = DOCUMENT.partition("### What stops what")[2].partition("\n### ")[0]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", CONTROLS)


def test_each_test_that_is_named_exists() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not (path := ROOT / file).is_file()
        or not re.search(rf"^ *(async )?def {name}\(", path.read_text("utf-8"), re.MULTILINE)
    ]

    assert missing == []


def test_each_control_stops_something_and_is_shown_by_a_test() -> None:
    rows = [line.strip("|").split(" | ") for line in CONTROLS.splitlines() if line.startswith("| ")][1:]
    controls = [row for row in rows if not row[0].strip().startswith("**")]

    assert len(controls) > 30
    assert [row for row in controls if len(row) != 3 or not row[1].strip()] == []
    assert [
        row[0]
        for row in controls
        if not re.fullmatch(r"`tests/\S+::test_\w+`(, `tests/\S+::test_\w+`)*", row[2].strip())
    ] == []


def test_nothing_else_is_named_like_a_test() -> None:
    assert len(re.findall(r"::", CONTROLS)) == len(NAMED) + 1  # the one that says how to run them
