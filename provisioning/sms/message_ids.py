"""The id by which a gateway knows an SMS of ours."""

import structlog
from sqlalchemy.exc import IntegrityError

from provisioning.models import Message, db

log = structlog.get_logger(__name__)


def keep_id(message: Message, gateway_id: str | None) -> None:
    """Keep the gateway's id of an SMS, once.

    An id that another SMS has stays with that one: a router may count from 1 again after a restart, and then only our
    own id names the right one in its reports.
    """
    if message.gateway_id is not None or not gateway_id:
        return
    try:
        with db.session.begin_nested():
            message.gateway_id = gateway_id
    except IntegrityError:
        log.warning("the gateway uses an id twice", gateway=message.gateway, gateway_id=gateway_id)
