"""Texts that nobody claimed, and taking a sender as a device's new number."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from .. import auth, background, devices, inbox
from ..errors import Invalid, NotFound
from ..models import Device, Direction, Message, Role, db, utcnow
from . import forms


def attach(blueprint: Blueprint) -> None:
    """Add the room's addresses."""
    blueprint.add_url_rule("/messages", "messages", show)
    blueprint.add_url_rule("/messages/<ident>/claim", "claim", claim, methods=["POST"])


@auth.require(Role.VIEWER)
def show() -> ResponseReturnValue:
    """Show texts that no command took, newest first."""
    return _page()


def _page(problem: str | None = None) -> str:
    rows = db.session.scalars(
        select(Message)
        .where(Message.direction == Direction.IN, Message.claimed.is_(False))
        .order_by(Message.id.desc())
        .limit(100)
    ).all()
    live = db.session.scalars(select(Device).where(Device.archived_at.is_(None)).order_by(Device.name)).all()
    return render_template("messages.html", rows=rows, devices=live, problem=problem)


@auth.require(Role.INSTALLER)
def claim(ident: str) -> ResponseReturnValue:
    """Take a text's sender as a device's new number."""
    message = db.session.get(Message, ident)
    if message is None:
        raise NotFound("There is no such message.")

    def work() -> str:
        device = devices.find(request.form.get("imei", ""))
        if not message.sender.startswith("+"):
            raise Invalid("This sender is no phone number.")
        now = utcnow()
        touched = inbox.claim_sender(message, device, lambda d, phone: devices.set_phone(d, phone, now), now)
        background.follow(touched, now)
        return url_for("pages.device", imei=device.imei)

    return forms.once(work, lambda error: (_page(error.message), error.status))
