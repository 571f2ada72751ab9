"""What the configured SMS gateway can do. Whoever relies on an ability asks here, whatever the gateway is."""

from dataclasses import dataclass

from flask import current_app

from provisioning.core.errors import Unavailable

EXTENSION = "dualcam_gateway"  # where the app holds its gateway, or None
NO_GATEWAY = (
    "No SMS gateway is configured: set SMS_GATEWAY and the settings of that gateway, for example"
    " TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM."
)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The abilities in which SMS gateways differ; the defaults are what every gateway can do."""

    keeps_leading_spaces: bool = False
    figure_space: bool = False  # it turns one U+2007 at the beginning into two spaces
    lists_messages: bool = False  # it can be asked afterwards what it took and received
    delivery_reports: bool = False
    balance: bool = False  # it can be asked what money the account has left
    message_ids: bool = False  # its answer to a new SMS names the message
    validity_limit: int | None = None  # seconds; None: it takes no validity period


def sms_capabilities() -> Capabilities:
    """Give what the app's gateway can do; where none is configured, what every gateway can."""
    gateway = current_app.extensions[EXTENSION]
    return Capabilities() if gateway is None else gateway.capabilities


def demand_gateway() -> None:
    """Raise Unavailable where no gateway is configured."""
    if current_app.extensions[EXTENSION] is None:
        raise Unavailable(NO_GATEWAY, code="gateway_not_configured")
