"""The page of a check: the question that it waits with, what it sent, and one name for a fault."""

import re
from datetime import timedelta

import pytest
from flask import Flask
from page_visitor import IMEI, Visitor, command, flat
from sqlalchemy import select

from provisioning.check import verdict_words
from provisioning.check.facts import HIDDEN
from provisioning.devices import health_words
from provisioning.models import BY_CHECK, AuditEntry, ChecklistRun, Device, Role, State, db, utcnow
from provisioning.phrase import as_it_is

pytestmark = pytest.mark.on_sqlite

PAGE = f"/vehicles/{IMEI}/check"


def run_of(device: Device, steps: dict[str, dict[str, object]], **more: object) -> ChecklistRun:
    run = ChecklistRun(device_id=device.id, steps=steps, started_by="token fleet", **more)
    db.session.add(run)
    db.session.commit()
    return run


def test_the_question_stands_in_the_card_at_the_top_with_answers_of_equal_weight(
    van: Device, visitor: Visitor
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
    van: Device, visitor: Visitor
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
    assert f'<a href="/requests/{photo.id}">SMS sent: Photo, front camera</a>' in page
    assert "What was sent" not in page
    assert "token fleet" not in page
    assert "asked by the check" in flat(visitor.get(f"/requests/{photo.id}"))


def test_a_wrong_mode_has_the_same_name_in_the_health_and_in_the_verdict() -> None:
    assert verdict_words.title("wrong_mode") == health_words.sentence("wrong_mode", {})


def test_a_step_that_saw_nothing_says_so_in_the_language_of_the_reader(app: Flask) -> None:
    entry = {"state": "done", "verdict": HIDDEN}
    text = '{% import "macros/check.html" as check with context %}{{ check.mark(entry) }}'
    with app.test_request_context():
        shown = app.jinja_env.from_string(text).render(
            entry=entry, _=lambda sentence: f"in German: {sentence}"
        )
    assert "in German: not visible" in shown


def test_a_check_that_waits_says_so_on_every_page_of_the_vehicle_and_in_the_fleet(
    van: Device, visitor: Visitor
) -> None:
    run = run_of(van, {"led": {"state": "question"}}, waits_for_person=True)
    for tab in ("", "/footage", "/settings", "/log"):
        page = flat(visitor.get(f"/vehicles/{IMEI}{tab}"))
        assert (
            "The check waits for an answer:</strong> Is a light on at the front and the rear camera" in page
        )
        assert f'href="{PAGE}#start">Answer the question</a>' in page
        assert f'href="{PAGE}#start">Check</a>' not in page  # one action, while the check is open
    assert "The check waits for an answer." in visitor.get("/").text
    run.ended_at = utcnow()
    db.session.commit()
    assert "The check waits" not in visitor.get(f"/vehicles/{IMEI}").text
    assert "The check waits" not in visitor.get("/").text


def test_what_is_under_way_lists_the_check_and_the_health_leads_to_it_alone(
    van: Device, visitor: Visitor
) -> None:
    assert "Nothing is under way" in visitor.get(f"/vehicles/{IMEI}").text
    run = run_of(van, {"front": {"state": "running", "commands": []}})
    page = flat(visitor.get(f"/vehicles/{IMEI}"))
    assert "Nothing is under way" not in page
    assert "<strong>The check is under way</strong>: A photo of the front camera" in page
    assert f'href="{PAGE}#start">See the check</a>' in page
    assert f'<a href="{PAGE}#start"><strong>Check</strong></a>' in page
    assert f'href="{PAGE}#start">Check</a>' not in page
    assert "The check is under way" in visitor.get("/").text
    run.ended_at = utcnow()
    db.session.commit()
    page = flat(visitor.get(f"/vehicles/{IMEI}"))
    assert "Nothing is under way" in page
    assert f'href="{PAGE}#start">Check</a>' in page


def test_who_may_not_answer_is_led_to_the_check_and_not_asked(app: Flask, van: Device) -> None:
    run_of(van, {"led": {"state": "question"}}, waits_for_person=True)
    page = flat(Visitor(app, Role.VIEWER).get(f"/vehicles/{IMEI}"))
    assert "The check waits for an answer:" in page
    assert f'href="{PAGE}#start">See the check</a>' in page
    assert "Answer the question" not in page


def test_a_broken_vehicle_in_the_inbox_leads_to_its_check_while_that_is_open(
    van: Device, visitor: Visitor
) -> None:
    van.health_state, van.health_code, van.health_until = "broken", "no_capture", None
    run_of(van, {"front": {"state": "running", "commands": []}})
    page = flat(visitor.get("/inbox"))
    assert f'href="{PAGE}#start"> See the check' in page
    assert "Restart the camera" not in page


def finding(verdict: str, code: str, **arguments: object) -> dict[str, object]:
    return {"state": "done", "verdict": verdict, "code": code, "arguments": arguments}


def test_a_check_that_runs_says_what_it_asks_now(van: Device, visitor: Visitor) -> None:
    run_of(van, {"power": {"state": "running"}})
    page = flat(visitor.get(PAGE))
    assert 'class="card verdict is-open"' in page
    assert "Now: Power and ignition" in page
    assert "It began <time" in page
    assert "later</span>" in page


def test_a_check_that_was_ended_early_has_no_verdict_and_asks_nothing_later(
    van: Device, visitor: Visitor
) -> None:
    run_of(
        van,
        {"reachable": finding("good", "answers", asked=1, unanswered=0)},
        ended_at=utcnow(),
        verdict="stopped",
    )
    page = flat(visitor.get(PAGE))
    assert 'class="card verdict is-quiet"' in page
    assert "<h2 data-say>No verdict</h2> <p>Ended before it was through.</p>" in page
    assert "Verdict ·" not in page
    assert "not asked</span>" in page
    assert "later</span>" not in page


def test_a_vehicle_that_is_good_is_not_urged_to_be_checked_again(van: Device, visitor: Visitor) -> None:
    run = run_of(van, {}, ended_at=utcnow(), verdict="good")

    def primary_buttons() -> list[str]:
        main = flat(visitor.get(PAGE)).partition("<main")[2]
        return re.findall(r'<(?:button|a) class="btn btn-primary[^>]*>', main)

    assert primary_buttons() == []
    run.verdict = "silent"
    db.session.commit()
    assert len(primary_buttons()) == 1


@pytest.mark.parametrize(("verdict", "tone"), [
    ("rear_camera", "warn"), ("no_card", "warn"), ("wrong_clock", "warn"), ("no_camera", "bad"), ("no_power", "bad"),
    ("silent", "bad"), ("wrong_mode", "bad"), ("ignition_off", "quiet"), ("good", "good"), ("slow", "warn"),
])  # fmt: skip
def test_the_card_of_a_verdict_has_the_colour_of_the_state_that_the_verdict_leads_to(
    van: Device, visitor: Visitor, verdict: str, tone: str
) -> None:
    run_of(van, {}, ended_at=utcnow(), verdict=verdict)
    assert f'class="card verdict is-{tone}"' in flat(visitor.get(PAGE))


def test_a_second_fault_stands_below_the_verdict_with_what_to_do(van: Device, visitor: Visitor) -> None:
    steps: dict[str, dict[str, object]] = {
        name: {"state": "done", "verdict": "bad", "mark": mark, "code": "nobody_looked", "arguments": {}}
        for name, mark in (("front", "unreachable"), ("rear", "missing"))
    }
    run_of(van, steps, verdict="server_unreachable", ended_at=utcnow())
    card = flat(visitor.get(PAGE)).partition('<ol class="card rows">')[0]
    found = card.partition("<h3>Also found</h3>")[2]
    assert re.findall(r"<strong>(.*?)</strong>", found) == ["Rear camera does not answer."]
    assert verdict_words.todo("rear_camera") in found


def test_the_logs_say_who_answered_a_question_and_who_ended_a_check(
    van: Device, visitor: Visitor, app: Flask
) -> None:
    run = run_of(van, {"led": {"state": "question"}}, waits_for_person=True)
    answer = visitor.send(PAGE, PAGE, do="answer", step="led", answer="yes")
    assert answer.status_code == 302
    run.ended_at = None
    db.session.commit()
    visitor.send(PAGE, PAGE, do="stop")
    written = db.session.scalars(select(AuditEntry).where(AuditEntry.imei == IMEI).order_by(AuditEntry.id))
    assert [entry.action for entry in written] == ["answered", "stopped"]
    log = flat(visitor.get(f"/vehicles/{IMEI}/log"))
    assert "answered a question of the check of this vehicle" in log
    assert "ended the check of this vehicle" in log


@pytest.mark.parametrize(("minutes", "said"), [(45, "answered <time"), (2, "checked <time")])
def test_a_verdict_whose_tests_are_older_than_its_answer_says_when_it_was_tested(
    van: Device, visitor: Visitor, minutes: int, said: str
) -> None:
    now = utcnow()
    tested = command(van, state=State.DONE, ended_at=now - timedelta(minutes=minutes))
    answered = finding("bad", "no_card") | {"answer": "no", "mark": "no_card"}
    run_of(
        van,
        {"card": finding("good", "nobody_looked") | {"commands": [tested.id]}, "sd": answered},
        ended_at=now,
        verdict="no_card",
    )
    card = flat(visitor.get(PAGE)).partition('<ol class="card rows">')[0]
    assert said in card
    assert (", tested <time" in card) == (minutes == 45)


def test_nothing_is_said_twice_of_a_step(van: Device, visitor: Visitor) -> None:
    skipped = {"state": "skipped", "code": "step_before_failed", "arguments": {}}
    silent = finding("bad", "silent", asked=2, unanswered=2)
    run_of(van, {"reachable": silent, "firmware": skipped}, ended_at=utcnow(), verdict="silent")
    page = flat(visitor.get(PAGE))
    assert "not asked</span> <div> <p>A step before it failed.</p>" in page
    assert page.count("2 of 2 SMS unanswered.") == 1
    assert "As the verdict says. <em>Check the phone number" in page


def test_what_two_steps_found_alike_and_the_verdict_says_stands_on_the_page_once(
    van: Device, visitor: Visitor
) -> None:
    error = as_it_is("It could not reach our server.").as_json()
    failed = {
        side: finding(
            "bad", "file_failed", file=f"{side}_photo", reason="server_unreachable", error=error, others=3
        )
        | {"mark": "unreachable"}
        for side in ("front", "rear")
    }
    run_of(van, failed, ended_at=utcnow(), verdict="server_unreachable")
    page = flat(visitor.get(PAGE))
    assert page.count("As the verdict says.") == 2
    assert page.count("Other vehicles got through at that time (3)") == 1


def test_on_paper_a_check_is_its_verdict_and_what_was_found(van: Device, visitor: Visitor) -> None:
    skipped = {"state": "skipped", "code": "step_before_failed", "arguments": {}}
    silent = finding("bad", "silent", asked=2, unanswered=2) | {"commands": [command(van).id]}
    run_of(van, {"reachable": silent, "firmware": skipped}, ended_at=utcnow(), verdict="silent")
    page = flat(visitor.get(PAGE))
    steps = re.findall(r'<li class="([^"]*)">.*?<strong>([^<]+)', page.partition('<ol class="card rows">')[2])
    assert steps[:2] == [("", "Does it answer SMS?"), ("no-print", "Tracker and firmware")]
    assert '<p class="text-secondary no-print"> <a href="/requests/' in page


def test_the_advice_of_an_unclear_check_names_the_marks_of_its_steps(app: Flask) -> None:
    text = '{% import "macros/check.html" as check with context %}{{ check.mark(entry) }}'
    with app.test_request_context():
        template, advice = app.jinja_env.from_string(text), verdict_words.todo("undecided")
        for verdict in ("bad", "warn"):
            mark = template.render(entry={"state": "done", "verdict": verdict})
            assert f"“{re.sub('<[^>]+>', '', mark).strip()}”" in advice


def test_in_german_the_tab_of_the_check_is_called_otherwise_than_its_button(
    van: Device, visitor: Visitor
) -> None:
    page = flat(visitor.get(f"/vehicles/{IMEI}", **{"Accept-Language": "de"}))
    assert f'<a href="{PAGE}" >Prüfung</a>' in page
    assert f'href="{PAGE}#start">Prüfen</a>' in page


def test_a_step_that_was_fine_is_closed_and_one_that_was_not_is_open(van: Device, visitor: Visitor) -> None:
    fine, silent = (
        finding("good", "answers", asked=1, unanswered=0),
        finding("bad", "silent", asked=2, unanswered=2),
    )
    run_of(van, {"reachable": fine, "firmware": silent}, ended_at=utcnow(), verdict="silent")
    steps = flat(visitor.get(PAGE)).partition('<ol class="card rows">')[2]
    assert re.findall(r'<details id="step-(\w+)"( open)?>', steps) == [("reachable", "")]
    assert "unanswered" in re.sub("<details.*?</details>", "", steps)
