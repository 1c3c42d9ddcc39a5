from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.model.currency import DECIMALS, decimals_of
from domain.model.errors import InvalidValue
from domain.model.money import Money, total
from domain.model.order import LINES_MOST, QUANTITY_MOST, OrderLine
from tests.unit.model.values import currencies, orders, prices

amounts_of_one_currency = currencies.flatmap(
    lambda currency: st.tuples(st.just(currency), st.lists(prices(currency), max_size=30))
)


def test_the_classic_sum_is_exact() -> None:
    cents = [Money.parse("0.10", "EUR"), Money.parse("0.20", "EUR")]

    assert total(cents, "EUR") == Money.parse("0.30", "EUR")


@given(amounts_of_one_currency)
def test_a_total_is_the_exact_sum_in_whatever_order(given_amounts: tuple[str, Sequence[Money]]) -> None:
    currency, amounts = given_amounts

    result = total(amounts, currency)

    assert Fraction(result.amount) == sum((Fraction(money.amount) for money in amounts), Fraction(0))
    assert result == total(reversed(amounts), currency)
    assert -result.amount.as_tuple().exponent == DECIMALS[currency]  # type: ignore[operator]


@given(currencies.flatmap(prices), st.integers(1, QUANTITY_MOST))
def test_a_multiple_is_exact(money: Money, quantity: int) -> None:
    assert Fraction(money.times(quantity).amount) == Fraction(money.amount) * quantity


@given(currencies.flatmap(prices))
def test_text_and_back_is_the_same(money: Money) -> None:
    text = str(money)

    assert Money.parse(text, money.currency) == money
    assert "E" not in text
    assert len(text.partition(".")[2]) == DECIMALS[money.currency]


@given(orders(most=20))
def test_the_total_of_an_order_is_the_sum_of_its_lines(order: object) -> None:
    lines: Sequence[OrderLine] = order.lines  # type: ignore[attr-defined]

    expected = sum((Fraction(line.unit_price.amount) * line.quantity for line in lines), Fraction(0))
    assert Fraction(order.total.amount) == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "CLF"])
def test_the_largest_order_has_an_exact_total(currency: str) -> None:
    price = Money(Decimal(10) ** 12 - Decimal(1).scaleb(-decimals_of(currency)), currency)
    line = OrderLine("tea-1", QUANTITY_MOST, price)

    result = total([line.amount] * LINES_MOST, currency)

    assert Fraction(result.amount) == Fraction(price.amount) * QUANTITY_MOST * LINES_MOST


@given(currencies.flatmap(prices), st.integers(1, QUANTITY_MOST))
def test_the_surroundings_cannot_make_it_inexact(money: Money, quantity: int) -> None:
    """Whatever decimal context other code has left behind in this thread."""
    with localcontext(prec=3, rounding=ROUND_HALF_UP):
        result = total([money.times(quantity), money], money.currency)

    assert Fraction(result.amount) == Fraction(money.amount) * (quantity + 1)


@pytest.mark.parametrize(
    ("text", "currency", "amount"),
    [
        ("9.9", "EUR", "9.90"),
        ("9", "EUR", "9.00"),
        ("007.10", "EUR", "7.10"),
        ("5", "JPY", "5"),
        ("1.5", "KWD", "1.500"),
    ],
)
def test_an_amount_has_as_many_decimals_as_its_currency(text: str, currency: str, amount: str) -> None:
    assert str(Money.parse(text, currency)) == amount


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "-1", "+1", "1e3", "1_000", "1,50", " 1", "1 ", "٣", "NaN", "Infinity", "0x1", "1.2.3", "１"],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        Money.parse(text, "EUR")


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1.234", "EUR"),
        ("1.0", "JPY"),
        ("1.000", "EUR"),
        ("1" * 13, "EUR"),
        ("1" * 10_000, "EUR"),
        ("1", "eur"),
        ("1", "XXX"),
    ],
)
def test_what_is_outside_of_the_limits_is_refused(text: str, currency: str) -> None:
    with pytest.raises(InvalidValue):
        Money.parse(text, currency)


@given(st.text(max_size=30), currencies)
def test_any_text_is_an_amount_or_refused(text: str, currency: str) -> None:
    try:
        money = Money.parse(text, currency)
    except InvalidValue:
        return

    assert 0 <= money.amount < 10**12
    assert Fraction(money.amount) == Fraction(text)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_is_not_finite_is_refused(amount: str) -> None:
    with pytest.raises(InvalidValue):
        Money(Decimal(amount), "EUR")


@pytest.mark.parametrize("amount", ["-0.01", "1000000000000"])
def test_a_price_outside_of_the_limits_is_no_price(amount: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        OrderLine("tea-1", 1, Money(Decimal(amount), "EUR"))

    assert refused.value.pointer == "/unit_price"


def test_currencies_are_not_added() -> None:
    with pytest.raises(ValueError, match="cannot add"):
        total([Money.parse("1", "EUR"), Money.parse("1", "USD")], "EUR")
