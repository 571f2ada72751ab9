"""What is done again and again costs no more when tables have grown: every statement finds its rows by an index."""

import dataclasses
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from gateway_double import Phone
from page_visitor import Visitor
from sqlalchemy import event, func, select
from upload_rows import IMEI, add_van, asked, sidecar

from provisioning import schedule
from provisioning.commands import submission
from provisioning.core import jobs
from provisioning.devices.history import Kind
from provisioning.media import (
    kept_days,
    previews,
    registration,
    retention,
    settlement,
    storage_use,
    telemetry,
)
from provisioning.models import (
    Device,
    HealthChange,
    Role,
    ShownState,
    Upload,
    UploadState,
    db,
    new_id,
    utcnow,
)
from provisioning.sms import dispatch, due_commands, reconcile
from provisioning.tracker import language
from provisioning.web import auth
from provisioning.web.pages import media
from receiver.wire.actions import Offer
from receiver.wire.protocol import Metadata


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


READ = re.compile(
    r"(?P<way>SCAN|SEARCH) (?P<table>\w+)( USING( COVERING)? INDEX (?P<index>\w+))?( \((?P<by>.*)\))?$"
)
WIDE = re.compile(r"device_id>\?|(device_id|imei)=\?( AND \w+<\?)?")  # all that one device, or all, ever had
STATE = re.compile(r"state=\?")  # all that ever ended so, to be sorted
SMALL = {
    "checklist_runs",
    "devices",
    "device_networks",  # a few for each device; those not seen for long are forgotten
    "device_phones",
    "device_tags",
    "health_due",  # emptied about every second
    "jobs",
    "status_items",
    "leases",
    "users",
    "profiles",  # what people name
    "cursors",
    "sender_buckets",
}  # do not grow
LIST = re.compile(r"ORDER BY (\w+\.at DESC, )?\w+\.id DESC\s+LIMIT \? OFFSET \?$")
# one row is enough
FIRST = re.compile(r"EXISTS \(SELECT (?P<table>\w+)\.id\s+FROM \w+\s+WHERE [\w.]+ = [\w.]+\)")
RULE = """
The rule: a statement that runs again and again (for a request, a reply, a file, a round of background work) reads
neither a whole table nor all rows that a device ever had, since both grow without end. By the plan of SQLite, the
statements below do. The ways to pass:
- an index that begins with the columns of its WHERE clause and ends with those of its ORDER BY, in the model and in a
  migration; a partial index where few rows qualify, such as those in an open state, with that condition in the query;
- a bound that the table has already: a time, a range of ids, a state of few rows;
- for a list of a page or of the API: the order of an index and a LIMIT, in a test that sets `lists`;
- for a table that does not grow (a row for each device, user or setting): its name in SMALL, with the reason.
docs/performance.md, "A database that has grown", says what a statement costs without.

"""
UNKNOWN_DEVICES = "sessions.device_id IS NULL"  # at most a thousand rows a day


def scans(seen: list[tuple[str, Any]], *, lists: bool = False) -> set[tuple[str, str]]:
    """Give the statements that read a whole table, or all that a device ever had, by SQLite's own plan.

    `lists`: a list may read along an index, where its order is the list's and a limit ends it.
    """
    partial = {
        index.name for table in db.metadata.tables.values() for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    }  # fmt: skip
    found, cursor = set(), db.session.connection().connection.cursor()
    for statement, parameters in seen:
        if not statement.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            continue
        if UNKNOWN_DEVICES in statement:
            continue
        plan = [row[-1] for row in cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()]
        sorted_ = any("TEMP B-TREE" in detail for detail in plan)
        listed = lists and LIST.search(statement) is not None and not sorted_
        for detail in plan:
            read = READ.match(detail)
            if (
                read is None
                or read["table"] not in set(db.metadata.tables) - SMALL
                or read["index"] in partial
            ):
                continue
            first = FIRST.search(statement)
            if first and first["table"] == read["table"] and read["way"] == "SEARCH":
                continue
            if listed and (read["way"] == "SEARCH" or "WHERE" not in statement.split()):
                continue
            wide = STATE if lists and sorted_ else WIDE
            if read["way"] == "SCAN" or WIDE.fullmatch(read["by"] or "") or wide.fullmatch(read["by"] or ""):
                found.add((detail, " ".join(statement.split())))
    db.session.rollback()
    return found


@pytest.fixture
def lists() -> bool:
    """Say whether a test reads lists; one that does is given another answer by its parameters."""
    return False


@pytest.fixture
def seen(app: Flask, lists: bool) -> Iterator[list[tuple[str, Any]]]:
    """Collect each statement of a test with its parameters; afterwards none of them may read a whole table."""
    seen: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        seen.append((statement, parameters[0] if isinstance(parameters, list) else parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)
    assert len(seen) > 30
    found = scans(seen, lists=lists)
    assert not found, RULE + "\n".join(": ".join(one) for one in sorted(found))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_files_and_periodic_work_read_no_whole_table(app: Flask, van: Device, seen: list[Any]) -> None:
    days = {f"retention_days_{kind}": 30 for kind in ("commands", "records", "checks", "messages", "uploads")}
    app.extensions["dualcam_config"] = dataclasses.replace(app.extensions["dualcam_config"], **days)
    asked(van)
    ahead = utcnow() + timedelta(hours=1)
    offer = Offer("%photof", False, 3, Metadata(4, 4, int(time.time() * 1000), 0, 0))
    registration.known(db.session.connection(), [IMEI, "356307042441013"])
    registration.recall(db.session.connection(), [(IMEI, offer)])
    registration.progress([sidecar("a" * 32, state="receiving")], utcnow())
    registration.register([sidecar("a" * 32), sidecar("b" * 32, imei="356307042441013")], utcnow())
    for _ in range(2):
        settlement.settle_all(utcnow)
        schedule.sweep(utcnow)
        for most in (1, 9):
            previews.due("photo", most, ahead)
        db.session.execute(jobs.are_due(schedule.table(app.extensions["dualcam_config"]))).one()
        db.session.rollback()
    retention.sweep(lambda: ahead)
    storage_use.count(lambda: ahead)
    storage_use.would_remove(kept_days.KeptDays(photo=30, video=30), ahead)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_commands_and_replies_read_no_whole_table(phone: Phone, van: Device, seen: list[Any]) -> None:
    asked(van)
    now = utcnow()
    for name in ("getver", "getio"):
        submission.submit(
            van,
            language.from_arguments(name, {}, now=int(now.timestamp())),
            submission.Requester("tests", Role.INSTALLER),
            now,
        )
    db.session.commit()
    for text in (
        "Ver:03.28.03.Rev.05 Hw:FMC125 IMEI:352094082736916",
        "words of nobody",
        "Param ID:66001 Value:50",
    ):
        while due_commands.due_devices(utcnow()):
            dispatch.send_next(van.id, utcnow)
        for number in "+12025550111", "+12025550122":
            assert phone.reply(text, phone=number).status_code < 300
    outbound = next(iter(phone.twilio.messages.values()))
    assert phone.report(outbound.ident, "delivered").status_code < 300
    reconcile.reconcile(utcnow)
    assert "It is" in Visitor(phone.app, Role.ADMIN).get("/inbox").text


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_new_file_costs_the_same_however_many_the_device_sent_today(van: Device) -> None:
    """Files taken by themselves, of the last hours: as many statements after fifty of them as after none."""
    command, counts, loaded = asked(van), list[int](), list[str]()
    began = utcnow()
    telemetry.accept(van, began, {"499": 9}, utcnow())

    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        counts[-1] += 1

    def load(upload: Upload, context: Any) -> None:
        loaded.append(upload.id)

    event.listen(db.engine, "before_cursor_execute", count)
    event.listen(Upload, "load", load)
    for number in range(50):
        for trigger in (9, 0) if number in (3, 49) else (9,):
            counts.append(0)
            loaded.clear()
            now = int(began.timestamp() * 1000) + number  # near the record, however long this takes
            registration.register([sidecar(new_id(), trigger=trigger, timestamp=now)], utcnow())
            settlement.settle_all(utcnow)
            db.session.rollback()
        assert len(set(loaded)) <= 3
    event.remove(db.engine, "before_cursor_execute", count)
    event.remove(Upload, "load", load)
    assert command.state == "done"
    assert max(counts[:2]) >= max(counts[6:-2]) > 10
    assert counts[-1] <= counts[4]
    assert db.session.scalar(select(func.count()).where(Upload.record_id.is_not(None))) == 50


@pytest.mark.parametrize("lists", [True])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_pages_and_lists_read_no_whole_table(app: Flask, van: Device, seen: list[Any]) -> None:
    command = asked(van)
    registration.register([sidecar("a" * 32)], utcnow())
    settlement.settle_all(utcnow)
    db.session.add(HealthChange(device_id=van.id, state="broken", code="no_camera", since=utcnow()))
    db.session.commit()
    visitor, token = Visitor(app, Role.ADMIN), auth.create_token("growth", Role.VIEWER)
    for path in (
        "/",
        f"/vehicles/{IMEI}",
        f"/vehicles/{IMEI}/footage",
        f"/vehicles/{IMEI}/settings",
        f"/vehicles/{IMEI}/settings/all",
        f"/vehicles/{IMEI}/settings/tracker",
        *(f"/vehicles/{IMEI}/log?before=f&kind={name}" for name in ("", *Kind)),
        f"/media?vehicle={IMEI}&before=f",
        "/media",
        "/media?before=f&type=photo",
        "/inbox?all=1",
    ):
        assert IMEI in visitor.get(path).text, path
    assert "dualcam_worker_age" in visitor.get("/metrics").text
    lists = ("commands", "events", "uploads", "messages", "sessions")
    asking = [f"{name}{query}" for name in lists for query in ("", f"?imei={IMEI}", f"?imei={IMEI}&cursor=f")]
    # nearly all are stored: a list of those reads the newest rows, whatever the index
    asking += [f"uploads?state={state}" for state in UploadState if state is not UploadState.STORED]
    asking += [f"commands?state={state}{query}" for state in ShownState for query in ("", f"&imei={IMEI}")]
    asking += [f"uploads?command={command.id}", "messages?unclaimed=true"]
    for path in asking:
        answer = app.test_client().get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, (path, answer.text)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_newest_picture_of_each_camera_is_one_step_of_an_index(app: Flask, van: Device) -> None:
    plans = list[str]()

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "LIMIT" in statement and "thumbnail_state" in statement:
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" | ".join(row[-1] for row in rows))

    event.listen(db.engine, "before_cursor_execute", note)
    media.newest_pictures([van.id])
    event.remove(db.engine, "before_cursor_execute", note)
    (plan,) = plans
    assert plan.count("USING INDEX ix_uploads_pictures (device_id=? AND source=?)") == 2
    assert "TEMP B-TREE" not in plan


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_doubtful_files_of_the_fleet_are_found_by_an_index_of_their_own(app: Flask, van: Device) -> None:
    plans = list[str]()

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        if "looked_like IS NOT NULL" in statement and "ORDER BY uploads.id DESC" in statement:
            rows = connection.connection.cursor().execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans.append(" | ".join(row[-1] for row in rows))

    event.listen(db.engine, "before_cursor_execute", note)
    assert Visitor(app, Role.ADMIN).get("/media?doubtful=1").status_code == 200
    event.remove(db.engine, "before_cursor_execute", note)
    (plan,) = plans
    assert "USING INDEX ix_uploads_all_doubtful (id<?)" in plan
    assert "TEMP B-TREE" not in plan
