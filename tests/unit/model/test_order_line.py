import pytest

from domain.model.errors import InvalidValue
from domain.model.money import Money
from domain.model.order import OrderLine, order_line


def test_a_line_from_texts_is_the_line() -> None:
    line = order_line(" tea-1 ", 2, "9.90", "EUR")

    assert line == OrderLine("tea-1", 2, Money.parse("9.90", "EUR"))
    assert order_line(" tea-1 ", 2, "9.90", "EUR") is line


def test_the_same_article_in_another_currency_is_another_line() -> None:
    assert order_line("tea-1", 2, "9", "EUR") != order_line("tea-1", 2, "9", "JPY")


def test_a_line_of_long_texts_is_made_and_not_kept() -> None:
    """What others send may be padded without end, and must not fill the memory."""
    price = "0" * 1_000 + "9.90"

    line = order_line("tea-1", 2, price, "EUR")

    assert line == order_line("tea-1", 2, "9.90", "EUR")
    assert order_line("tea-1", 2, price, "EUR") is not line


@pytest.mark.parametrize(
    ("sku", "quantity", "price", "pointer"),
    [("tea\n1", 1, "1", "/sku"), ("tea", 0, "1", "/quantity"), ("tea", 1, "-1", "/unit_price")],
)
def test_what_is_wrong_with_a_line_is_pointed_at(sku: str, quantity: int, price: str, pointer: str) -> None:
    for _ in range(2):
        with pytest.raises(InvalidValue) as refusal:
            order_line(sku, quantity, price, "EUR")

        assert refusal.value.pointer == pointer
