"""Webhooks of the SMS gateway: the gateway verifies and reads them; each event is answered after its commit."""

from flask import Blueprint, Response, request

from provisioning.core.errors import Forbidden
from provisioning.models import utcnow
from provisioning.sms import gateway, inbound
from provisioning.sms.gateway import SmsGateway

blueprint = Blueprint("webhooks", __name__, url_prefix="/webhooks/<name>")


def _verified(name: str) -> SmsGateway:
    """Give the gateway that sent this request. Raises Forbidden where it is none of ours, or is not proved."""
    sms_gateway = gateway.configured()
    if sms_gateway is None or sms_gateway.name != name:
        raise Forbidden("The signature is missing or wrong.", code="bad_signature")
    sms_gateway.verify(request)
    return sms_gateway


def _acknowledge(sms_gateway: SmsGateway) -> Response:
    return Response(sms_gateway.acknowledgement.body, mimetype=sms_gateway.acknowledgement.mimetype)


@blueprint.post("/inbound")
def receive_texts(name: str) -> Response:
    """Take texts that devices sent."""
    sms_gateway = _verified(name)
    for sms in sms_gateway.read_inbound(request):
        inbound.receive(sms, utcnow(), via="webhook")
    return _acknowledge(sms_gateway)


@blueprint.post("/status")
def receive_reports(name: str) -> Response:
    """Take delivery reports on messages of ours."""
    sms_gateway = _verified(name)
    for report in sms_gateway.read_reports(request):
        inbound.report(report, utcnow(), via="webhook")
    return _acknowledge(sms_gateway)
