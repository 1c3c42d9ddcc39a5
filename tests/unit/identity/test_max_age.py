import pytest

from adapters.http_client import max_age


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Cache-Control": "max-age=600"}, 600),
        ({"Cache-Control": "public, max-age=21600, must-revalidate"}, 21600),
        ({"Cache-Control": 'MAX-AGE="60"'}, 60),
        ({"Cache-Control": "max-age=600", "Age": "100"}, 500),
        ({"Cache-Control": "max-age=600", "Age": "1000"}, 0),
        ({"Cache-Control": "max-age=600", "Age": "old"}, 600),
        ({"Cache-Control": "no-store"}, 0),
        ({"Cache-Control": "no-cache, max-age=600"}, 0),
        ({"Cache-Control": "private"}, None),
        ({"Cache-Control": "max-age="}, None),
        ({"Cache-Control": "max-age=-1"}, None),
        ({"Cache-Control": "max-age=1.5"}, None),
        ({"Cache-Control": f"max-age={'9' * 5000}"}, None),
    ],
)
def test_how_long_an_answer_may_be_kept_is_what_it_says(headers: dict[str, str], seconds: float | None) -> None:
    assert max_age(headers) == seconds
