"""The page of a check: the question that it waits with, what it sent, and one name for a fault."""

import re

from flask import Flask
from page_visitor import IMEI, Visitor, command, flat, van, visitor  # noqa: F401 - fixtures

from provisioning.check import check_words
from provisioning.check.facts import HIDDEN
from provisioning.devices import health_words
from provisioning.models import BY_CHECK, ChecklistRun, Device, db, utcnow

PAGE = f"/vehicles/{IMEI}/check"


def run_of(device: Device, steps: dict[str, dict[str, object]], **more: object) -> ChecklistRun:
    run = ChecklistRun(device_id=device.id, steps=steps, started_by="token fleet", **more)
    db.session.add(run)
    db.session.commit()
    return run


def test_the_question_stands_in_the_card_at_the_top_with_answers_of_equal_weight(
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    run_of(van, {"led": {"state": "question"}}, waits_for_person=True)
    page = flat(visitor.get(PAGE))
    card, _, steps = page.partition('<ol class="card rows">')
    assert "Your turn" in card
    assert "Is a light on at the front and the rear camera" in card
    assert re.findall(r'<button class="([^"]*)"[^>]* name="answer"', card) == ["btn", "btn", "btn"]
    assert 'name="answer"' not in steps
    assert "your turn" in steps


def test_what_a_step_sent_is_named_by_what_it_is_and_asked_by_the_check(
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    photo = command(van, requested_by=f"{BY_CHECK}token fleet")
    version = command(van, kind="getver", arguments={}, requested_by=f"{BY_CHECK}token fleet")
    run_of(
        van,
        {
            "front": {
                "state": "done",
                "verdict": "good",
                "code": "nobody_looked",
                "arguments": {},
                "commands": [photo.id, version.id],
            }
        },
        ended_at=utcnow(),
    )
    page = flat(visitor.get(PAGE))
    assert f'<a href="/requests/{photo.id}">Photo, front camera</a>' in page
    assert "What was sent" not in page
    assert "token fleet" not in page
    assert "asked by the check" in flat(visitor.get(f"/requests/{photo.id}"))


def test_a_wrong_mode_has_the_same_name_in_the_health_and_in_the_verdict() -> None:
    assert check_words.verdict_title("wrong_mode") == health_words.sentence("wrong_mode", {})


def test_a_step_that_saw_nothing_says_so_in_the_language_of_the_reader(app: Flask) -> None:
    entry = {"state": "done", "verdict": HIDDEN}
    text = '{% import "macros/check.html" as check with context %}{{ check.mark(entry) }}'
    with app.test_request_context():
        shown = app.jinja_env.from_string(text).render(
            entry=entry, _=lambda sentence: f"in German: {sentence}"
        )
    assert "in German: not visible" in shown


def test_a_check_that_waits_says_so_on_every_page_of_the_vehicle_and_in_the_fleet(
    van: Device,  # noqa: F811
    visitor: Visitor,  # noqa: F811
) -> None:
    run = run_of(van, {"led": {"state": "question"}}, waits_for_person=True)
    for tab in ("", "/footage", "/settings", "/log"):
        page = flat(visitor.get(f"/vehicles/{IMEI}{tab}"))
        assert (
            "The check waits for your answer:</strong> Is a light on at the front and the rear camera" in page
        )
        assert f'href="{PAGE}#start">Answer</a>' in page
    assert "The check waits for an answer." in visitor.get("/").text
    run.ended_at = utcnow()
    db.session.commit()
    assert "The check waits" not in visitor.get(f"/vehicles/{IMEI}").text
    assert "The check waits" not in visitor.get("/").text
