"""What SMS to a device cost: by the settings, else as the gateway reported of past ones; and what was spent."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Numeric, cast, func, select

from provisioning.core.config import current_config
from provisioning.core.prices import Price, price_of, read_price
from provisioning.models import DeliveryStatus, Device, Direction, Message, db, first_id

NEWEST = 100  # SMS whose price the gateway reported
MANY = 100_000  # SMS that are added up while somebody waits


@dataclass(frozen=True, slots=True)
class Spent:
    """What SMS cost in all, by currency.

    `is_estimate`: the gateway has not reported each price; `has_unknown`: nobody knows the price of those;
    `has_more`: there are more SMS than were added up.
    """

    amounts: list[Price]
    is_estimate: bool
    has_unknown: bool
    has_more: bool


def spent(since: datetime) -> Spent:
    """Add up what SMS have cost since a time, as the gateway reported, else by the price of one; `MANY` at most."""
    some = (
        select(Message.currency, Message.price)
        .where(
            Message.id >= first_id(since),
            Message.direction == Direction.OUT,
            Message.status.not_in((DeliveryStatus.FAILED, DeliveryStatus.CANCELED)),
        )
        .order_by(Message.id.desc())
        .limit(MANY + 1)
        .subquery()
    )
    total = func.sum(cast(some.c.price, Numeric(20, 8)))
    rows = db.session.execute(select(some.c.currency, func.count(), total).group_by(some.c.currency)).all()
    amounts: Counter[str] = Counter()
    for currency, _, amount in rows:
        if currency is not None:
            amounts[currency] += Decimal(amount)  # type: ignore[assignment]
    unpriced = sum(count for currency, count, _ in rows if currency is None)
    estimate = price(None, unpriced) if unpriced else None
    if estimate:
        amounts[estimate.currency] += estimate.amount  # type: ignore[assignment]
    return Spent(
        [Price(Decimal(amount), currency) for currency, amount in sorted(amounts.items())],
        bool(estimate), bool(unpriced) and estimate is None, sum(count for _, count, _ in rows) > MANY,
    )  # fmt: skip


def price(device: Device | None, count: int) -> Price | None:
    """Give the price of this many SMS to a device; None where it is not known."""
    fixed = current_config().sms_price
    return price_of(count, fixed, [] if fixed else _reported_prices(device))


def _reported_prices(device: Device | None) -> list[Price]:
    """Give the prices of past SMS, newest first, those to the same device before others (prices differ by country)."""
    rows = db.session.execute(
        select(Message.device_id, Message.price, Message.currency)
        .where(Message.price.is_not(None))
        .order_by(Message.id.desc())
        .limit(NEWEST)
    ).all()
    same = sorted(rows, key=lambda row: device is None or row.device_id != device.id)
    found = (read_price(f"{row.price} {row.currency}") for row in same)
    return [price for price in found if price is not None]
