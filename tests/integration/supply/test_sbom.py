"""`make sbom`: what the product is made of, for programs that watch over it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.foreign import attempt, beside, run
from tools.locked import pinned_in

ROOT = Path(__file__).parents[3]
LOCKED = {pin.name: pin for pin in pinned_in(ROOT.joinpath("requirements/run.txt").read_text("utf-8"))}


def made(folder: Path, **environ: str) -> str:
    output = folder / "sbom.cdx.json"
    run(beside("supply", "python"), "-m", "tools.sbom", "--output", output, cwd=ROOT, environ=environ)
    return output.read_text("utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(tmp_path_factory.mktemp("sbom"))


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_it_names_each_package_of_the_lock_with_its_version_and_hashes(document: dict[str, Any]) -> None:
    told = {
        part["name"]: (
            part["version"],
            part["purl"],
            {each["content"] for reference in part["externalReferences"] for each in reference["hashes"]},
        )
        for part in document["components"]
    }

    assert told == {
        name: (pin.version, f"pkg:pypi/{name}@{pin.version}", set(pin.hashes)) for name, pin in LOCKED.items()
    }


def test_it_tells_what_the_product_is_and_why_each_package_is_there(document: dict[str, Any]) -> None:
    product = document["metadata"]["component"]
    asks = {each["ref"]: each.get("dependsOn", []) for each in document["dependencies"]}

    reached, left = set(), [product["bom-ref"]]
    while left:
        one = left.pop()
        left += [] if one in reached else asks[one]
        reached.add(one)

    assert (product["name"], product["type"], product["licenses"]) == (
        "crossdock",
        "application",
        [{"expression": "MIT"}],
    )
    assert reached == {product["bom-ref"], *(part["bom-ref"] for part in document["components"])}
    assert any(part.startswith("pkg:pypi/fastapi@") for part in asks[product["bom-ref"]])


def test_it_is_the_same_to_the_byte_whenever_it_is_made(text: str, tmp_path: Path) -> None:
    again = made(tmp_path, SOURCE_DATE_EPOCH="1763900000")

    moment = '    "timestamp": "2025-11-23T12:13:20+00:00"'
    assert moment in again.splitlines()
    assert again.replace(f",\n{moment}", "") == text


def test_it_names_no_address_of_an_index(text: str) -> None:
    assert {line.partition("://")[0] for line in text.splitlines() if "://" in line} == {'  "$schema": "http'}


def test_it_is_valid_and_what_is_not_would_be_noticed(text: str, tmp_path: Path) -> None:
    """By the published schema, strictly: the check that stands before a document is written."""
    check = "import sys; from tools.sbom import mistakes; print(mistakes(open(sys.argv[1], encoding='utf-8').read()))"
    tmp_path.joinpath("sbom").write_text(text.replace('"bom-ref"', '"bom-reference"', 1))

    done = attempt(beside("supply", "python"), "-c", check, tmp_path / "sbom", cwd=ROOT)

    assert (done.returncode, done.stderr) == (0, "")
    assert "bom-reference" in done.stdout
