"""The token bucket of a sender: how many SMS may go now, whichever process sends them."""

from datetime import datetime

from sqlalchemy import ColumnElement, case, insert, select, update
from sqlalchemy.exc import IntegrityError

from provisioning.core.config import current_config
from provisioning.models import SenderBucket, changed, db
from provisioning.sms.gateway import SmsGateway


def take_token(sms_gateway: SmsGateway, now: datetime) -> bool:
    """Take one token of the sender's bucket in one atomic statement; say whether there was one."""
    config, at = current_config(), now.timestamp()
    sender, tokens = _sender(sms_gateway), _tokens(now)
    take = (
        update(SenderBucket)
        .where(SenderBucket.sender == sender, tokens >= 1)
        .values(tokens=tokens - 1, at=at)
        .execution_options(synchronize_session=False)
    )
    if changed(take):
        return True
    if db.session.get(SenderBucket, sender) is not None:
        return False
    try:
        with db.session.begin_nested():
            first = {"sender": sender, "tokens": float(config.sms_burst), "at": at}
            db.session.execute(insert(SenderBucket).values(first))
    except IntegrityError:
        pass  # another process made it just now
    return bool(changed(take))


def _sender(sms_gateway: SmsGateway) -> str:
    return sms_gateway.sender or sms_gateway.name


def _tokens(now: datetime) -> ColumnElement[float]:
    """Give how many tokens a bucket holds now."""
    config, at = current_config(), now.timestamp()
    # a time ahead of now, by a clock that was set wrong, counts as now
    since = case((SenderBucket.at < at, at - SenderBucket.at), else_=0.0)
    filled = SenderBucket.tokens + since * config.sms_per_second
    return case((filled > config.sms_burst, float(config.sms_burst)), else_=filled)


def tokens_left(sms_gateway: SmsGateway, now: datetime) -> int:
    """Give how many SMS may go now: whole tokens of the sender's bucket, which is full where it is not there yet."""
    tokens = db.session.scalar(select(_tokens(now)).where(SenderBucket.sender == _sender(sms_gateway)))
    return current_config().sms_burst if tokens is None else int(tokens)
