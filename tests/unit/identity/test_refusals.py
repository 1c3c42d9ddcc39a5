"""What a refused token is told, and what the pages about issuers say that it means."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = ROOT / "docs" / "identity"
TOKENS = ROOT / "src" / "adapters" / "identity" / "oidc"
SENTENCE = re.compile(r"\"(The token [^\"{]*?\.)\"")


def sentences(page: str) -> set[str]:
    """The first column that speaks of tokens, in the tables of a page."""
    cells = re.findall(r"^\|[^|]*?\|? ?(The token [^|]*?) \|", (PAGES / page).read_text(), re.MULTILINE)
    return {sentence.strip() for cell in cells for sentence in cell.split(" / ")}


def test_the_table_has_every_sentence_that_the_code_says() -> None:
    said = {found for file in TOKENS.glob("*.py") for found in SENTENCE.findall(file.read_text())}

    assert len(said) > 8
    assert said - sentences("README.md") == set()


@pytest.mark.parametrize("page", ["auth0.md", "firebase.md", "keycloak.md"])
def test_the_pages_of_issuers_speak_of_what_is_in_the_table(page: str) -> None:
    assert sentences(page)
    assert sentences(page) - sentences("README.md") == set()
