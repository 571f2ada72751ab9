"""Settings, SMS: the gateway and what it carried lately, a test SMS, and what a new vehicle begins with."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.commands import command_words, sms_prices
from provisioning.core import fleet_settings
from provisioning.core.config import current_config
from provisioning.core.errors import GatewayError, ServiceError
from provisioning.core.prices import Price
from provisioning.models import DeliveryStatus, Message, utcnow
from provisioning.sms import gateway, traffic, trial_messages
from provisioning.sms.gateway import SmsGateway
from provisioning.translation import N_, gettext
from provisioning.web import audit_notes, reader
from provisioning.web.pages import forms
from provisioning.web.pages.words import Label
from provisioning.web.schemas.devices import NewVehiclesSchema
from provisioning.web.schemas.messages import TrialMessageSchema

_ON_ITS_WAY = Label(N_("Handed to the gateway, on its way"), "send", "open")
_UNCLEAR = Label(N_("Not clear"), "circle-dashed", "warn")
_LOST = Label(N_("Not delivered"), "circle-x", "bad")
STATES = {
    DeliveryStatus.SENDING: _ON_ITS_WAY,
    DeliveryStatus.QUEUED: _ON_ITS_WAY,
    DeliveryStatus.SENT: _ON_ITS_WAY,
    DeliveryStatus.UNKNOWN: _UNCLEAR,
    DeliveryStatus.DELIVERED: Label(N_("Delivered"), "circle-check", "good"),
    DeliveryStatus.UNDELIVERED: _LOST,
    DeliveryStatus.FAILED: _LOST,
    DeliveryStatus.CANCELED: _LOST,
}
REPORTED_WITHIN = timedelta(minutes=10)  # a delivery report comes within seconds, or not at all


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/sms", "sms", show)
    blueprint.add_url_rule("/settings/sms/part", "sms_part", part)
    blueprint.add_url_rule("/settings/sms", "change_new_vehicles", change_new_vehicles, methods=["POST"])
    blueprint.add_url_rule("/settings/sms/test", "test_sms", send_test, methods=["POST"])


def show() -> ResponseReturnValue:
    """Show the gateway; with `?balance` it is asked for the balance, which takes a moment."""
    return _page()


def part() -> ResponseReturnValue:
    """Say in one line whether SMS work, for the start page of administrators."""
    lately = traffic.lately(utcnow())
    return render_template("settings/sms_part.html", traffic=lately, label=_verdict(lately))


def _verdict(lately: traffic.Traffic) -> Label:
    """Judge by the answers: an SMS that vehicles answered went both ways."""
    if gateway.configured() is None:
        return Label(N_("No SMS gateway is set"), "circle-x", "bad")
    if not lately.sent:
        return Label(N_("No SMS were sent in the last 24 hours"), "circle-dashed", "quiet")
    if not lately.answered:
        return Label(N_("No vehicle answered an SMS in the last 24 hours"), "alert-triangle", "warn")
    return Label(N_("SMS work"), "circle-check", "good")


def change_new_vehicles() -> ResponseReturnValue:
    """Change what the form of a new vehicle begins with; an empty login and password leave them as they are."""

    def work() -> str:
        given = forms.load(NewVehiclesSchema(), "sms_login", "sms_password", "country_code")
        values: dict[str, str | None] = {"country_code": given["country_code"] or None}
        if "forget_login" in request.form:
            values |= {"sms_login": None, "sms_password": None}
        elif given.get("sms_login"):
            values |= {"sms_login": given["sms_login"], "sms_password": given["sms_password"]}
        fleet_settings.change(values, utcnow())
        audit_notes.settings("sms", values)
        return url_for("pages.sms", _anchor="new-vehicles")

    return forms.once(work, lambda error: (_page(error), error.status))


def send_test() -> ResponseReturnValue:
    """Send a test SMS; a double click sends one."""

    def work() -> str:
        phone = forms.load(TrialMessageSchema(), "phone")["phone"]
        trial_messages.send(phone, utcnow())
        audit_notes.test_sms(phone)
        return url_for("pages.sms", _anchor="test")

    return forms.once(work, lambda error: (_page(error), error.status))


def _page(error: ServiceError | None = None) -> str:
    carrier, now = gateway.configured(), utcnow()
    balance, problem = _balance(carrier) if carrier and "balance" in request.args else (None, None)
    trials = trial_messages.latest(now)
    cost_of_day, cost_of_month = sms_prices.spent(now - traffic.PERIOD, _month(now))
    lately = traffic.lately(now)
    return render_template(
        "settings/sms.html", carrier=carrier, title=gettext(carrier.title) if carrier else None,
        balance=balance, balance_problem=problem,
        price=sms_prices.price(None, 1), is_fixed=current_config().sms_price is not None,
        traffic=lately, verdict=_verdict(lately), cost_of_day=cost_of_day, cost_of_month=cost_of_month,
        last_webhook=traffic.last_webhook(carrier.name) if carrier else None,
        trials=[(one, _state(one), _reason(one)) for one in trials],
        is_open=any(_may_be_reported(one) for one in trials), per_hour=trial_messages.PER_HOUR,
        public_url=current_config().public_url, error=error, errors=error.errors if error else {},
        new_vehicles=fleet_settings.current(), given=request.form,
    )  # fmt: skip


def _month(now: datetime) -> datetime:
    """Give when the month began, in the reader's zone."""
    shown = now.astimezone(ZoneInfo(reader.time_zone()))
    return shown.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _balance(carrier: SmsGateway) -> tuple[Price | None, str | None]:
    if not carrier.capabilities.balance:
        return None, None
    try:
        return carrier.balance(), None
    except GatewayError as error:
        return None, command_words.sentence(error.phrase)


def _state(message: Message) -> Label:
    """Give the state in a word; whether an SMS went out is not clear where the process that sent it ended meanwhile."""
    is_old = utcnow() - message.created_at > REPORTED_WITHIN
    return (
        _UNCLEAR
        if is_old and message.status == DeliveryStatus.SENDING
        else STATES[DeliveryStatus(message.status)]
    )


def _reason(message: Message) -> str | None:
    """Say why a message did not arrive, or may not have."""
    if message.status == DeliveryStatus.UNDELIVERED or (message.error_code and not message.note):
        return command_words.sentence(gateway.describe_error(message.gateway, message.error_code).phrase)
    return command_words.said(message.note)


def _may_be_reported(message: Message) -> bool:
    return _state(message) is _ON_ITS_WAY and utcnow() - message.created_at < REPORTED_WITHIN
