"""The inbox: what wants a person. Here are texts that answer no request, and devices that nobody added.

What else wants one is gathered by `inbox_items`.
"""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from provisioning.core.audit import AuditAction
from provisioning.core.errors import Invalid, NotFound
from provisioning.devices import registry
from provisioning.media import camera_sessions
from provisioning.models import (
    UNMATCHED,
    CameraSession,
    Device,
    Direction,
    Message,
    Upload,
    UploadState,
    db,
    first_id,
    in_state,
    utcnow,
)
from provisioning.sms import inbound_texts, unmatched
from provisioning.translation import gettext
from provisioning.web import audit_notes, auth
from provisioning.web.pages import forms, inbox_items, more_rows

PAGE = 50
FIRST, ON_PHONE = 10, 4  # texts
FIRST_UNKNOWN, UNKNOWN_ON_PHONE = 20, 8  # devices on the page of all
UNKNOWN = 5  # devices on the first page of the inbox; the others are behind a link
SUGGESTED = 500  # devices; a list to choose from helps nobody beyond, and weighs


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/inbox", "inbox", show)
    blueprint.add_url_rule("/inbox/texts/<ident>/claim", "claim", claim, methods=["POST"])
    blueprint.add_url_rule("/inbox/texts/<ident>/aside", "put_aside", put_aside, methods=["POST"])
    blueprint.add_url_rule("/inbox/unknown", "unknown_devices", show_unknown)
    blueprint.add_url_rule("/inbox/unknown/<imei>", "unknown_device", show_unknown_device)


def show() -> ResponseReturnValue:
    """Show what waits for a person, newest first."""
    return _page()


def _page(problem: str | None = None, claimed: Message | None = None) -> str:
    query = select(Message).options(joinedload(Message.device)).where(UNMATCHED)
    before = request.args.get("before", "")
    if before:
        query = query.where(Message.id < before)
    # one that was refused may stand behind "More"
    count = more_rows.wanted(FIRST, ON_PHONE) if claimed is None else more_rows.wanted(PAGE, PAGE)
    rows = db.session.scalars(query.order_by(Message.id.desc()).limit(count.shown + 1)).all()
    live = db.session.execute(
        select(Device.imei, Device.name)
        .where(Device.archived_at.is_(None))
        .order_by(Device.id)
        .limit(SUGGESTED + 1)
    ).all()
    shown = rows[: count.shown]
    unknown = _unknown(UNKNOWN)
    with_done = "all" in request.args
    return render_template(
        "inbox.html", groups=[] if before else inbox_items.groups(with_done=with_done), with_done=with_done,
        put_aside=_put_aside() if with_done else [],
        unknown=unknown[:UNKNOWN], more_unknown=len(unknown) > UNKNOWN, kept=_kept(unknown),
        before=before, rows=shown, count=count, has_more=len(rows) > len(shown), problem=problem,
        any_device=bool(live), claimed=claimed,
        suggested=sorted(live, key=lambda one: one.name) if len(live) <= SUGGESTED else (),
        likely=unmatched.likely_devices([row for row in shown if row.device_id is None]),
    )  # fmt: skip


def _put_aside() -> Sequence[Message]:
    """Give the newest texts of unknown numbers that somebody has dealt with, of the last days."""
    return db.session.scalars(
        select(Message)
        .where(
            Message.id >= first_id(utcnow() - inbox_items.DONE_FOR),
            Message.direction == Direction.IN,
            Message.claimed,
            Message.device_id.is_(None),
        )
        .order_by(Message.id.desc())
        .limit(PAGE)
    ).all()


def _find(ident: str) -> Message:
    message = db.session.get(Message, ident)
    if message is None:
        raise NotFound(gettext("There is no such message."))
    return message


def claim(ident: str) -> ResponseReturnValue:
    """Take the sender of a text as a vehicle's new number."""
    message = _find(ident)

    def work() -> str:
        device = registry.named(request.form.get("imei", ""))
        if not message.sender.startswith("+"):
            raise Invalid(gettext("This sender is no phone number."))
        now = utcnow()
        inbound_texts.claim_sender(message, device, lambda d, phone: registry.set_phone(d, phone, now), now)
        audit_notes.changed(AuditAction.CHANGED, device, {"phone": message.sender})
        return url_for("pages.vehicle", imei=device.imei)

    return forms.once(work, lambda error: (_page(error.message, message), error.status))


def put_aside(ident: str) -> ResponseReturnValue:
    """Take a text off the list; it stays in the log of its vehicle."""
    message = _find(ident)

    def work() -> str:
        unmatched.put_aside(message, auth.caller().label)
        return url_for("pages.inbox")

    return forms.once(work, lambda error: (_page(error.message), error.status))


def show_unknown() -> ResponseReturnValue:
    """Show all devices that connected and that nobody added: refused, or their files kept apart."""
    page = min(10_000, max(1, request.args.get("page", 1, int)))
    rows = _unknown(PAGE, page)
    count = more_rows.wanted(FIRST_UNKNOWN, UNKNOWN_ON_PHONE, PAGE)
    return render_template(
        "inbox/unknown.html",
        unknown=rows[:PAGE],
        count=count,
        kept=_kept(rows),
        page_number=page,
        more=len(rows) > PAGE,
    )


def _unknown(limit: int, page: int = 1) -> Sequence[Any]:
    """Give the devices that connected last, one more than the limit: IMEI, connections, last time, address."""
    last = func.max(func.coalesce(CameraSession.ended_at, CameraSession.started_at))
    count, address = func.sum(CameraSession.connections), func.max(CameraSession.address)
    return db.session.execute(
        select(CameraSession.imei, count.label("count"), last.label("last"), address.label("address"))
        .where(camera_sessions.of_unknown_devices())
        .group_by(CameraSession.imei)
        .order_by(last.desc(), CameraSession.imei)  # of the same time, too, each stands on one page
        .offset((page - 1) * limit)
        .limit(limit + 1)
    ).all()


def _kept(unknown: Sequence[Any]) -> dict[str, int]:
    """Count the files that are kept of these devices, by IMEI."""
    if not unknown:
        return {}
    rows = db.session.execute(
        select(Upload.imei, func.count())
        .where(in_state(UploadState.QUARANTINED), Upload.imei.in_([row.imei for row in unknown]))
        .group_by(Upload.imei)
    ).all()
    return {row[0]: row[1] for row in rows}


def show_unknown_device(imei: str) -> ResponseReturnValue:
    """Show the files that are kept of a device that nobody added."""
    rows = db.session.scalars(
        select(Upload)
        .where(Upload.imei == imei, in_state(UploadState.QUARANTINED))
        .order_by(Upload.id.desc())
        .limit(PAGE)
    ).all()
    if not rows:
        raise NotFound(gettext("Nothing is kept of this device."))
    return render_template("inbox/unknown_device.html", imei=imei, rows=rows)
