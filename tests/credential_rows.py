"""The pairs of credentials that tests use, and what a device and its proofs hold of them."""

from sms_commands import at
from sqlalchemy import select

from provisioning.commands import submission
from provisioning.models import Command, Device, db

OLD, NEW = ("fleet", "cam11"), ("new1", "new2")
CONFIRMED = "New value 3003:new1;3004:new2"
VERSION = "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916"
INFO = "RTC:2026/11/27 7:13 Init:2026/11/27 5:44 UpTime:4744s PWR:PwrVoltage RST:0 GPS:2 SAT:0"


def cancel(command: Command, seconds: float = 0) -> None:
    submission.cancel(command, at(seconds)())
    db.session.commit()


def proof(device: Device) -> Command:
    wanted = select(Command).where(Command.kind == "getver", Command.parent_id.is_not(None))
    return db.session.scalars(wanted.order_by(Command.id.desc())).first()  # type: ignore[return-value]
