"""What of vehicles and events wants a person: one sentence and one button each, by groups; and how many there are.

Texts and unknown devices are the matter of `inbox`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import url_for
from sqlalchemy import ColumnElement, Select, exists, func, select
from sqlalchemy.orm import joinedload

from provisioning.check import run_view
from provisioning.devices import health_view, health_words, installation_facts
from provisioning.devices.health import HealthState
from provisioning.devices.health_view import HealthView
from provisioning.devices.installation import InstallationStep
from provisioning.media import camera_sessions, event_list
from provisioning.media.event_list import EventFilter
from provisioning.media.event_rules import EventKind
from provisioning.models import (
    NEEDS_A_LOOK,
    UNMATCHED,
    WAITS_FOR_ANSWER,
    ChecklistRun,
    Device,
    Event,
    HealthChange,
    Message,
    db,
    utcnow,
)
from provisioning.roles import Permission
from provisioning.translation import N_, gettext, ngettext
from provisioning.web import auth
from provisioning.web.pages import action_places, words
from provisioning.web.pages.event_cards import cards

SHOWN = 5  # of each group; the others are behind a link
INSTALLATIONS = 10  # more that stand still are one item
ALL = 50
MOST = 100  # a badge says no higher number

DONE_FOR = timedelta(days=30)  # so long the inbox shows what is done
NEW = timedelta(days=7)  # a vehicle that is limited for longer is no news: the fleet lists it


@dataclass(frozen=True, slots=True)
class InboxItem:
    """Something that wants a person: of which vehicle, a sentence, since when, and the button with its address."""

    device: Device | None  # None: it is about several
    text: str
    at: datetime
    button: str
    address: str
    is_done: bool = False
    before_time: str = ""  # what happened at its time, where the sentence does not say it


@dataclass(frozen=True, slots=True)
class InboxGroup:
    """Items of one kind, the newest first; `more`: the address of all of them, where some are left out."""

    title: str
    items: Sequence[InboxItem]
    more: str | None = None


@dataclass(frozen=True, slots=True)
class _Following:
    """What an installation waits with, and the place that does it."""

    sentence: str
    button: str
    endpoint: str
    anchor: str


_ENTER_LOGIN = _Following(
    N_("Its SMS login is not known yet (step %(number)s of %(all)s)"),
    N_("Enter it"),
    "pages.edit_vehicle",
    "field-sms_login",
)
_FOLLOWING: Mapping[InstallationStep, _Following] = {
    InstallationStep.LOGIN: _Following(
        N_("It has answered no SMS yet (step %(number)s of %(all)s)"), N_("Ask it"), "pages.tracker", "ask"
    ),
    InstallationStep.SETTINGS: _Following(
        N_("Its settings are not confirmed yet (step %(number)s of %(all)s)"),
        N_("Set up"),
        "pages.vehicle_settings",
        "send",
    ),
    InstallationStep.PROOF: _Following(
        N_("No check or picture has proved it yet (step %(number)s of %(all)s)"),
        N_("Check"),
        "pages.check",
        "start",
    ),
}


def groups(*, with_done: bool) -> list[InboxGroup]:
    """Give the groups that have something; `with_done`: also what somebody has looked at already."""
    waiting = sorted([*_questions(), *_installations()], key=lambda item: item.at, reverse=True)
    found = (
        _events(with_done=with_done),
        _unwell(gettext("Broken"), HealthState.BROKEN),
        _unwell(gettext("Limited"), HealthState.LIMITED, None if with_done else utcnow() - NEW),
        InboxGroup(gettext("Waiting for you"), waiting),
        InboxGroup(gettext("Mended"), _mended() if with_done else ()),
    )
    return [group for group in found if group.items]


def counted(who: auth.Caller) -> int:
    """Count what wants somebody, up to MOST: a few statements, by indexes."""
    queries: tuple[Select[Any], ...] = (
        select(Event.id).where(NEEDS_A_LOOK),
        select(Device.id).where(*_is_unwell(HealthState.BROKEN)),
        select(Device.id).where(*_is_unwell(HealthState.LIMITED, utcnow() - NEW)),
        select(ChecklistRun.id).where(WAITS_FOR_ANSWER),
        select(Message.id).where(UNMATCHED),
    )
    counts = (
        select(func.count()).select_from(query.limit(MOST).subquery()).scalar_subquery() for query in queries
    )
    known = sum(db.session.execute(select(*counts)).one())
    if _may_install(who):
        known += installation_facts.items_counted(INSTALLATIONS)
    return min(MOST, known + camera_sessions.unknown_devices_counted())


def _events(*, with_done: bool) -> InboxGroup:
    kinds = (EventKind.CRASH, EventKind.TOW)
    all_of_them = EventFilter(kinds=kinds)
    rows = event_list.newest(all_of_them, ALL) if with_done else event_list.needing_a_look(None, SHOWN + 1)
    shown = rows if with_done else rows[:SHOWN]
    items = [
        InboxItem(
            device=card.event.device,
            text=f"{words.event_title(card.event)}: {card.content}",
            at=card.event.at,
            button=gettext("Watch"),
            address=url_for("pages.event", ident=card.event.id),
            is_done=card.event.seen_at is not None,
        )
        for card in cards(shown)
    ]
    more = url_for("pages.media", kind=",".join(kinds), unseen=None if with_done else 1)
    return InboxGroup(gettext("Events"), items, more if len(rows) > len(shown) or len(rows) == ALL else None)


def _is_unwell(state: HealthState, since: datetime | None = None) -> list[ColumnElement[bool]]:
    """Condition: the vehicle is in this state, and has been so at most since then.

    One whose check waits for an answer is the item of its question, which says why.
    """
    found = [
        Device.archived_at.is_(None),
        Device.health_state == str(state),
        ~exists().where(ChecklistRun.device_id == Device.id, WAITS_FOR_ANSWER),
    ]
    return found if since is None else [*found, Device.health_since >= since]


def _unwell(title: str, state: HealthState, since: datetime | None = None) -> InboxGroup:
    rows = db.session.scalars(
        select(Device)
        .where(*_is_unwell(state, since))
        .order_by(Device.health_since.desc(), Device.id)
        .limit(SHOWN + 1)
    ).all()
    health = health_view.of(rows, utcnow())
    items = [
        InboxItem(
            device=row,
            text=health[row.id].reason,
            at=health[row.id].since,
            button=button.label if button else gettext("Look"),
            address=button.address if button else url_for("pages.vehicle", imei=row.imei),
        )
        for row in rows[:SHOWN]
        for button in (action_places.button_of(health[row.id], row.imei),)
    ]
    more = url_for("pages.fleet", state=str(state)) if len(rows) > SHOWN else None
    return InboxGroup(title, items, more)


def _mended() -> list[InboxItem]:
    """Give the vehicles that were broken or limited within the last days and are not any more, with what it was."""
    unwell = (str(HealthState.BROKEN), str(HealthState.LIMITED))
    found = db.session.execute(
        select(HealthChange, Device)
        .join(Device, Device.id == HealthChange.device_id)
        .where(
            HealthChange.at >= utcnow() - DONE_FOR,
            HealthChange.state.in_(unwell),
            Device.archived_at.is_(None),
            Device.health_state.not_in(unwell),
        )
        .order_by(HealthChange.at.desc(), HealthChange.id.desc())
        .limit(ALL)
    )
    newest: dict[int, InboxItem] = {}
    for change, device in found:
        item = InboxItem(
            device=device,
            text=health_words.sentence(change.code, change.arguments or {}),
            at=change.at,
            button=gettext("Look"),
            address=url_for("pages.vehicle", imei=device.imei),
        )
        newest.setdefault(device.id, item)
    return list(newest.values())


def _questions() -> list[InboxItem]:
    may_answer = auth.caller().may(Permission.ASK)
    rows = db.session.scalars(
        select(ChecklistRun)
        .options(joinedload(ChecklistRun.device))
        .where(WAITS_FOR_ANSWER)
        .order_by(ChecklistRun.updated_at.desc())
        .limit(ALL)
    ).all()
    health = health_view.of([row.device for row in rows], utcnow())
    return [
        InboxItem(
            device=row.device,
            text=_question(row, health[row.device_id]),
            at=row.updated_at,
            button=gettext("Answer") if may_answer else gettext("See the check"),
            address=url_for("pages.check", imei=row.device.imei, _anchor="start"),
        )
        for row in rows
        if row.device.archived_at is None
    ]


def _question(run: ChecklistRun, health: HealthView) -> str:
    """Say what is wrong with the vehicle, as far as the check has found it, and what a person is asked."""
    asked = " ".join(run_view.questions_of(run).values()) or gettext("The check waits for an answer.")
    return (
        f"{health.reason} · {asked}" if health.state in (HealthState.BROKEN, HealthState.LIMITED) else asked
    )


def _may_install(who: auth.Caller) -> bool:
    return who.may(Permission.SET_UP)


def _installations() -> list[InboxItem]:
    """Give the installations that stand still, for who can go on with them; many at once are one item."""
    if not _may_install(auth.caller()):
        return []
    found = installation_facts.newest(INSTALLATIONS)
    if found.many_at is not None:
        count = installation_facts.counted()
        return [
            InboxItem(
                device=None,
                text=ngettext(
                    "The installation of %(number)s vehicle is not finished",
                    "The installations of %(number)s vehicles are not finished",
                    count,
                ),
                at=found.many_at,
                button=gettext("See them"),
                address=url_for("pages.fleet", unfinished=1),
                before_time=gettext("the newest added"),
            )
        ]
    return [_installation(row.device, row.step) for row in found.rows]


def _installation(device: Device, step: InstallationStep) -> InboxItem:
    has_login = bool(device.sms_login or device.sms_password)
    following = _ENTER_LOGIN if step is InstallationStep.LOGIN and not has_login else _FOLLOWING[step]
    return InboxItem(
        device=device,
        text=gettext(following.sentence, number=int(step), all=len(InstallationStep)),
        at=device.created_at,
        button=gettext(following.button),
        address=url_for(following.endpoint, imei=device.imei, _anchor=following.anchor),
        before_time=gettext("added"),
    )
