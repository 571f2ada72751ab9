"""The log of people: who did and saw what, from which address; with filters in the address, and as CSV."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, stream_with_context
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from markupsafe import escape

from provisioning.core import audit
from provisioning.core.audit import AuditAction, AuditKind
from provisioning.core.config import current_config
from provisioning.core.errors import NotFound
from provisioning.devices import registry
from provisioning.models import AuditEntry, db
from provisioning.tracker.normalization import clean_line
from provisioning.web import audit_notes, reader
from provisioning.web.pages import audit_details, audit_subjects, more_rows, people_words, times

FIRST, ON_PHONE = 15, 8  # entries
BATCH = 500  # rows of the CSV that are read at once
# codes and ids, by which programs read it, then the same in words
COLUMNS = ("at", "who", "address", "action", "object", "imei", "detail", "sentence", "vehicle", "details")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs what begins so


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/log", "audit_log", show)
    blueprint.add_url_rule("/settings/log.csv", "audit_csv", as_csv)


def show() -> ResponseReturnValue:
    """Show entries, newest first; filters, page and number of entries stand in the address."""
    wanted, before, count = _wanted(), request.args.get("before", ""), more_rows.wanted(FIRST, ON_PHONE)
    query = audit.select_entries(wanted)
    if before:
        query = query.where(AuditEntry.id < before)
    found = db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(count.shown + 1)).all()
    rows = found[: count.shown]
    given = {name: request.args.get(name, "") for name in ("who", "object", "kind", "from", "to")}
    return render_template(
        "settings/log.html", rows=rows, days=_days(rows), count=count, has_more=len(found) > len(rows),
        before=before, given=given,
        filters={name: value for name, value in given.items() if value}, kinds=people_words.audit_kinds(),
        subjects=audit_subjects.of(rows, reader.time_zone()), days_kept=current_config().retention_days_audit,
    )  # fmt: skip


def _days(rows: Sequence[AuditEntry]) -> list[tuple[str, list[AuditEntry]]]:
    """Give entries by the days of the reader's zone on which they were made, as they come."""
    zone = reader.time_zone()
    return [(day, list(found)) for day, found in groupby(rows, lambda row: times.short_day(row.at, zone))]


def as_csv() -> Response:
    """Give all entries that fit the filters as CSV, newest first; that, too, is an entry."""
    wanted = _wanted()
    audit_notes.note(AuditAction.EXPORTED, "log", detail=dict(request.args))
    lines = stream_with_context(_lines(wanted))
    headers = {"Content-Disposition": 'attachment; filename="log.csv"', "Cache-Control": "no-store"}
    return Response(lines, mimetype="text/csv", headers=headers)


def _wanted() -> audit.EntryFilter:
    """Read the filters; days are those of the reader's zone, and the last one is within."""
    return audit.EntryFilter(
        who=clean_line(request.args.get("who", ""))[:254], object=_object(clean_line(request.args.get("object", ""))),
        since=_begin("from"), until=_begin("to", days_later=1), kind=_kind(request.args.get("kind", "")),
    )  # fmt: skip


def _kind(text: str) -> AuditKind | None:
    return AuditKind(text) if text in list(AuditKind) else None


def _begin(name: str, days_later: int = 0) -> datetime | None:
    """Give when the day of a field begins, or one after it, whatever hours it has; None where there is no such day."""
    try:
        day = datetime.fromisoformat(request.args.get(name, "")).date() + timedelta(days=days_later)
        return datetime.combine(day, time(), ZoneInfo(reader.time_zone())).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _object(text: str) -> str:
    """Read what an entry is to be about: a vehicle by name or IMEI, or "upload:ID" and the like."""
    if not text or ":" in text:
        return text
    try:
        return f"device:{registry.named(text).imei}"
    except NotFound:
        return f"device:{text}" if text.isdigit() else text


def _lines(wanted: audit.EntryFilter) -> Iterator[str]:
    yield _line(COLUMNS)
    before = ""
    while True:
        query = audit.select_entries(wanted)
        if before:
            query = query.where(AuditEntry.id < before)
        rows = db.session.scalars(query.order_by(AuditEntry.id.desc()).limit(BATCH)).all()
        with force_locale("en"):  # words that programs may look for stay the same
            lines = [_line([*_codes(row), *words]) for row, words in zip(rows, _words(rows), strict=True)]
        yield from lines
        if len(rows) < BATCH:
            return
        before = rows[-1].id
        db.session.rollback()  # hold no transaction while the browser takes its time


def _codes(row: AuditEntry) -> Sequence[str]:
    detail = "; ".join(f"{name}: {value}" for name, value in (row.detail or {}).items())
    stamp = row.at.isoformat(timespec="seconds")
    return stamp, row.who, row.address, row.action, row.object or "", row.imei or "", detail


def _words(rows: Sequence[AuditEntry]) -> Iterator[Sequence[str]]:
    """Give of each entry the sentence, the vehicle and the details, as the page shows them."""
    subjects = audit_subjects.of(rows, reader.time_zone())
    for row in rows:
        subject, vehicle = subjects.get(row.object or ""), subjects.get(f"device:{row.imei}")
        who, what = people_words.author(row.who), subject.title if subject else ""
        is_request_named = subject is not None and subject.endpoint == "request"
        details = audit_details.of(row, is_request_named=is_request_named)
        yield (
            people_words.done(row.action, escape(who), escape(what)).unescape(),
            vehicle.title if vehicle else "",
            "; ".join(f"{name}: {value}" if name else value for name, value in details),
        )


def _line(values: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow(f"'{value}" if value.startswith(FORMULA) else value for value in values)
    return text.getvalue()
