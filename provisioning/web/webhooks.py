"""Twilio's callbacks: verify the signature over PUBLIC_URL, take the event, answer after the commit."""

import re

from flask import Blueprint, Response, request

from provisioning.core.config import current_config
from provisioning.core.errors import Forbidden
from provisioning.models import utcnow
from provisioning.sms import inbound
from provisioning.sms.gateway import gateway

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks/twilio")
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")


@blueprint.before_request
def check_signature() -> None:
    """Let nothing pass that Twilio did not sign for our public address, or that is not about our account's messages.

    The signed text has no separators between names and values: a message id of the right form shows that they were
    not split in another way to have one text taken twice.
    """
    config = current_config()
    if config.gateway_configured:
        query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
        url = f"{config.public_url}{request.path}{query}"
        if gateway().genuine(url, request.form, request.headers.get("X-Twilio-Signature", "")):
            if (
                SID.fullmatch(request.form.get("MessageSid", ""))
                and request.form.get("AccountSid") == config.twilio_account_sid
            ):
                return
            raise Forbidden("This is not about a message of this account.", code="not_ours")
    raise Forbidden("The signature is missing or wrong.", code="bad_signature")


def _parameters() -> dict[str, str]:
    return request.args.to_dict() | request.form.to_dict()


@blueprint.post("/inbound")
def receive_text() -> Response:
    """Take a text that a device sent."""
    inbound.follow(inbound.receive(_parameters(), utcnow(), via="webhook"), utcnow())
    return Response(EMPTY, mimetype="text/xml")


@blueprint.post("/status")
def receive_report() -> Response:
    """Take a report on a message of ours."""
    inbound.follow(inbound.report(_parameters(), utcnow(), via="webhook"), utcnow())
    return Response(EMPTY, mimetype="text/xml")
