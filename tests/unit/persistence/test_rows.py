from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from adapters.persistence.sql.rows import from_micros, order_of, order_row, to_micros
from tests.builders import a_line, a_user, an_order

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(some.datetimes(timezones=some.just(UTC)))
def test_an_instant_is_kept_to_the_microsecond(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


@given(some.integers(0, 2**34 * 1_000_000))
def test_so_is_a_number_of_microseconds(micros: int) -> None:
    assert from_micros(micros) == EPOCH + timedelta(microseconds=micros)


@pytest.mark.parametrize("edge", [2**33 * 1_000_000 - 1, 2**33 * 1_000_000, -1, 0, 1])
def test_where_the_way_of_reckoning_changes_nothing_is_lost(edge: int) -> None:
    assert to_micros(from_micros(edge)) == edge


def test_the_same_article_in_two_currencies_stays_two() -> None:
    user = a_user()
    orders = [an_order(a_line(price="1.00", currency=currency), user=user) for currency in ("EUR", "USD", "EUR")]

    assert [order_of(order_row(order)) for order in orders] == orders
