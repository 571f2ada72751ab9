"""Webhooks of the SMS gateway: the gateway verifies and reads them; each event is answered after its commit."""

from flask import Blueprint, Response, request

from provisioning.core.errors import Forbidden
from provisioning.models import utcnow
from provisioning.sms import gateway, inbound
from provisioning.sms.gateway import SmsGateway

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks/<name>")


def _verified(name: str) -> SmsGateway:
    """Give the gateway that sent this request. Raises Forbidden where it is none of ours, or is not proved."""
    carrier = gateway.configured()
    if carrier is None or carrier.name != name:
        raise Forbidden("The signature is missing or wrong.", code="bad_signature")
    carrier.verify(request)
    return carrier


def _acknowledge(carrier: SmsGateway) -> Response:
    return Response(carrier.acknowledgement.body, mimetype=carrier.acknowledgement.mimetype)


@blueprint.post("/inbound")
def receive_texts(name: str) -> Response:
    """Take texts that devices sent."""
    carrier = _verified(name)
    for sms in carrier.read_inbound(request):
        inbound.receive(sms, utcnow(), via="webhook")
    return _acknowledge(carrier)


@blueprint.post("/status")
def receive_reports(name: str) -> Response:
    """Take delivery reports on messages of ours."""
    carrier = _verified(name)
    for report in carrier.read_reports(request):
        inbound.report(report, utcnow(), via="webhook")
    return _acknowledge(carrier)
