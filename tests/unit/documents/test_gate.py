"""The gate between a change and those who use what was committed: in a repository of its own."""

import json
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tools.documents.gate import OPENAPI, broken, differences, series, text_of

OLD = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "0.1.0"},
    "paths": {"/things/": {"get": {"operationId": "listThings", "responses": {}}}},
}


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path, document: Any) -> None:
    (root / OPENAPI.path).write_text(text_of(document))
    git(root, "add", ".")
    git(root, "commit", "--message", "a document")


def without_things(version: str = "0.1.0") -> Any:
    new: Any = deepcopy(OLD)
    new["paths"] = {}
    new["info"]["version"] = version
    return new


@pytest.fixture
def root(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not there")
    (tmp_path / "docs").mkdir()
    git(tmp_path, "init")
    commit(tmp_path, OLD)
    return tmp_path


def test_a_break_against_the_last_commit_is_told(root: Path) -> None:
    assert broken(OPENAPI, without_things(), root) == ["/things/: is gone"]


def test_writing_the_file_does_not_make_a_break_good(root: Path) -> None:
    (root / OPENAPI.path).write_text(text_of(without_things()))

    assert broken(OPENAPI, without_things(), root) == ["/things/: is gone"]


def test_nor_does_committing_it(root: Path) -> None:
    """It may have been committed by somebody who did not look: whoever checks that commit is told."""
    commit(root, without_things())

    assert broken(OPENAPI, without_things(), root) == ["/things/: is gone"]


def test_what_was_added_since_the_last_commit_may_be_taken_away_again(root: Path) -> None:
    added: Any = deepcopy(OLD)
    added["paths"]["/others/"] = {}
    (root / OPENAPI.path).write_text(text_of(added))

    assert broken(OPENAPI, OLD, root) == []


def test_what_was_never_committed_is_no_promise(root: Path) -> None:
    git(root, "rm", "--cached", OPENAPI.path)
    git(root, "commit", "--amend", "--allow-empty", "--message", "nothing")

    assert broken(OPENAPI, without_things(), root) == []


@pytest.mark.parametrize(("version", "is_told"), [("0.1.9", True), ("0.2.0", False), ("1.0.0", False)])
def test_a_new_version_may_break_what_another_had(root: Path, version: str, is_told: bool) -> None:
    assert bool(broken(OPENAPI, without_things(version), root)) is is_told


@pytest.mark.parametrize(("one", "other", "same"), [("0.1.0", "0.2.0", False), ("1.1.0", "1.2.0", True)])
def test_before_1_0_the_second_number_tells_that_something_breaks(one: str, other: str, same: bool) -> None:
    assert (series({"info": {"version": one}}) == series({"info": {"version": other}})) is same


def test_without_a_repository_the_file_counts(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / OPENAPI.path).write_text(json.dumps(OLD))

    assert broken(OPENAPI, without_things(), tmp_path) == ["/things/: is gone"]


def test_where_nothing_was_there_before_nothing_breaks(tmp_path: Path) -> None:
    assert broken(OPENAPI, OLD, tmp_path) == []
    assert differences(OPENAPI, OLD, tmp_path)


def test_a_file_that_does_not_say_what_the_code_does_is_told_line_by_line(root: Path) -> None:
    new: Any = deepcopy(OLD)
    new["info"]["title"] = "Store"

    assert differences(OPENAPI, OLD, root) == []
    assert differences(OPENAPI, new, root) == ["@@ -4 +4 @@", '-    "title": "Shop",', '+    "title": "Store",']
