"""What is installed is what was locked: versions and hashes, and no address of where they come from."""

import re
from pathlib import Path

import pytest

from tools.lock import LOCKS
from tools.locked import NoLock, Pinned, pinned_in

ROOT = Path(__file__).parents[3]
RECIPES = {name: ROOT.joinpath(name).read_text("utf-8").replace("\\\n", " ") for name in ("Makefile", "Dockerfile")}
HASH = "0" * 64


def test_every_file_of_requirements_is_a_lock_that_is_kept_current() -> None:
    assert {f"requirements/{path.name}" for path in ROOT.joinpath("requirements").iterdir()} == set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_one_version_of_each_package_by_its_hashes(name: str) -> None:
    pins = list(pinned_in(ROOT.joinpath(name).read_text("utf-8")))

    assert pins
    assert [pin.name for pin in pins if not pin.hashes] == []
    assert len({pin.name for pin in pins}) == len(pins)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_address(name: str) -> None:
    """Whatever index a machine has may serve it, since the hash decides what is taken."""
    text = ROOT.joinpath(name).read_text("utf-8")

    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b", text, re.MULTILINE)


def test_a_pin_is_read_with_its_hashes_its_marker_and_who_asks_for_it() -> None:
    lock = (
        f"one==1.0 ; sys_platform == 'win32' \\\n    --hash=sha256:{HASH}\n    # via two\n"
        f"two[extra]==2.0 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{HASH}\n"
        "    # via\n    #   crossdock (pyproject.toml)\n    #   three\n"
    )

    assert list(pinned_in(lock)) == [
        Pinned("one", "1.0", "sys_platform == 'win32'", (HASH,), ("two",)),
        Pinned("two", "2.0", "", (HASH, HASH), ("crossdock", "three")),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "one>=1.0",
        "one @ git+ssh://example.com/one",
        "--index-url=https://index.example",
        "-r other.txt",
        f"one==1.0 \\\n    --hash=md5:{HASH}",
        "one==1.0 \\\n    --no-binary",
    ],
)
def test_what_no_lock_should_hold_is_no_lock(line: str) -> None:
    with pytest.raises(NoLock):
        list(pinned_in(f"{line}\n"))


@pytest.mark.parametrize("name", RECIPES)
def test_whatever_installs_packages_of_others_wants_their_hashes(name: str) -> None:
    """Only what was made here is installed without, and then nothing that it asks for is."""
    commands = re.findall(r"(?:pip install|\$\(UV\))[^\n&]*", RECIPES[name].replace("UV := $(BIN)/uv pip install", ""))

    assert len(commands) > 3
    without = [command for command in commands if "--require-hashes" not in command]
    assert all("--no-deps" in one and re.search(r"(--editable \.|dist/\*\.whl)\s*$", one) for one in without)
    assert [one for one in commands if re.search(r"index-url|find-links|trusted-host", one)] == []
