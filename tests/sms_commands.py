"""Commands to a vehicle by SMS, as tests ask for them, send them and bring what comes back."""

from datetime import datetime, timedelta
from typing import Any

from gateway_double import Phone

from provisioning.commands import submission
from provisioning.models import Command, Device, GatewayEvent, db, utcnow
from provisioning.roles import Role
from provisioning.sms import dispatch, gateway, inbound
from provisioning.sms.gateway import InboundSms
from provisioning.tracker import language

REQUESTER = submission.Requester("tests", Role.INSTALLER)
NUMBER = "+12025550111"


def ask(device: Device, name: str, **arguments: Any) -> list[Command]:
    now = utcnow()
    asked = language.from_arguments(name, arguments, now=int(now.timestamp()))
    rows = submission.submit(device, asked, REQUESTER, now)
    db.session.commit()
    return rows


def photo(device: Device, source: str = "front") -> Command:
    return ask(device, "camreq", file_type="photo", source=source)[0]


def send(device: Device) -> None:
    while dispatch.send_next(device.id, utcnow):
        pass
    db.session.expire_all()


def claim(device: Device, now: datetime | None = None) -> dispatch.Handover | None:
    """Claim the device's next command, as a process does that is killed before it asks the gateway."""
    return dispatch._claim(device.id, gateway.gateway(), now or utcnow())


def owed_text(payload: dict[str, Any], **values: Any) -> GatewayEvent:
    """An inbound text of which only the event was stored."""
    given = {"via": "webhook", "attempts": 0} | values
    return GatewayEvent(
        kind="inbound", gateway="twilio", token=f"in:{payload['id']}", payload=payload, **given
    )


def at(seconds: float) -> Any:
    return lambda: utcnow() + timedelta(seconds=seconds)


# credentials


def reply_at(phone: Phone, seconds: float, text: str) -> None:
    """Bring a text as if it came so many seconds from now."""
    now = at(seconds)()
    sms = InboundSms("twilio", f"SMat{seconds:.0f}", NUMBER, "+12025550100", text)
    inbound.receive(sms, now, via="webhook")


def change_credentials(van: Device) -> Command:
    row = ask(van, "setparam", parameters={"3003": "new1", "3004": "new2"})[0]
    send(van)
    return row
