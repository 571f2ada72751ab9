"""Twilio's callbacks: verify the signature over PUBLIC_URL, take the event, answer after the commit."""

from flask import Blueprint, Response, request

from . import background, inbox
from .config import current_config
from .errors import Forbidden
from .gateway import gateway
from .models import utcnow

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks/twilio")
EMPTY = '<?xml version="1.0" encoding="UTF-8"?><Response></Response>'


@blueprint.before_request
def check_signature() -> None:
    """Let nothing pass that Twilio did not sign for our public address."""
    if current_config().gateway_configured:
        query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
        url = f"{current_config().public_url}{request.path}{query}"
        if gateway().genuine(url, request.form, request.headers.get("X-Twilio-Signature", "")):
            return
    raise Forbidden("The signature is missing or wrong.", code="bad_signature")


def _parameters() -> dict[str, str]:
    given = request.args.to_dict() | request.form.to_dict()
    if token := request.headers.get("I-Twilio-Idempotency-Token"):
        given["I-Twilio-Idempotency-Token"] = token
    return given


@blueprint.post("/inbound")
def inbound() -> Response:
    """Take a text that a device sent."""
    background.follow(inbox.receive(_parameters(), utcnow(), via="webhook"), utcnow())
    return Response(EMPTY, mimetype="text/xml")


@blueprint.post("/status")
def status() -> Response:
    """Take a report on a message of ours."""
    background.follow(inbox.report(_parameters(), utcnow(), via="webhook"), utcnow())
    return Response(EMPTY, mimetype="text/xml")
