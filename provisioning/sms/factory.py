"""Makes the SMS gateway that SMS_GATEWAY chooses. Called once by the app."""

from flask import Flask

from provisioning.core.config import Config
from provisioning.core.sms_capabilities import EXTENSION
from provisioning.sms.gateway import SmsGateway
from provisioning.sms.twilio import TwilioGateway


def make(config: Config) -> SmsGateway | None:
    """Make the configured gateway; None where none is."""
    return TwilioGateway(config) if config.sms_gateway_name == "twilio" else None


def init_app(app: Flask, config: Config) -> None:
    """Attach the gateway to the app, where one is configured."""
    app.extensions[EXTENSION] = make(config)
