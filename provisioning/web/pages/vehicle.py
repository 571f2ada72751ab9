"""A vehicle's first page: its newest pictures, what is under way, its latest events, facts; and parts of it, live."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import ColumnElement, select

from provisioning.check import run_view
from provisioning.commands import sms_prices, submission
from provisioning.core.errors import NotFound
from provisioning.devices import health_view, registry, status_table
from provisioning.media import event_list, registration, request_progress
from provisioning.media.event_list import EventFilter
from provisioning.media.event_rules import SERVER_REQUEST, EventKind
from provisioning.models import BY_CHECK, OPEN, Command, Device, Upload, db, files_of, utcnow
from provisioning.sms import traffic
from provisioning.translation import gettext
from provisioning.web import auth
from provisioning.web.pages import (
    action_places,
    event_cards,
    event_days,
    media,
    more_rows,
    request_page,
    status,
)

UNDER_WAY = 3
LATEST = 6
COMING = 3
DOUBTFUL = 12  # files on the page of the footage
REQUESTS, ON_PHONE = 4, 2
SENT = 10  # SMS of one form
LAST_SENT = timedelta(days=1)  # for so long a page of settings shows what became of the last that were sent
PARTS = ("head", "pictures", "under_way", "latest", "requests", "day", "doubtful", "answers", "last_sent")


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/vehicles/<imei>", "vehicle", show)
    blueprint.add_url_rule("/vehicles/<imei>/part/<name>", "vehicle_part", part)


def show(imei: str) -> ResponseReturnValue:
    """Show a vehicle."""
    device = registry.find(imei)
    facts = status_table.shown([device.id], ("contact.sms", "contact.tcp", status_table.SPEED)).get(
        device.id, {}
    )
    sent = traffic.sent_this_month(device, utcnow())
    return page(
        device, "vehicle/overview.html", "overview", facts=facts, sent=sent,
        spent=sms_prices.price(device, sent) if sent else None,
    )  # fmt: skip


def page(device: Device, template: str, tab: str, **given: Any) -> str:
    """Give a page of a vehicle; the templates of its tabs ask for their parts by `part`."""
    return render_template(
        template, device=device, tab=tab, zone=device.time_zone, part=lambda name: render_part(device, name), **given
    )  # fmt: skip


def part(imei: str, name: str) -> ResponseReturnValue:
    """Give one part of a vehicle's pages anew, for live pages."""
    if name not in PARTS:
        raise NotFound(gettext("There is no such part."))
    return render_part(registry.find(imei), name)


def render_part(device: Device, name: str) -> str:
    """Give one part of a vehicle's pages."""
    given: dict[str, Any] = {"device": device, "zone": device.time_zone}
    match name:
        case "head":
            given["health"] = health = health_view.of([device], utcnow())[device.id]
            given["run"] = run = health.check
            given["waits_with"] = run_view.waits_with(run) if run else ""
            given["button"] = action_places.button_of(health, device.imei)
        case "pictures":
            given["pictures"] = media.newest_pictures([device.id]).get(device.id, {})
        case "under_way":
            given["run"] = run = health_view.open_checks([device.id]).get(device.id)
            given["waits_with"] = run_view.waits_with(run) if run else ""
            given |= _requests(device, UNDER_WAY - (run is not None), Command.state.in_(OPEN))
        case "requests":
            given |= _requests(device, REQUESTS, Command.kind == "camreq")
            given["beyond"] = _beyond(given["rows"])
        case "latest":
            wanted = EventFilter(device_ids=[device.id], without=(EventKind.CHECK,))
            given["cards"] = event_cards.cards(event_list.newest(wanted, LATEST))
            given["coming"] = _coming(device)
            given["only_checks"] = not given["cards"] and _has_checks(device)
        case "day":
            given["count"] = count = more_rows.wanted(event_days.FIRST, event_days.ON_PHONE)
            wanted_day = event_days.read(request.args.get("day", ""))
            given["day"] = event_days.of_vehicle(device, wanted_day, count.shown)
            given["coming"] = [] if given["day"].newer else _coming(device)
        case "doubtful":
            given["rows"] = _doubtful(device)
        case "last_sent":
            given |= _last_sent(device)
        case "answers":
            given["groups"] = status.groups(device)
    return render_template(f"vehicle/parts/{name}.html", **given)


def _has_checks(device: Device) -> bool:
    """Say whether a check has taken a photo or a clip."""
    return bool(event_list.newest(EventFilter(device_ids=[device.id], kinds=(EventKind.CHECK,)), 1))


def _coming(device: Device) -> Sequence[Upload]:
    """Give the newest files that are on their way and that no request waits for."""
    return db.session.scalars(
        select(Upload)
        .where(
            files_of(device),
            registration.IS_COMING,
            Upload.trigger.is_not(None),
            Upload.trigger != SERVER_REQUEST,
        )
        .order_by(Upload.id.desc())
        .limit(COMING)
    ).all()


def _doubtful(device: Device) -> Sequence[Upload]:
    query = select(Upload).where(files_of(device), Upload.looked_like.is_not(None)).order_by(Upload.id.desc())
    return db.session.scalars(query.limit(DOUBTFUL)).all()


def _last_sent(device: Device) -> dict[str, Any]:
    """Give the settings that a person has set or asked for last: all SMS of one form."""
    by_person = Command.requested_by.not_like(f"{BY_CHECK}%") & (Command.requested_by != submission.SERVICE)
    query = select(Command).where(
        Command.device_id == device.id, Command.kind.in_(("setparam", "getparam")), by_person
    )
    last = db.session.scalar(query.order_by(Command.id.desc()).limit(1))
    if last is None or last.created_at < utcnow() - LAST_SENT:
        return {"rows": []}
    return _requests(device, SENT, Command.batch == last.batch if last.batch else Command.id == last.id)


def _beyond(rows: Sequence[Command]) -> set[str]:
    """Give the ids of ended requests that a phone leaves out: only the newest stand beside few open ones."""
    ended = [row.id for row in rows if row.state not in OPEN]
    return set(ended[max(0, ON_PHONE - (len(rows) - len(ended))) :])


def _requests(device: Device, most: int, which: ColumnElement[bool]) -> dict[str, Any]:
    query = select(Command).where(Command.device_id == device.id, which)
    rows = db.session.scalars(query.order_by(Command.id.desc()).limit(most)).all()
    may_cancel = {
        row.id for row in rows if row.state in OPEN and auth.caller().may(request_page.may_cancel(row))
    }
    return {"rows": rows, "progress": request_progress.of(rows, device), "may_cancel": may_cancel}
