"""Stores the prices of SMS that the gateway reports in its list of messages."""

from collections.abc import Sequence

from sqlalchemy import select

from provisioning.models import Direction, Message, db
from provisioning.sms.gateway import ListedSms

AT_ONCE = 500  # ids in one statement


def keep(listed: Sequence[ListedSms]) -> None:
    """Write the prices of SMS of ours that have none yet; the caller commits. All are of one gateway."""
    priced = {one.report.gateway_id: one.price for one in listed if one.price}
    ids = list(priced)
    for at in range(0, len(ids), AT_ONCE):
        rows = db.session.scalars(
            select(Message).where(
                Message.gateway == listed[0].report.gateway,
                Message.direction == Direction.OUT,
                Message.gateway_id.in_(ids[at : at + AT_ONCE]),
                Message.price.is_(None),
            )
        )
        for row in rows:
            price = priced[row.gateway_id]
            row.price, row.currency = f"{price.amount:f}", price.currency
