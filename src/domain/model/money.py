"""Exact amounts of money."""

from collections.abc import Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation

from domain.model.currency import decimals_of
from domain.model.errors import InvalidValue
from domain.model.value import value

DIGITS_BEFORE_POINT = 12
TOTAL_DIGITS_BEFORE_POINT = 18
_LIMIT = Decimal(10) ** DIGITS_BEFORE_POINT
# The largest total (100 lines of 10,000 pieces at the limit) has 18 + 4 digits; an inexact result is an error, never
# rounded.
_UNITS = tuple(Decimal(1).scaleb(-decimals) for decimals in range(5))  # the smallest amount, by the number of decimals
_EXACT = Context(prec=40, traps=[Inexact, InvalidOperation])


@value
class Money:
    """An amount of one currency, with exactly as many decimals as ISO 4217 gives it.

    ``amount`` is a `Decimal`; build one from text with `Money.parse`. Sums and multiples are exact.
    """

    amount: Decimal
    currency: str

    def __post_init__(self) -> None:
        decimals = decimals_of(self.currency)
        amount, unit = self.amount, _UNITS[decimals]
        if not amount.same_quantum(unit):
            if not amount.is_finite():
                raise InvalidValue("An amount must be a finite decimal number.")
            try:
                amount = amount.quantize(unit, context=_EXACT)
            except (Inexact, InvalidOperation):
                raise InvalidValue(
                    f"An amount in {self.currency} has at most {decimals} digits after the point."
                ) from None
            object.__setattr__(self, "amount", amount)

    @classmethod
    def parse(cls, text: str, currency: str, *, digits: int = DIGITS_BEFORE_POINT) -> "Money":
        """Read a price such as ``"9.90"``: 0 or more, at most ``digits`` before the point, no exponent."""
        whole, point, fraction = text.partition(".")
        if not (text.isascii() and whole.isdigit() and (fraction.isdigit() if point else True)):
            raise InvalidValue('An amount is a decimal string such as "9.90": digits with at most one point.')
        if len(whole.lstrip("0")) > digits:
            raise InvalidValue(f"An amount has at most {digits} digits before the point.")
        if len(fraction) > decimals_of(currency):
            raise InvalidValue(f"An amount in {currency} has at most {decimals_of(currency)} digits after the point.")
        return cls(Decimal(text), currency)

    def times(self, quantity: int) -> "Money":
        """This amount, ``quantity`` times."""
        return Money(_EXACT.multiply(self.amount, Decimal(quantity)), self.currency)

    @property
    def within_price_limit(self) -> bool:
        """Whether this may be the price of one piece."""
        return 0 <= self.amount < _LIMIT

    def __str__(self) -> str:
        return str(self.amount)  # never with an exponent, since it has at most four decimals


def total(amounts: Iterable[Money], currency: str) -> Money:
    """The exact sum of ``amounts``, all of ``currency``; `ValueError` when one is not."""
    result = Decimal(0)
    for money in amounts:
        if money.currency != currency:
            raise ValueError(f"cannot add {money.currency} to {currency}")
        result = _EXACT.add(result, money.amount)
    return Money(result, currency)
