import json
import re

from tools.node import FOLDER

LOCK = json.loads((FOLDER / "package-lock.json").read_text())


def test_the_lock_has_a_hash_of_every_package_and_no_address() -> None:
    """It is installed from whichever registry the machine knows."""
    packages = {name: package for name, package in LOCK["packages"].items() if name}

    assert packages
    assert [name for name, package in packages.items() if not package["integrity"].startswith("sha512-")] == []
    assert [name for name, package in packages.items() if "resolved" in package] == []


def test_what_is_asked_for_has_one_version() -> None:
    asked = json.loads((FOLDER / "package.json").read_text())["devDependencies"]

    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in asked.values())
    assert {name: LOCK["packages"][f"node_modules/{name}"]["version"] for name in asked} == asked
