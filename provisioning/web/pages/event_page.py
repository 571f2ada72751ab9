"""The page of an event: its files side by side, what caused it, where and when; keeping it beyond its retention."""

from flask import Blueprint, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from werkzeug import Response

from provisioning.core import audit
from provisioning.core.audit import AuditAction
from provisioning.core.config import current_config
from provisioning.core.errors import Invalid, NotFound, ServiceError
from provisioning.media import event_list, kept_days, shares
from provisioning.models import Event, Share, TelemetryRecord, Upload, db, utcnow
from provisioning.roles import Permission
from provisioning.translation import N_, gettext
from provisioning.web import audit_notes, auth, users
from provisioning.web.pages import event_cards, forms
from provisioning.web.schemas.events import SHORTEST_SHARE_PASSWORD

MADE = "share_made"  # in the session: a new link, until the page has shown it
# of a link: its hours, and what people call that
LENGTHS = ((24, N_("one day")), (72, N_("three days")), (168, N_("a week")), (720, N_("a month")))


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/media/<ident>", "event", show)
    blueprint.add_url_rule("/media/<ident>/shares", "share_event", share, methods=["POST"])
    blueprint.add_url_rule("/media/<ident>/shares/<share>/end", "end_share", end_share, methods=["POST"])
    blueprint.add_url_rule(
        "/media/<ident>/shares/<share>/restore", "restore_share", restore_share, methods=["POST"]
    )
    blueprint.add_url_rule("/media/<ident>/saved", "save_event", save, methods=["POST"])


def show(ident: str) -> ResponseReturnValue:
    """Show an event, and note that it was seen. What a page fetches anew by itself is no look."""
    event = event_list.find(ident)
    files = event_list.files_of([event])[event.id]
    if "HX-Request" not in request.headers and request.method == "GET":
        event_list.see(event, auth.caller().label, utcnow())
        for file in files:
            audit_notes.saw(file)
    return _page(event, files)


def _page(event: Event, files: list[Upload], problem: str | None = None) -> str:
    return render_template(
        "media/event.html", event=event, device=event.device, files=files, problem=problem,
        seconds=event_cards.clip_seconds(files),
        requests=list(dict.fromkeys(file.command for file in files if file.command)), records=_records(files),
        seen_by=event_list.seen_by([event])[event.id], viewers=_viewers(event, files),
        opened_by_link=shares.views_of(event), days_kept=_days_kept(files),
        shares=shares.of_event(event, utcnow()) if auth.caller().may(Permission.SHARE) else [],
        ended=_just_ended(event), new_link=_new_link(event),
        lengths=[(hours, gettext(name)) for hours, name in LENGTHS],
        newer=event_list.neighbour(event, newer=True), older=event_list.neighbour(event, newer=False),
    )  # fmt: skip


def _days_kept(files: list[Upload]) -> dict[str, int]:
    """Give for how many days the types of an event's files are kept, 0: for ever; both types where it has no file."""
    days = kept_days.kept_days().by_type()
    types = {file.file_type for file in files} or set(days)
    return {name: count for name, count in days.items() if name in types}


def _viewers(event: Event, files: list[Upload]) -> list[audit.Viewer]:
    """Give who saw the event or fetched its files, and when last, to those who may read the log."""
    if not auth.caller().may(Permission.AUDIT):
        return []
    return audit.viewers([f"event:{event.id}", *(f"upload:{file.id}" for file in files)])


def _records(files: list[Upload]) -> list[TelemetryRecord]:
    idents = {file.record_id for file in files if file.record_id}
    return (
        list(db.session.scalars(select(TelemetryRecord).where(TelemetryRecord.id.in_(idents))))
        if idents
        else []
    )


def _just_ended(event: Event) -> Share | None:
    """Give the link that the address says was ended just now, to those who may restore it."""
    if not auth.caller().may(Permission.SHARE):
        return None
    try:
        share = shares.find(request.args.get("ended", ""), of=event)
    except NotFound:
        return None
    return share if shares.may_be_restored(share, utcnow()) else None


def _new_link(event: Event) -> str | None:
    """Give the address of the link that was made just now: it is shown once."""
    made = session.pop(MADE, None)
    return made[1] if made and made[0] == event.id else None


def share(ident: str) -> ResponseReturnValue:
    """Make a link to an event."""
    event = event_list.find(ident)

    def work() -> str:
        hours, password = request.form.get("hours", ""), request.form.get("password", "")[:200]
        if hours not in {str(known) for known, _ in LENGTHS}:
            raise Invalid(gettext("Choose for how long the link leads to the event."))
        if password and len(password) < SHORTEST_SHARE_PASSWORD:
            raise Invalid(
                gettext(
                    "A password of a link has at least %(number)s characters.", number=SHORTEST_SHARE_PASSWORD
                )
            )
        password_hash = users.hashed(password) if password else None
        made, token = shares.make(event, int(hours), password_hash, auth.caller().label, utcnow())
        audit_notes.shared(event, made)
        session[MADE] = (
            ident,
            f"{current_config().public_url.rstrip('/')}{url_for('pages.shared', token=token)}",
        )
        return url_for("pages.event", ident=ident, _anchor="share")

    return forms.once(work, lambda error: (_refused(event, error), error.status))


def end_share(ident: str, share: str) -> ResponseReturnValue:
    """Have a link to an event lead nowhere any more, at once; the page then offers to restore it."""
    event = event_list.find(ident)
    found = shares.find(share, of=event)

    def work() -> str:
        if not shares.end(found, utcnow()):
            audit_notes.nothing_done()
        return url_for("pages.event", ident=ident, ended=found.id, _anchor="share")

    return forms.once(work, lambda error: (_refused(event, error), error.status))


def restore_share(ident: str, share: str) -> ResponseReturnValue:
    """Have a link that was ended just now lead to its event again."""
    event = event_list.find(ident)
    found = shares.find(share, of=event)

    def work() -> str:
        shares.restore(found, utcnow())
        return url_for("pages.event", ident=ident, _anchor="share")

    return forms.once(work, lambda error: (_refused(event, error), error.status))


def _refused(event: Event, error: ServiceError) -> str:
    return _page(event, event_list.files_of([event])[event.id], error.message)


def save(ident: str) -> ResponseReturnValue:
    """Keep an event's files beyond their retention, or stop keeping them. A list of events stays where it is."""
    event = event_list.find(ident)

    def work() -> str:
        if is_saved := request.values.get("saved") == "1":
            is_new = event_list.save(event, auth.caller().label, utcnow())
        else:
            is_new = event_list.stop_saving(event)
        if is_new:
            audit_notes.event(AuditAction.SAVED if is_saved else AuditAction.UNSAVED, event)
        else:
            audit_notes.nothing_done()
        return url_for("pages.event", ident=ident, released=None if is_saved else 1)

    done = forms.once(work, lambda error: (_refused(event, error), error.status))
    if "HX-Request" in request.headers and isinstance(done, Response):
        return Response(status=204, headers={"HX-Trigger": "saved"})
    return done
