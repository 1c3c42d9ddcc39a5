"""Strategies for values of the model."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st

from domain.model.currency import DECIMALS
from domain.model.email import Email
from domain.model.events import Event, OrderConfirmed, OrderCreated, UserRegistered
from domain.model.money import DIGITS_BEFORE_POINT, Money
from domain.model.order import LINES_MOST, QUANTITY_MOST, Order, OrderLine
from domain.model.user import User

currencies = st.sampled_from(sorted(DECIMALS))
ids: st.SearchStrategy[UUID] = st.uuids()
instants = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001


@st.composite
def prices(draw: st.DrawFn, currency: str) -> Money:
    """Every price that a line may have."""
    units = draw(st.integers(0, 10 ** (DIGITS_BEFORE_POINT + DECIMALS[currency]) - 1))
    return Money(Decimal(units).scaleb(-DECIMALS[currency]), currency)


names = (
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp"]), min_size=1, max_size=60)
    .map(str.strip)
    .filter(bool)
)
_letters = "abcdefghijklmnopqrstuvwxyz"
_atoms = st.text(_letters + "0123456789!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=15)
locals_ = st.lists(_atoms, min_size=1, max_size=3).map(".".join)
_labels = st.text(_letters + "0123456789", min_size=1, max_size=10) | st.sampled_from(["a-b", "x1-2-y", "0-0"])
domains = st.builds(
    "{}.{}".format, st.lists(_labels, min_size=1, max_size=3).map(".".join), st.text(_letters, min_size=2, max_size=6)
)
emails = st.builds(lambda local, domain: Email(f"{local}@{domain}"), locals_, domains)


@st.composite
def lines(draw: st.DrawFn, currency: str) -> OrderLine:
    return OrderLine(draw(names), draw(st.integers(1, QUANTITY_MOST)), draw(prices(currency)))


@st.composite
def orders(draw: st.DrawFn, most: int = 5) -> Order:
    currency = draw(currencies)
    return Order.place(
        id=draw(ids),
        user_id=draw(ids),
        currency=currency,
        lines=tuple(draw(st.lists(lines(currency), min_size=1, max_size=min(most, LINES_MOST)))),
        at=draw(instants),
    )


users = st.builds(User, id=ids, email=emails, name=st.none() | names, registered_at=instants)


@st.composite
def _confirmed(draw: st.DrawFn) -> Event:
    order = draw(orders(most=1))
    return OrderConfirmed.of(order.confirm(order.created_at + timedelta(seconds=1)), id=draw(ids))


def _of(event: Any, value: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.builds(lambda told, event_id: cast("Event", event.of(told, id=event_id)), value, ids)


events: dict[type[Event], st.SearchStrategy[Event]] = {
    UserRegistered: _of(UserRegistered, users),
    OrderCreated: _of(OrderCreated, orders()),
    OrderConfirmed: _confirmed(),
}
