"""An order and its lines."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from domain.model.errors import InvalidValue
from domain.model.money import Money, total
from domain.model.text import one_line
from domain.model.value import value

LINES_MOST = 100
SKU_MOST = 64
QUANTITY_MOST = 10_000
_REMEMBERED_MOST = 2 * SKU_MOST  # characters of a line that is remembered


class OrderStatus(StrEnum):
    """How far an order has come."""

    PLACED = "placed"
    CONFIRMED = "confirmed"


@value
class OrderLine:
    """So many pieces of one article at one price."""

    sku: str
    quantity: int
    unit_price: Money

    def __post_init__(self) -> None:
        try:
            object.__setattr__(self, "sku", one_line(self.sku, what="A sku", most=SKU_MOST))
        except InvalidValue as error:
            raise error.inside("/sku") from None
        if not 1 <= self.quantity <= QUANTITY_MOST:
            raise InvalidValue(f"A quantity is 1 to {QUANTITY_MOST:,}.", "/quantity")
        if not self.unit_price.within_price_limit:
            raise InvalidValue("A unit price is 0 or more, with at most 12 digits before the point.", "/unit_price")

    @property
    def amount(self) -> Money:
        """Quantity times unit price."""
        return self.unit_price.times(self.quantity)


def order_line(sku: str, quantity: int, price: str, currency: str) -> OrderLine:
    """A line whose price is a text such as ``"9.90"``; `InvalidValue` points at what is wrong with it."""
    make = _remembered_line if len(sku) + len(price) <= _REMEMBERED_MOST else _line
    return make(sku, quantity, price, currency)


def _line(sku: str, quantity: int, price: str, currency: str) -> OrderLine:
    try:
        unit_price = Money.parse(price, currency)
    except InvalidValue as error:
        raise error.inside("/unit_price") from None
    return OrderLine(sku, quantity, unit_price)


# Articles are ordered again and again, each order is read several times, and checking a line takes a while.
_remembered_line = lru_cache(8192)(_line)


@value(kw_only=True)
class Order:
    """What a user has ordered.

    All lines are in ``currency``. ``version`` counts the changes of this order, from 1, and is the sequence of the
    event that tells of the latest: an order is saved only over the version that was read.
    """

    id: UUID
    user_id: UUID
    currency: str
    lines: tuple[OrderLine, ...]
    total: Money
    created_at: datetime
    status: OrderStatus = OrderStatus.PLACED
    confirmed_at: datetime | None = None
    version: int = 1

    @classmethod
    def place(cls, *, id: UUID, user_id: UUID, currency: str, lines: tuple[OrderLine, ...], at: datetime) -> "Order":
        """A new order of 1 to 100 lines; its total is the exact sum of its lines."""
        if not 1 <= len(lines) <= LINES_MOST:
            raise InvalidValue(f"An order has 1 to {LINES_MOST} lines.", "/lines")
        for index, line in enumerate(lines):
            if line.unit_price.currency != currency:
                raise InvalidValue(f"Every line is priced in {currency}.", f"/lines/{index}/unit_price")
        return cls(
            id=id,
            user_id=user_id,
            currency=currency,
            lines=lines,
            total=total((line.amount for line in lines), currency),
            created_at=at,
        )

    def confirm(self, at: datetime) -> "Order":
        """The same order, confirmed, one version further."""
        return replace(self, status=OrderStatus.CONFIRMED, confirmed_at=at, version=self.version + 1)
