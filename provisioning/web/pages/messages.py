"""Texts that nobody claimed, and taking a sender as a device's new number."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from provisioning.core.errors import Invalid, NotFound
from provisioning.devices import registry
from provisioning.models import UNCLAIMED, Device, Message, Role, db, utcnow
from provisioning.sms import inbound, unmatched
from provisioning.web import auth
from provisioning.web.pages import forms

PAGE = 50
SUGGESTED = 500  # devices; a list to choose from helps nobody beyond, and weighs


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/messages", "messages", show)
    blueprint.add_url_rule("/messages/<ident>/claim", "claim", claim, methods=["POST"])
    blueprint.add_url_rule("/messages/<ident>/aside", "put_aside", put_aside, methods=["POST"])


@auth.require(Role.VIEWER)
def show() -> ResponseReturnValue:
    """Show texts that no command took, newest first."""
    return _page()


def _page(problem: str | None = None, claimed: Message | None = None) -> str:
    query = select(Message).options(joinedload(Message.device)).where(UNCLAIMED)
    if before := request.args.get("before"):
        query = query.where(Message.id < before)
    rows = db.session.scalars(query.order_by(Message.id.desc()).limit(PAGE + 1)).all()
    live = db.session.execute(
        select(Device.imei, Device.name)
        .where(Device.archived_at.is_(None))
        .order_by(Device.id)
        .limit(SUGGESTED + 1)
    ).all()
    shown = rows[:PAGE]
    return render_template(
        "messages.html",
        rows=shown,
        more=len(rows) > PAGE,
        problem=problem,
        any_device=bool(live),
        claimed=claimed,
        suggested=sorted(live, key=lambda one: one.name) if len(live) <= SUGGESTED else (),
        likely=unmatched.likely_devices([row for row in shown if row.device_id is None]),
    )


def _find(ident: str) -> Message:
    message = db.session.get(Message, ident)
    if message is None:
        raise NotFound("There is no such message.")
    return message


@auth.require(Role.INSTALLER)
def claim(ident: str) -> ResponseReturnValue:
    """Take a text's sender as a device's new number."""
    message = _find(ident)

    def work() -> str:
        device = registry.named(request.form.get("imei", ""))
        if not message.sender.startswith("+"):
            raise Invalid("This sender is no phone number.")
        now = utcnow()
        touched = inbound.claim_sender(
            message, device, lambda d, phone: registry.set_phone(d, phone, now), now
        )
        inbound.follow(touched, now)
        return url_for("pages.device", imei=device.imei)

    return forms.once(work, lambda error: (_page(error.message, message), error.status))


@auth.require(Role.SUPPORT)
def put_aside(ident: str) -> ResponseReturnValue:
    """Take a text off the list; it stays at its device."""
    message = _find(ident)

    def work() -> str:
        unmatched.put_aside(message, auth.caller().label)
        return url_for("pages.messages")

    return forms.once(work, lambda error: (_page(error.message), error.status))
