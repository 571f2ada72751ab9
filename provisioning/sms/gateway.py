"""The port to SMS gateways: what a gateway must do, and the neutral facts that cross this border.

A gateway translates: its field names, status texts and error codes stand in its own module alone. It keeps no state
and writes no row. To add one: a module beside `twilio` and `http`, its class in `factory`, its settings, and the shared
contract test.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from flask import current_app
from werkzeug import Request

from provisioning.core.config import Config
from provisioning.core.prices import Price
from provisioning.core.sms_capabilities import EXTENSION, Capabilities, demand_gateway
from provisioning.models import DeliveryStatus
from provisioning.phrase import Phrase


@dataclass(frozen=True, slots=True)
class OutgoingSms:
    """One SMS to be handed over. Holds the true text with its credentials: never log it."""

    message_id: str  # ours; reports name it where the gateway can carry it
    recipient: str
    text: str = field(repr=False)
    validity: int | None = None  # seconds after which the gateway should give it up; None: not said


@dataclass(frozen=True, slots=True)
class Accepted:
    """The gateway has taken an SMS; `gateway_id` is None where its answer names no id."""

    gateway_id: str | None
    status: DeliveryStatus = DeliveryStatus.QUEUED


@dataclass(frozen=True, slots=True)
class InboundSms:
    """A text that a phone sent to us; `at` is when the gateway got it, where it says so."""

    gateway: str
    gateway_id: str | None
    sender: str
    recipient: str
    text: str = field(repr=False)
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What became of an SMS of ours, named by the gateway's id, by our own id, or by both."""

    gateway: str
    gateway_id: str | None
    our_id: str | None
    status: DeliveryStatus | None  # None: the gateway's status has no meaning here
    gateway_status: str  # as the gateway writes it
    error_code: str | None = None  # the gateway's own code


@dataclass(frozen=True, slots=True)
class ListedSms:
    """An SMS of ours as the gateway lists it."""

    report: DeliveryReport
    recipient: str
    text: str = field(repr=False)
    at: datetime | None = None
    price: Price | None = None  # None: the gateway has not reported it, or not yet


@dataclass(frozen=True, slots=True)
class ErrorDescription:
    """What an error code of the gateway means: whether trying again cannot help, and the phrase for people."""

    permanent: bool
    phrase: Phrase  # as gateway_words says it


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What a gateway wants to read as the answer to its webhook."""

    body: str
    mimetype: str


class SmsGateway(Protocol):
    """One SMS provider or router, with one sender."""

    name: str  # stands in rows, addresses of webhooks and SMS_GATEWAY
    title: str  # for people, marked by N_ where it is not a proper name
    sender: str  # the number or service that SMS come from; "": only the gateway knows
    capabilities: Capabilities
    acknowledgement: Acknowledgement

    def __init__(self, config: Config) -> None:
        """Read its settings; it asks nobody yet."""

    @property
    def account_settings(self) -> Sequence[str]:
        """Name the variables that choose its account and its sender, for the page of SMS."""

    def send(self, sms: OutgoingSms) -> Accepted:
        """Hand over one SMS.

        Raises GatewayError: `sent` is "no" where it certainly was not taken, "unknown" where it may have been.
        """

    def messages(self, since: datetime, *, to: str | None = None) -> Iterator[InboundSms | ListedSms]:
        """List messages created since then, both ways, newest first; only where `lists_messages`.

        Raises GatewayError.
        """

    def balance(self) -> Price:
        """Ask what money the account has left; only where `balance` is among the capabilities. Raises GatewayError."""

    def verify(self, request: Request) -> None:
        """Let nothing pass that the gateway did not send to us. Raises Forbidden."""

    def read_inbound(self, request: Request) -> Sequence[InboundSms]:
        """Read the texts in a verified webhook. Raises Invalid, naming the fields at fault."""

    def read_reports(self, request: Request) -> Sequence[DeliveryReport]:
        """Read the delivery reports in a verified webhook. Raises Invalid, naming the fields at fault."""

    def describe(self, error_code: str | None) -> ErrorDescription:
        """Say what an error code of a delivery report means; None: the gateway gave no reason."""


def configured() -> SmsGateway | None:
    """Give the current app's gateway, None where none is configured."""
    found: SmsGateway | None = current_app.extensions[EXTENSION]
    return found


def gateway() -> SmsGateway:
    """Give the current app's gateway. Raises Unavailable where none is configured."""
    demand_gateway()
    found: SmsGateway = current_app.extensions[EXTENSION]
    return found


def can_list(name: str) -> bool:
    """Say whether the gateway of this name can be asked what it took: only the configured one can be asked at all."""
    sms_gateway = configured()
    return sms_gateway is not None and sms_gateway.name == name and sms_gateway.capabilities.lists_messages


def describe_error(name: str, error_code: str | None) -> ErrorDescription:
    """Say what an error code of the gateway of this name means, also where another one is configured by now."""
    sms_gateway = configured()
    if sms_gateway is not None and sms_gateway.name == name:
        return sms_gateway.describe(error_code)
    if error_code is None:
        return ErrorDescription(False, Phrase("undelivered"))
    return ErrorDescription(False, Phrase("error_reported", {"error": error_code}))
