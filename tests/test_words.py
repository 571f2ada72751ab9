"""Sentences for people: rows hold codes with arguments, words are made of them, and old texts stay readable."""

import json
import re

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from sms_vectors import Vector
from sqlalchemy import text
from test_replies import VECTORS

from provisioning.check import check_words, finding_words, run_view, verdict_words
from provisioning.check.steps import STEPS
from provisioning.check.verdicts import VERDICTS
from provisioning.commands import command_words
from provisioning.core.errors import Conflict
from provisioning.devices import registry, status_words
from provisioning.media import copy_words, link_words, session_words, telemetry
from provisioning.models import CameraSession, ChecklistRun, Command, Upload, db, utcnow
from provisioning.phrase import AS_IT_IS, Phrase, as_it_is, read
from provisioning.tracker.language import read_replies, unsendable
from provisioning.web.schemas.commands import CommandResponse, ShownCommand
from provisioning.web.schemas.sessions import SessionResponse
from receiver.endings import Ending, Reason

IMEI = "352094082736916"
MIGRATIONS = str(ROOT / "migrations")


def codes_in(package: str, pattern: str) -> set[str]:
    """Give the codes that the modules of a package write into rows."""
    sources = (ROOT / "provisioning" / package).rglob("*.py")
    return {code for path in sources for code in re.findall(pattern, path.read_text())}


@pytest.mark.quick
def test_every_finding_verdict_and_step_of_a_check_has_words_and_no_words_are_idle() -> None:
    found = codes_in("check", r'found\(\s*\w+, "(\w+)"') | codes_in("check", r'_skipped\("(\w+)"')
    chosen = {
        "cabin_private",
        "no_file_asked",
        "no_camera_time",
        "not_needed",
        "ignition_first",
        "slow",
        "speed",
    }
    assert found | chosen | {AS_IT_IS} == set(finding_words.FINDINGS)
    assert {verdict.id for verdict in VERDICTS} == set(verdict_words.VERDICTS)
    assert [step.id for step in STEPS] == list(check_words.STEPS)


@pytest.mark.quick
def test_every_phrase_that_a_row_may_hold_has_words_and_no_words_are_idle() -> None:
    written = r'(?:Phrase|UnsendableText|Unreadable|_phrase|_unclear)\(\s*"(\w+)"'
    codes = {
        code
        for package in ("commands", "sms", "media", "devices", "tracker", "core")
        for code in codes_in(package, written)
    }
    chosen = {
        "not_reported",
        "no_reports",
        "file_came",
        "none_fits",
        "copy_too_large",
        "first_that_fits",
        "unlinked_by",
        "never_known",
        "nobody_asked",
        "no_command_fits",
        "refused_passing",
        "refused_for_good",
        "refused_login",
        "refused_url",
        "refused_method",
    }
    words = {
        *command_words.WORDS,
        *unsendable.REASONS,
        *status_words.WORDS,
        *link_words.WORDS,
        *copy_words.WORDS,
        *(session_words.WORDS.keys() - {reason.key for reason in Reason}),
    }
    assert codes | chosen | {AS_IT_IS, "reply"} == words


@pytest.mark.quick
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.place)
def test_a_reply_that_a_row_keeps_is_said_as_the_reply_itself(vector: Vector) -> None:
    for reply in read_replies(vector.text):
        kept = json.loads(json.dumps(reply.as_json()))
        assert command_words.reply_sentence(kept) == reply.sentence
        assert command_words.said(json.loads(json.dumps(reply.phrase.as_json()))) == reply.sentence


@pytest.mark.quick
def test_a_phrase_comes_back_from_its_row_with_the_phrases_in_it() -> None:
    inner = Phrase("text", {"text": "Why."})
    phrase = Phrase("outer", {"error": inner, "warnings": [inner], "count": 2})
    assert Phrase.from_json(phrase.as_json()) == phrase
    assert read(phrase.as_text()) == phrase
    assert read("The words of an older version.") == as_it_is("The words of an older version.")


def test_the_findings_of_an_older_version_are_read_as_before(app: Flask) -> None:
    van = registry.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
    steps = {
        "cameras": {
            "state": "done",
            "verdict": "good",
            "code": "cameras_answer",
            "arguments": {},
            "mark": "",
        },
        "rear": {"state": "skipped", "code": "text", "arguments": {"text": "Of yore.", "todo": "Do it."}},
    }
    for ident, verdict in (("0" * 32, "good"), ("1" * 32, "left")):
        db.session.add(
            ChecklistRun(id=ident, device_id=van.id, steps=steps, verdict=verdict, ended_at=utcnow())
        )
    db.session.commit()
    flask_migrate.downgrade(revision="0035", directory=MIGRATIONS)
    older = db.session.execute(
        text("SELECT steps, verdict, verdict_text FROM checklist_runs ORDER BY id")
    ).all()
    assert "Both cameras answer the tracker." in str(older[0].steps)
    assert "Of yore." in str(older[0].steps)
    assert (older[1].verdict, "7 days" in older[1].verdict_text) == ("stopped", True)
    db.session.commit()
    flask_migrate.upgrade(directory=MIGRATIONS)
    db.session.expire_all()
    run, left = db.session.query(ChecklistRun).order_by(ChecklistRun.id)
    assert run.steps["cameras"]["code"] == "cameras_answer"
    assert [run_view.text_of(run.steps["rear"]), run_view.todo_of(run.steps["rear"])] == [
        "Of yore.",
        "Do it.",
    ]
    assert "7 days" in (run_view.ended_without_verdict(left) or "")


def test_errors_and_notes_of_an_older_version_get_their_codes_or_stay_as_they_are(app: Flask) -> None:
    van = registry.add({"imei": IMEI, "phone": "+12025550111"}, utcnow())
    kept = (Phrase("queue_timeout"), as_it_is("The words of an older version."))
    for number, error in enumerate(kept):
        row = Command(
            id=str(number) * 32, device_id=van.id, kind="getver", arguments={}, text="getver", length=6, state="failed",
            error_code="x", error=error, error_retry=True, history=[{"at": "", "state": "failed", "note": "of yore"}],
        )  # fmt: skip
        db.session.add(row)
    db.session.commit()
    flask_migrate.downgrade(revision="0037", directory=MIGRATIONS)
    (older,) = db.session.scalars(
        text("SELECT error_message FROM commands WHERE error_message LIKE 'It waited%'")
    )
    db.session.execute(
        text("UPDATE commands SET error_message = :words WHERE id LIKE '1%'"), {"words": "Of yore."}
    )
    db.session.commit()
    assert older.startswith("It waited too long")
    flask_migrate.upgrade(directory=MIGRATIONS)
    db.session.expire_all()
    coded, as_it_was = db.session.query(Command).order_by(Command.id)
    assert coded.error == Phrase("queue_timeout")
    assert command_words.said(as_it_was.error) == "Of yore."
    shown = CommandResponse().dump(ShownCommand(as_it_was))
    assert (shown["error"]["message"], shown["history"][0]["note"]) == ("Of yore.", "of yore")


def test_the_reasons_of_links_of_an_older_version_all_get_their_codes(app: Flask) -> None:
    more = {"seconds": 2, "who": "ops@example.com"}
    reasons = [
        Phrase(code, {name: value for name, value in more.items() if f"%({name})" in words})
        for code, words in link_words.WORDS.items()
        if code not in (AS_IT_IS, "taken_by_itself")
    ]
    by_itself = [Phrase("taken_by_itself", {"trigger": number}) for number in (1, 3, 40)]
    reasons += [*by_itself, as_it_is("Of yore.")]
    for number, reason in enumerate(reasons):
        db.session.add(
            Upload(id=f"{number:032x}", imei=IMEI, identifier="%photof", file_type="photo", source="front",
                   state="stored", link_reason=reason)
        )  # fmt: skip
    db.session.commit()
    flask_migrate.downgrade(revision="0038", directory=MIGRATIONS)
    older = list(db.session.scalars(text("SELECT link_reason FROM uploads ORDER BY id")))
    assert older[:-1] == [link_words.reason(reason) for reason in reasons[:-1]]
    db.session.commit()
    flask_migrate.upgrade(directory=MIGRATIONS)
    db.session.expire_all()
    assert [row.link_reason for row in db.session.query(Upload).order_by(Upload.id)] == reasons


@pytest.mark.quick
def test_a_row_keeps_the_code_of_a_refusal_and_not_what_the_person_read_who_asked() -> None:
    refusal = Conflict("Dieses Video ist schon da.", code="already_here")
    assert refusal.phrase == Phrase("service_error", {"code": "already_here"})
    assert command_words.said(refusal.phrase) == "This clip is here already."
    assert "(new_code)" in (command_words.said(Conflict("?", code="new_code").phrase) or "")


@pytest.mark.quick
def test_every_reason_of_the_receiver_is_used_and_read_by_people_as_the_log_says_it() -> None:
    sources = " ".join(path.read_text() for path in (ROOT / "receiver").rglob("*.py"))
    assert {reason.name for reason in Reason} == set(re.findall(r"\bReason\.([A-Z_0-9]+)\b", sources))
    for reason in Reason:
        given: dict[str, str | int] = dict.fromkeys(re.findall(r"%\((\w+)\)s", reason.sentence), 7)
        assert session_words.reason(Phrase(reason.key, given)) == str(Ending(reason, given))


def test_the_reasons_of_sessions_of_an_older_version_get_their_codes_or_stay_as_they_are(app: Flask) -> None:
    more = {"packets": 31, "cause": "Broken pipe"}
    reasons = [Phrase(reason.key) for reason in Reason if "%" not in reason.sentence]
    reasons += [Phrase("receiver_ended"), Phrase("bad_packets", {"packets": 31}), Phrase("broken", more)]
    for number, reason in enumerate(reasons):
        db.session.add(CameraSession(id=f"{number:032x}", imei=IMEI, address="192.0.2.1:1", reason=reason))
    db.session.add(CameraSession(id="f" * 32, imei=IMEI, address="192.0.2.1:1"))
    db.session.commit()
    flask_migrate.downgrade(revision="0045", directory=MIGRATIONS)
    older = list(db.session.scalars(text("SELECT reason FROM sessions ORDER BY id")))
    assert [words for words in older if words and words.startswith("{")] == []
    assert older[0] == "No device has this IMEI; add it first."
    assert older[-3:] == [
        "31 packets in a row with a wrong CRC.",
        "The connection broke (Broken pipe).",
        None,
    ]
    db.session.commit()
    flask_migrate.upgrade(directory=MIGRATIONS)
    db.session.expire_all()
    kept = [row.reason for row in db.session.query(CameraSession).order_by(CameraSession.id)]
    assert kept == [*reasons[:-2], *(as_it_is(older[number]) for number in (-3, -2)), None]


def test_a_session_that_a_receiver_of_another_version_reports_can_be_read(app: Flask) -> None:
    words = "31 packets in a row with a wrong CRC."
    db.session.execute(
        text(
            "INSERT INTO sessions (id, imei, address, started_at, ended_at, code, reason, files, bytes_received,"
            " crc_errors, resumes, connections) VALUES"
            " (:id, :imei, '192.0.2.1:1', '2026-11-28 12:00:00', '2026-11-28 12:00:01', 'bad_crc', :reason, 0, 0, 0,"
            " 0, 1)"
        ),
        {"id": "1" * 32, "imei": IMEI, "reason": words},
    )
    db.session.commit()
    row = db.session.query(CameraSession).one()
    assert SessionResponse().dump(row)["reason"] == words
    assert session_words.reason(Phrase("of_a_newer_version", {"packets": 7})) == "of_a_newer_version"


@pytest.mark.quick
def test_the_words_of_cameras_in_the_status_table_are_sentences_of_the_catalogues() -> None:
    assert {text for text, _ in telemetry.CAMERA_STATES.values()} <= set(status_words.VALUES)
