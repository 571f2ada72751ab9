"""What SMS to a device cost: by the settings, else as the gateway reported of past ones."""

from sqlalchemy import select

from provisioning.core.config import current_config
from provisioning.core.prices import Price, price_of, read_price
from provisioning.models import Device, Message, db

NEWEST = 100  # SMS whose price the gateway reported


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
