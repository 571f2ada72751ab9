"""Makes the SMS gateway that SMS_GATEWAY chooses. Called once by the app."""

from flask import Flask

from provisioning.core.config import Config
from provisioning.core.sms_capabilities import EXTENSION
from provisioning.sms.gateway import SmsGateway
from provisioning.sms.http import HttpGateway
from provisioning.sms.twilio import TwilioGateway

_KINDS: tuple[type[SmsGateway], ...] = (TwilioGateway, HttpGateway)
GATEWAYS = {kind.name: kind for kind in _KINDS}


def make(config: Config) -> SmsGateway | None:
    """Make the configured gateway; None where none is."""
    return GATEWAYS[config.sms_gateway_name](config) if config.sms_gateway_name else None


def init_app(app: Flask, config: Config) -> None:
    """Attach the gateway to the app, where one is configured."""
    app.extensions[EXTENSION] = make(config)
