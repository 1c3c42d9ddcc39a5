"""Which spellings are one city, and which are not."""

import pytest

from domain.model.errors import InvalidValue
from domain.model.weather import City


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Berlin", "BERLIN"),
        ("Zürich", "ZÜRICH"),
        ("Zürich", "Zu\u0308rich"),
        ("  New   York ", "new york"),
        ("Kyiv", "\u212ayiv"),
    ],
)
def test_case_blanks_and_ways_to_write_a_character_make_no_difference(one: str, other: str) -> None:
    assert City(one).key == City(other).key


@pytest.mark.parametrize(("usual", "odd"), [("Paris", "Pari\u017f"), ("Florence", "\ufb02orence")])
def test_a_spelling_that_a_provider_may_not_know_is_not_taken_for_the_usual_one(usual: str, odd: str) -> None:
    """Or its answer, that there is no such city, would be everybody's."""
    assert City(odd).key != City(usual).key


def test_what_could_not_be_read_as_text_is_no_city() -> None:
    with pytest.raises(InvalidValue, match="UTF-8") as refused:
        City("\ufffd")

    assert refused.value.pointer == "/city"
