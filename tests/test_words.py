"""Sentences for people: rows hold codes with arguments, words are made of them, and old texts stay readable."""

import re

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from sqlalchemy import text

from provisioning.check import check_words, run_view
from provisioning.check.steps import STEPS
from provisioning.check.verdicts import VERDICTS
from provisioning.devices import registry
from provisioning.models import ChecklistRun, db, utcnow
from provisioning.phrase import AS_IT_IS, Phrase

IMEI = "352094082736916"
MIGRATIONS = str(ROOT / "migrations")


def codes_in(package: str, pattern: str) -> set[str]:
    """Give the codes that the modules of a package write into rows."""
    sources = (ROOT / "provisioning" / package).rglob("*.py")
    return {code for path in sources for code in re.findall(pattern, path.read_text())}


@pytest.mark.quick
def test_every_finding_verdict_and_step_of_a_check_has_words_and_no_words_are_idle() -> None:
    found = codes_in("check", r'found\(\s*\w+, "(\w+)"') | codes_in("check", r'_skipped\("(\w+)"')
    chosen = {"no_file_asked", "no_camera_time", "not_needed", "ignition_first", "slow", "speed"}
    assert found | chosen | {AS_IT_IS} == set(check_words.FINDINGS)
    assert {verdict.id for verdict in VERDICTS} == set(check_words.VERDICTS)
    assert [step.id for step in STEPS] == list(check_words.STEPS)


@pytest.mark.quick
def test_a_phrase_comes_back_from_its_row_with_the_phrases_in_it() -> None:
    inner = Phrase("text", {"text": "Why."})
    phrase = Phrase("outer", {"error": inner, "warnings": [inner], "count": 2})
    assert Phrase.from_json(phrase.as_json()) == phrase


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
