"""Settings and presets as six questions: what the vehicle has, what is sent, without JavaScript too."""

import re
from typing import Any

import pytest
from flask import Flask
from gateway_double import Phone
from page_visitor import Visitor, flat
from sms_commands import send
from sqlalchemy import select

from provisioning.commands import submission
from provisioning.fleet import presets
from provisioning.models import BY_CHECK, Command, Device, Role, db, utcnow

pytestmark = pytest.mark.on_sqlite

PATH = "/vehicles/352094082736916/settings"
READY = {"151": 18, "150": 1}


@pytest.fixture
def visitor(phone: Phone) -> Visitor:
    return Visitor(phone.app, Role.INSTALLER)


def confirmed(phone: Phone, device: Device, **values: Any) -> None:
    """Have the vehicle confirm settings, given as p66003=25, beside those that DualCam needs."""
    wanted = {name[1:]: value for name, value in values.items()}
    requester = submission.Requester("tests", Role.INSTALLER)
    (row,) = submission.provision(device, wanted, requester, utcnow())
    db.session.commit()
    send(device)
    phone.reply("New value " + row.text.rpartition("setparam ")[2])
    db.session.expire_all()


def answers(page: str) -> dict[str, Any]:
    """Read what the fields of a page hold, as a browser would post them."""
    form = page[page.index('id="cards"') :]
    found: dict[str, Any] = {}
    for tag in re.findall(r"<input[^>]*>", form):
        kind = re.search(r'type="([a-z]+)"', tag)
        name, value = re.search(r'name="([^"]+)"', tag), re.search(r'value="([^"]*)"', tag)
        if name is None or name[1] in ("csrf_token", "nonce"):
            continue
        if kind and kind[1] in ("checkbox", "radio") and " checked" not in tag:
            continue
        given = value[1] if value else "on"
        found[name[1]] = [*found[name[1]], given] if isinstance(found.get(name[1]), list) else [given]
    for name_, options in re.findall(r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', form, re.S):
        chosen = re.search(r'<option value="([^"]*)"\s+selected', options)
        found[name_] = [chosen[1] if chosen else re.findall(r'<option value="([^"]*)"', options)[0]]
    return found


def post(visitor: Visitor, path: str = PATH, action: str | None = None, **changes: Any) -> Any:
    filled = answers(visitor.get(path).text) | changes
    fields = {name: value for name, value in filled.items() if value is not None}
    return visitor.send(path, action or path.partition("?")[0], **fields)


def asked() -> list[str]:
    return [row.text.rpartition(" ")[2] for row in db.session.scalars(select(Command).order_by(Command.id))]


def test_a_vehicle_that_nobody_set_differs_in_what_dualcam_needs(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    page = flat(visitor.get(PATH))
    assert page.count("What the vehicle has is not known yet; shown is the default.") == 5
    assert "setparam 151:18;150:1</code>" in page
    assert post(visitor).status_code == 302
    assert asked() == ["151:18;150:1"]


def test_one_answer_makes_one_sms_with_that_alone(phone: Phone, van: Device, visitor: Visitor) -> None:
    confirmed(phone, van, p66003=25)
    page = flat(visitor.get(PATH))
    assert "The vehicle has: clips with 25 pictures a second." in page
    assert "The vehicle has all of this already" in page
    assert post(visitor, video_frame_rate="20").status_code == 302
    assert asked()[-1] == "151:18;150:1;66003:20"


def test_a_trigger_of_clips_is_sent_whole_and_with_the_codec_it_needs(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66042=3)
    assert post(visitor, **{"clip-Crash": ["1", "2"]}).status_code == 302
    assert asked()[-1] == "151:18;150:1;66023:8;66040:0;66041:0;66042:3;113:1"
    assert post(visitor, **{"clip-DIN1": ["2"], "codec": None}).status_code == 302
    assert asked()[-1] == "151:18;150:1;66023:2;66040:2;66041:0;66042:0"


def test_what_would_be_sent_is_shown_with_a_dot_at_each_card_that_differs(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66020=0)
    part = flat(post(visitor, action=f"{PATH}/plan", scenario_mode="1"))
    notes = dict(re.findall(r'id="note-(\w+)"[^>]*>(.*?)</div>', part))
    assert len(notes) == 6
    assert [card for card, text in notes.items() if "Differs" in text] == ["work"]
    assert "permanent supply" in notes["work"]
    assert "1 SMS</strong>" in part
    assert len(asked()) == 1


def test_the_sms_is_shown_without_javascript(phone: Phone, van: Device, visitor: Visitor) -> None:
    page = post(visitor, scenario_mode="1", preview="1")
    assert "setparam 151:18;150:1;66020:1" in page.text
    assert asked() == []


def test_a_wrong_answer_is_named_at_its_card_and_nothing_is_sent(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    answer = post(visitor, periodic_image_interval="5")
    assert answer.status_code == 422
    assert "from 10 to 1800" in answer.text
    assert 'value="5"' in answer.text
    assert asked() == []


def test_nothing_is_sent_to_a_vehicle_that_has_all_of_it(phone: Phone, van: Device, visitor: Visitor) -> None:
    confirmed(phone, van, p66003=30)
    assert 'aria-disabled="true"' in visitor.get(PATH).text
    assert (
        "btn-primary" not in visitor.get(PATH).text.partition('id="send-buttons"')[2].partition("</form>")[0]
    )
    answer = post(visitor)
    assert answer.status_code == 409
    assert "The vehicle has all of this already" in answer.text
    assert 'role="alert"' not in answer.text
    assert len(asked()) == 1


def test_that_its_own_clips_reach_nobody_is_said_once_in_full(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    page = flat(post(visitor, preview="1", **{"clip-Crash": ["1"]}))
    assert page.count("Nothing that the vehicle takes by itself will reach this service") == 1
    assert "Its own photos and clips do not come here yet" in page


def test_a_preset_fills_the_cards_and_becomes_the_vehicles_own_when_it_is_sent(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66003=30)
    presets.save("Evidence", "", {"66003": 25, "66022": 8, "66002": 1}, "tests", utcnow())
    assert post(visitor, f"{PATH}?profile=Evidence").status_code == 302
    assert asked()[-1] == "151:18;150:1;66002:1;66022:8;66003:25;113:1"
    db.session.expire_all()
    assert van.profile is not None
    assert van.profile.name == "Evidence"


def test_what_is_not_known_is_asked_of_the_vehicle_at_once(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    visitor.send(PATH, f"{PATH}/read")
    texts = list(db.session.scalars(select(Command.text)))
    assert all(len(text) <= 160 for text in texts)
    numbers = sorted(int(n) for text in texts for n in text.rpartition(" ")[2].split(";"))
    assert {113, 150, 151, 66022, 66023, 66042} <= set(numbers)


def test_the_settings_page_says_what_became_of_what_was_sent_and_whether_the_vehicle_confirmed_it(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    assert post(visitor, scenario_mode="1").location == PATH
    part = "/vehicles/352094082736916/part/last_sent"
    assert "Waits for the vehicle&#39;s turn." in flat(visitor.get(part))
    send(van)
    phone.reply("New value 151:18;150:1;66020:1")
    db.session.expire_all()
    assert "The tracker has confirmed every parameter." in flat(visitor.get(part))
    assert "The tracker has confirmed every parameter." in flat(visitor.get(PATH))
    assert "Waits for" not in flat(visitor.get(part))


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_the_settings_page_stays_after_the_vehicle_is_asked_what_it_has(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    assert visitor.send(PATH, f"{PATH}/read").location == PATH
    assert "Last sent" in visitor.get(PATH).text
    assert "Last sent" in visitor.get(f"{PATH}/all").text


def test_what_a_check_has_read_is_not_shown_as_sent_by_a_person(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    requester = submission.Requester(f"{BY_CHECK}tests", Role.SUPPORT)
    submission.ask(van, "getparam", {"parameters": [66020]}, requester, utcnow())
    db.session.commit()
    assert "Last sent" not in visitor.get(PATH).text


def test_a_vehicle_of_which_nothing_is_known_is_asked_first_until_somebody_changes_an_answer(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    page = flat(visitor.get(PATH))
    assert re.search(r'btn-primary"\s*id="ask-first"', page)
    assert "Send 2 settings (nothing is known yet)" in page
    part = post(visitor, action=f"{PATH}/plan", scenario_mode="1").text
    assert re.search(r'btn-primary"\s*id="send-now"', part)
    assert "ask-first" not in part


@pytest.mark.parametrize("database_url", ["sqlite", "postgresql"], indirect=True)
def test_what_is_set_is_said_in_words_before_it_is_sent_and_on_its_request(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    port = "DualCam (RS232 mode (151) = DualCam, External UART mode (150) = RS232)"
    assert f"This sets camera port: {port}, then checks again." in flat(visitor.get(f"{PATH}?then=check"))
    confirmed(phone, van, p66020=0)
    wanted = {"clip-Crash": ["1", "2"], "codec": None}
    part = flat(post(visitor, action=f"{PATH}/plan", **wanted))
    assert "This sets clips: on Crash: both cameras." in part
    post(visitor, **wanted)
    page = visitor.get(PATH).text
    assert "Set clips (6 settings)" in page
    row = db.session.scalars(select(Command).order_by(Command.id.desc())).first()
    assert row is not None
    shown = flat(visitor.get(f"/requests/{row.id}"))
    assert "on Crash: both cameras" in shown
    assert port in shown


def test_a_warning_of_several_parameters_stands_once_on_the_page_of_all(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    ticked = {f"set-{number}": "on" for number in (66022, 66023, 66002)}
    values = {"p-66022": "Crash", "p-66023": "Crash", "p-66002": "1"}
    part = flat(visitor.send(f"{PATH}/all", f"{PATH}/all/plan", **ticked, **values))
    warnings = re.findall(r'<small class="field-warning">(.*?)</small>', part)
    assert warnings
    assert len(warnings) == len(set(warnings))


def test_how_long_a_clip_takes_follows_its_seconds(phone: Phone, van: Device, visitor: Visitor) -> None:
    assert "A 10 s clip of one camera then takes about 3 min" in visitor.get(PATH).text
    part = post(visitor, action=f"{PATH}/plan", video_before_trigger="1", video_after_trigger="1")
    assert "A 2 s clip of one camera then takes about 46 s" in part.text


def test_a_preset_is_made_of_the_same_cards(app: Flask, phone: Phone, visitor: Visitor) -> None:
    path = "/settings/preset"
    answer = post(visitor, path, name="Quiet", video_frame_rate="20")
    assert answer.location == "/settings/presets/Quiet"
    assert presets.find("Quiet").parameters == {**READY, "66003": 20}
    begin = f"{path}?begin=Quiet"
    given = {"said-clips": "on", "clip-Crash": ["1"], "codec": "on"}
    assert post(visitor, begin, action=begin, **given).status_code == 302
    assert presets.find("Quiet").parameters == {
        **READY, "66023": 8, "66040": 0, "66041": 0, "66042": 1, "66003": 20, "113": 1,
    }  # fmt: skip


def test_a_new_version_keeps_what_no_card_shows(app: Flask, phone: Phone, visitor: Visitor) -> None:
    presets.save("Old", "for trucks", {"66002": 1, "66024": 120}, "tests", utcnow())
    begin = "/settings/preset?begin=Old"
    assert "66002 = On" in flat(visitor.get(begin))
    assert post(visitor, begin, action=begin, scenario_mode="1").status_code == 302
    found = presets.find("Old")
    assert (found.parameters, found.description) == (
        {**READY, "66002": 1, "66020": 1, "66024": 120},
        "for trucks",
    )


def test_an_empty_preset_and_a_wrong_value_are_refused(phone: Phone, visitor: Visitor) -> None:
    assert post(visitor, "/settings/preset", name="None").status_code == 422
    answer = post(visitor, "/settings/preset", name="Bad", picture_compression="500")
    assert answer.status_code == 422
    assert "from 0 to 100" in answer.text
    assert 'value="Bad"' in answer.text
    assert presets.newest() == []


def open_cards(answer: Any) -> list[str]:
    return re.findall(r'<details id="question-(\w+)" open', flat(answer))


def test_cards_are_closed_to_one_line_where_nothing_has_to_be_done(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    assert open_cards(visitor.get(PATH)) == []
    confirmed(phone, van, p66003=25)
    page = visitor.get(PATH)
    assert open_cards(page) == []
    summary = flat(page).partition('<details id="question-quality"')[2].partition("</summary>")[0]
    assert "The vehicle has: clips with 25 pictures a second." in summary


def test_the_one_card_that_differs_is_open_and_several_say_in_a_line_what_will_be_sent(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66003=30)
    presets.save("One", "", {"66003": 25}, "tests", utcnow())
    presets.save("Several", "", {"66003": 25, "66020": 1}, "tests", utcnow())
    assert open_cards(visitor.get(f"{PATH}?profile=One")) == ["quality"]
    page = visitor.get(f"{PATH}?profile=Several")
    assert open_cards(page) == []
    notes = dict(re.findall(r'id="note-(\w+)"[^>]*>(.*?)</div>', flat(page)))
    assert "Differs, will be sent: clips with 25 pictures a second" in notes["quality"]
    assert "Differs, will be sent: always" in notes["work"]


def test_a_card_with_a_wrong_answer_is_open_in_settings_and_in_a_preset(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66003=30)
    assert open_cards(post(visitor, periodic_image_interval="5", scenario_mode="1")) == ["photos"]
    assert open_cards(post(visitor, "/settings/preset", name="Bad", picture_compression="500")) == ["quality"]


def test_the_cards_of_the_cabin_are_open_where_a_vehicle_takes_what_it_must_not(
    phone: Phone, van: Device, visitor: Visitor
) -> None:
    confirmed(phone, van, p66022=8, p113=1)
    van.cabin_private = True
    db.session.commit()
    assert open_cards(visitor.get(PATH)) == ["photos", "clips"]
