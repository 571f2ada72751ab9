"""What SMS to a device cost: by the settings, else as the gateway reported of past ones; and what was spent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Numeric, case, cast, func, select

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


def spent(*since: datetime) -> list[Spent]:
    """Add up for each of these times what SMS have cost since it, in one statement; `MANY` SMS of each at most.

    As the gateway reported, else by the price of one.
    """
    some = (
        select(Message.id, Message.currency, Message.price)
        .where(
            Message.id >= first_id(min(since)),
            Message.direction == Direction.OUT,
            Message.status.not_in((DeliveryStatus.FAILED, DeliveryStatus.CANCELED)),
        )
        .order_by(Message.id.desc())
        .limit(MANY + 1)
        .subquery()
    )
    price_of_row = cast(some.c.price, Numeric(20, 8))
    columns = [
        column
        for moment in since
        for column in (
            func.count(case((some.c.id >= first_id(moment), 1))),
            func.sum(case((some.c.id >= first_id(moment), price_of_row))),
        )
    ]
    rows = db.session.execute(select(some.c.currency, *columns).group_by(some.c.currency)).all()
    one = price(None, 1) if any(row.currency is None for row in rows) else None
    return [
        _spent([(row.currency, row[at], row[at + 1]) for row in rows], one)
        for at in range(1, 2 * len(since), 2)
    ]


def _spent(rows: Sequence[tuple[str | None, int, Decimal | None]], one: Price | None) -> Spent:
    """Add up one period: how many SMS of each currency, and their amount; `one` is the price of an SMS without any."""
    amounts: Counter[str] = Counter()
    for currency, count, amount in rows:
        if currency is not None and count:
            amounts[currency] += Decimal(amount or 0)  # type: ignore[assignment]
    unpriced = sum(count for currency, count, _ in rows if currency is None)
    if unpriced and one:
        amounts[one.currency] += one.amount * unpriced  # type: ignore[assignment]
    return Spent(
        [Price(Decimal(amount), currency) for currency, amount in sorted(amounts.items())],
        bool(unpriced and one), bool(unpriced and not one), sum(count for _, count, _ in rows) > MANY,
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
