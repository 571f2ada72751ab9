"""The stand-ins, by the names that SMS_GATEWAY has for their gateways; a gateway that is not here is not simulated."""

from simulator.http_api import HttpStandIn
from simulator.sms_gateway import GatewayStandIn
from simulator.twilio_api import TwilioStandIn

_KINDS: tuple[type[GatewayStandIn], ...] = (TwilioStandIn, HttpStandIn)
STAND_INS = {kind.name: kind for kind in _KINDS}
