"""The price of SMS: an amount with its currency, as a setting or a gateway says it, and what several cost. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

_PRICE = re.compile(r"(?P<amount>[0-9]{1,6}(\.[0-9]{1,8})?) ?(?P<currency>[A-Za-z]{3})")


@dataclass(frozen=True, slots=True)
class Price:
    """An amount of money; `currency` is the ISO 4217 code in capital letters."""

    amount: Decimal
    currency: str

    def __str__(self) -> str:
        return f"{self.amount.normalize():f} {self.currency}"


def read_price(text: str) -> Price | None:
    """Read "0.05 EUR"; None for what is no price."""
    found = _PRICE.fullmatch(text.strip())
    return Price(Decimal(found["amount"]), found["currency"].upper()) if found else None


def price_of(count: int, fixed: Price | None, reported: Sequence[Price]) -> Price | None:
    """Give the price of this many SMS; None where nobody knows it.

    `fixed` is the price of one SMS by the settings, which decides; `reported` are those that the gateway gave of
    past SMS, the one that fits best first.
    """
    one = fixed or next(iter(reported), None)
    return Price(one.amount * count, one.currency) if one else None
