"""A check that runs as tests see it: what it asks the vehicle, what the vehicle answers, how it ends."""

import dataclasses
from collections.abc import Iterator, Mapping

import pytest
from flask import Flask
from gateway_double import Phone

from provisioning.check import run_view, runner
from provisioning.models import ChecklistRun, Device, db, utcnow
from provisioning.sms import dispatch

REPLIES = {
    "getstatus": "Data Link: 1 GPRS: 1 Phone: 0 SIM: 0 OP: 24602 Signal: 5 NewSMS: 0 Roaming: 0",
    "getver": "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916",
    "getparam 151": "Param ID:150 Value:1;151:18;152:0;113:1;66000:3",
    "getparam 66": "Param ID:66042 Value:0;66024:0;66025:2",
    "getio": "DI1:1 AIN1:12650 DO1:0",
    "camgetver": "The front camera camgetver failed. The rear camera camgetver failed.",
    "camreq:1,1": "Error: DualCam not present",
    "camreq:1,2": "Error: DualCam not present",
}


@pytest.fixture
def phone(app: Flask) -> Iterator[Phone]:
    fast = dataclasses.replace(app.extensions["dualcam_config"], sms_per_second=1000)
    app.extensions["dualcam_config"] = fast
    phone = Phone(app)
    yield phone
    phone.close()


def begin(van: Device) -> ChecklistRun:
    run = runner.start(van, "ops@example.com", utcnow())
    runner.advance(run, utcnow())
    return run


def hand_over(phone: Phone, van: Device) -> str:
    """Send what waits; give the words of the newest SMS, without credentials."""
    before = len(phone.sent)
    while dispatch.send_next(van.id, utcnow):
        pass
    db.session.expire_all()
    return phone.sent[-1].removeprefix("fleet cam11 ") if len(phone.sent) > before else ""


def answer_all(phone: Phone, run: ChecklistRun, replies: Mapping[str, str] = REPLIES) -> list[str]:
    """Answer everything the run asks of the device until it waits for a person or ends; give what it asked."""
    asked = []
    while text := hand_over(phone, run.device):
        asked.append(text.split()[0])
        phone.reply(next(reply for begin, reply in replies.items() if text.startswith(begin)))
        runner.advance(run, utcnow())
    return asked


def verdict_text(run: ChecklistRun) -> str:
    verdict = run_view.shown(run).verdict
    return verdict.text if verdict else ""


def states(run: ChecklistRun) -> dict[str, str]:
    db.session.expire_all()
    return {name: entry.get("state", "") for name, entry in run.steps.items()}
