"""The HTTP gateway by itself, without a network: settings, requests, answers, webhooks."""

import base64
import dataclasses
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from werkzeug import Request
from werkzeug.test import EnvironBuilder

from provisioning.commands import command_words
from provisioning.core.config import Config, ConfigError, load
from provisioning.core.errors import Forbidden, GatewayError, Invalid
from provisioning.core.sms_http_config import STATUSES, HttpSmsConfig
from provisioning.models import DeliveryStatus
from provisioning.sms import http, http_request
from provisioning.sms.gateway import Accepted, OutgoingSms
from provisioning.sms.http import HttpGateway, _Answer

pytestmark = pytest.mark.quick

NUMBER = "+12025550111"
SECRET = "a long enough secret"
SMS = OutgoingSms("0123456789abcdef" * 2, NUMBER, "fleet cam11 getver", 600)
SETTINGS = {
    "SMS_GATEWAY": "http",
    "SMS_HTTP_URL": "https://sms.example.com/send",
    "SMS_HTTP_HEADERS": '{"Authorization": "Bearer token"}',
    "SMS_HTTP_BODY": '{"to": "{to}", "text": "{text}", "ref": "{id}", "messages": [{"ttl": "{validity}"}]}',
    "SMS_HTTP_ID_FIELD": "messages.0.id",
    "SMS_HTTP_WEBHOOK_SECRET": SECRET,
    "SMS_HTTP_INBOUND_FIELDS": '{"from": "from", "text": "text", "id": "id", "at": "at", "to": "to"}',
    "SMS_HTTP_STATUS_FIELDS": '{"id": "id", "status": "status", "error": "error", "our_id": "ref"}',
    "SMS_HTTP_STATUS_WORDS": '{"DELIVRD": "delivered", "EXPIRED": "undelivered"}',
}


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def configured(settings: pytest.MonkeyPatch, **values: Any) -> Config:
    """Read the configuration with some settings changed; None takes one away."""
    for name, value in values.items():
        key = f"SMS_HTTP_{name.upper()}"
        if value is None:
            settings.delenv(key)
        else:
            settings.setenv(key, value if isinstance(value, str) else json.dumps(value))
    return load()


def http_config(settings: pytest.MonkeyPatch, **values: Any) -> HttpSmsConfig:
    found = configured(settings, **values).sms_http
    assert found is not None
    return found


def gateway(settings: pytest.MonkeyPatch, **values: Any) -> HttpGateway:
    return HttpGateway(configured(settings, **values))


def request(body: bytes | dict[str, str], **options: Any) -> Request:
    options.setdefault("headers", {"X-Webhook-Secret": SECRET})
    return Request(
        EnvironBuilder(path="/webhooks/http/inbound", method="POST", data=body, **options).get_environ()
    )


def posted(brought_in: Any, **options: Any) -> Request:
    return request(json.dumps(brought_in).encode(), content_type="application/json", **options)


# settings


def test_the_states_that_settings_may_name_are_those_of_the_service() -> None:
    assert set(STATUSES) <= set(DeliveryStatus)


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        ({"url": None}, {"SMS_HTTP_URL"}),
        ({"url": "ftp://x/y"}, {"SMS_HTTP_URL"}),
        ({"url": "https://{to}.example.com/"}, {"SMS_HTTP_URL"}),
        ({"url": "https://me:secret@sms.example.com/"}, {"SMS_HTTP_URL"}),
        ({"url": "https://[sms/"}, {"SMS_HTTP_URL"}),
        ({"body": "{not JSON"}, {"SMS_HTTP_BODY"}),
        ({"body": {"to": "{to}", "text": "{txt}"}}, {"SMS_HTTP_BODY"}),
        ({"encoding": "form"}, {"SMS_HTTP_BODY"}),  # the body holds a list
        ({"method": "GET"}, {"SMS_HTTP_ENCODING"}),
        ({"method": "TRACE"}, {"SMS_HTTP_METHOD"}),
        ({"headers": {"X": "{text}"}}, {"SMS_HTTP_HEADERS"}),
        ({"headers": {"X Y": "z"}}, {"SMS_HTTP_HEADERS"}),
        ({"headers": {"X": "a\r\nB: c"}}, {"SMS_HTTP_HEADERS"}),
        ({"headers": {"Content-Length": "1"}}, {"SMS_HTTP_HEADERS"}),
        ({"headers": ["X"]}, {"SMS_HTTP_HEADERS"}),
        ({"body": {"to": "{to}", "text": "{text}", "ref": "{id}", "from": "{from}"}}, {"SMS_HTTP_FROM"}),
        ({"from": "Fleet"}, {"SMS_HTTP_FROM"}),
        ({"timeout": "0"}, {"SMS_HTTP_TIMEOUT"}),
        ({"id_field": None}, {"SMS_HTTP_ACCEPTED", "SMS_HTTP_ID_FIELD"}),
        ({"accepted_field": "status"}, {"SMS_HTTP_ACCEPTED"}),
        ({"passing_errors": "7", "permanent_errors": "7"}, {"SMS_HTTP_PASSING_ERRORS"}),
        ({"webhook_secret": None}, {"SMS_HTTP_WEBHOOK_SECRET"}),
        ({"webhook_secret": "short"}, {"SMS_HTTP_WEBHOOK_SECRET"}),
        ({"webhook_auth": "none"}, {"SMS_HTTP_WEBHOOK_AUTH"}),
        ({"webhook_name": "a b"}, {"SMS_HTTP_WEBHOOK_NAME"}),
        ({"inbound_fields": None}, {"SMS_HTTP_INBOUND_FIELDS"}),
        ({"inbound_fields": {"from": "a", "text": "b", "body": "c"}}, {"SMS_HTTP_INBOUND_FIELDS"}),
        ({"status_fields": {"status": "s"}}, {"SMS_HTTP_STATUS_FIELDS"}),
        ({"status_fields": {"id": "i"}}, {"SMS_HTTP_STATUS_FIELDS"}),
        ({"status_words": None}, {"SMS_HTTP_STATUS_WORDS"}),
        ({"status_words": {"OK": "fine"}}, {"SMS_HTTP_STATUS_WORDS"}),
        ({"body": {"to": "{to}", "text": "{text}"}}, {"SMS_HTTP_BODY"}),  # reports name our id, the request does not
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_its_name(
    settings: pytest.MonkeyPatch, values: dict[str, Any], wrong: set[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(settings, **values)
    assert set(caught.value.errors) == wrong
    assert SECRET not in str(caught.value)


def test_all_that_is_wrong_is_reported_at_once(settings: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(settings, url=None, inbound_fields="[]", webhook_secret="short", method="X")
    names = {"SMS_HTTP_URL", "SMS_HTTP_INBOUND_FIELDS", "SMS_HTTP_WEBHOOK_SECRET", "SMS_HTTP_METHOD"}
    assert set(caught.value.errors) == names


def test_every_secret_of_it_may_come_as_a_file(settings: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("URL", "HEADERS", "BODY", "WEBHOOK_SECRET"):
        (tmp_path / name).write_text(SETTINGS[f"SMS_HTTP_{name}"] + "\n")
        settings.delenv(f"SMS_HTTP_{name}")
        settings.setenv(f"SMS_HTTP_{name}_FILE", str(tmp_path / name))
    found = http_config(settings)
    assert (found.url, found.webhook_secret) == (SETTINGS["SMS_HTTP_URL"], SECRET)
    assert "Bearer token" not in repr(found)
    assert SECRET not in repr(found)


def test_twilio_is_chosen_by_its_settings_and_another_gateway_by_name_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load().sms_gateway_name is None
    for name, value in {"TWILIO_ACCOUNT_SID": "AC1", "TWILIO_AUTH_TOKEN": "x", "TWILIO_FROM": NUMBER}.items():
        monkeypatch.setenv(name, value)
    assert load().sms_gateway_name == "twilio"
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    assert load().sms_gateway_name == "http"
    monkeypatch.setenv("SMS_GATEWAY", "twilio")
    assert (load().sms_gateway_name, load().sms_http) == ("twilio", None)


@pytest.mark.parametrize(
    ("environment", "wrong"),
    [
        ({"SMS_GATEWAY": "pigeon"}, "SMS_GATEWAY"),
        ({"SMS_GATEWAY": "twilio"}, "TWILIO_ACCOUNT_SID"),
        ({"SMS_HTTP_URL": "https://sms.example.com/"}, "SMS_GATEWAY"),
        (SETTINGS | {"SMS_FIGURE_SPACE": "true"}, "SMS_FIGURE_SPACE"),
    ],
)
def test_a_choice_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], wrong: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    assert set(caught.value.errors) == {wrong}


EXAMPLES = [
    block
    for block in (ROOT / "docs" / "sms.md").read_text().split("```")[1::2]
    if "SMS_GATEWAY=http" in block
]


@pytest.mark.parametrize("example", EXAMPLES, ids=["provider", "router"])
def test_the_examples_of_the_documents_are_settings_that_work(
    monkeypatch: pytest.MonkeyPatch, example: str
) -> None:
    for line in example.strip().splitlines():
        name, _, value = line.partition("=")
        monkeypatch.setenv(name, value.replace("…", "0123456789abcdef"))
    made = HttpGateway(load())
    prepared = http_request.prepare(made._config, SMS).prepare()
    assert "cam11" in f"{prepared.url} {prepared.body!r}"


# requests


def test_a_json_request_holds_the_sms_at_any_depth(settings: pytest.MonkeyPatch) -> None:
    made = http_request.prepare(http_config(settings), SMS)
    assert (made.method, made.url) == ("POST", "https://sms.example.com/send")
    assert made.headers["Content-Type"] == "application/json"
    assert json.loads(made.data) == {
        "to": NUMBER, "text": SMS.text, "ref": SMS.message_id, "messages": [{"ttl": 600}],
    }  # fmt: skip


def flat(settings: pytest.MonkeyPatch, **values: Any) -> HttpSmsConfig:
    body = {"to": "{to_digits}", "text": "{text}", "ref": "{id}", "key": "a b&c"}
    return http_config(settings, body=body, **values)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=60)


@given(texts)
def test_no_text_leaves_its_field(text: str) -> None:
    sms = dataclasses.replace(SMS, text=text)
    with pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in SETTINGS.items():
            monkeypatch.setenv(name, value)
        wanted = {"to": "12025550111", "text": text, "ref": SMS.message_id, "key": "a b&c"}
        form = http_request.prepare(flat(monkeypatch, encoding="form"), sms)
        assert dict(parse_qsl(form.data.decode(), keep_blank_values=True)) == wanted
        query = http_request.prepare(flat(monkeypatch, encoding="query", method="GET"), sms).prepare()
        assert dict(parse_qsl(urlsplit(query.url or "").query, keep_blank_values=True)) == wanted
        assert query.body is None
        nested = http_request.prepare(flat(monkeypatch, encoding="json", method="PUT"), sms)
        assert json.loads(nested.data) == wanted
        url = "https://sms.example.com/a/{text}?t={text}&b=c"
        placed = http_request.prepare(flat(monkeypatch, url=url, encoding="form"), sms).prepare()
        assert urlsplit(placed.url or "").netloc == "sms.example.com"
        assert dict(parse_qsl(urlsplit(placed.url or "").query, keep_blank_values=True)) == {
            "t": text,
            "b": "c",
        }


def test_fields_in_the_address_follow_those_that_are_there(settings: pytest.MonkeyPatch) -> None:
    url = "http://192.168.1.1/cgi-bin/sms_send?username=u"
    made = http_request.prepare(flat(settings, url=url, encoding="query", method="GET"), SMS)
    assert made.url == (
        "http://192.168.1.1/cgi-bin/sms_send?username=u&to=12025550111&text=fleet%20cam11%20getver"
        f"&ref={SMS.message_id}&key=a%20b%26c"
    )


def test_leading_blanks_survive_every_encoding(settings: pytest.MonkeyPatch) -> None:
    sms = dataclasses.replace(SMS, text="  getver")
    for encoding in ("form", "query", "json"):
        made = http_request.prepare(flat(settings, encoding=encoding), sms).prepare()
        assert "  getver" in (made.body or b"").decode() or "%20%20getver" in f"{made.url} {made.body!r}"


def test_a_request_that_shows_itself_shows_no_text() -> None:
    assert "cam11" not in repr(SMS)


# answers

JSON_ANSWERS = [
    # status, body, what follows
    (201, '{"messages": [{"id": "abc"}]}', "abc"),
    (200, '{"messages": [{"id": 17}]}', "17"),
    (200, '{"messages": []}', "unknown"),
    (200, '{"messages": [], "error": {"code": 21}}', ("no", "21", True)),
    (200, "<html>Please sign in</html>", "unknown"),
    (200, "", "unknown"),
    (204, "", "unknown"),
    (400, '{"error": {"code": "bad_number"}}', ("no", "bad_number", True)),
    (400, '{"error": {"code": "fleet cam11 getver"}}', ("no", "400", True)),  # the answer repeats the text
    (400, '{"error": {"code": "queue_full"}}', ("no", "queue_full", False)),
    (401, "", ("no", "401", True)),
    (404, "<html>", ("no", "404", True)),
    (408, "", ("no", "408", False)),
    (429, "", ("no", "429", False)),
    (302, "", "unknown"),
    (500, '{"error": {"code": "internal"}}', "unknown"),
    (502, "<html>", "unknown"),
    (503, "", ("no", "503", False)),  # the settings say that it was not taken
]


@pytest.mark.parametrize(("status", "body", "follows"), JSON_ANSWERS)
def test_what_an_answer_means(settings: pytest.MonkeyPatch, status: int, body: str, follows: Any) -> None:
    judge = gateway(settings, error_field="error.code", passing_errors="queue_full,503")._judge
    judged(judge, _Answer(status, body.encode()), follows)


def judged(judge: Any, answer: _Answer, follows: Any) -> None:
    if isinstance(follows, str) and follows != "unknown":
        assert judge(answer) == Accepted(follows)
        return
    with pytest.raises(GatewayError) as caught:
        judge(answer)
    error = caught.value
    assert "cam11" not in str(error.phrase)
    if follows == "unknown":
        assert (error.sent, error.code) == ("unknown", "gateway_unclear")
    else:
        assert (error.sent, error.code, error.permanent) == follows


@pytest.mark.parametrize(
    ("body", "follows"),
    [
        ('{"messages": [{"id": "abc", "status": "0"}]}', "abc"),
        ('{"messages": [{"id": "abc", "status": 0}]}', "abc"),
        ('{"messages": [{"status": "4", "id": "abc"}]}', ("no", "4", True)),
        ('{"messages": [{"status": "1"}]}', ("no", "1", False)),
        ('{"messages": [{}]}', "unknown"),
    ],
)
def test_an_answer_may_say_in_a_field_whether_the_sms_was_taken(
    settings: pytest.MonkeyPatch, body: str, follows: Any
) -> None:
    field = "messages.0.status"
    judge = gateway(settings, accepted="0", accepted_field=field, passing_errors="1")._judge
    judged(judge, _Answer(200, body.encode()), follows)


@pytest.mark.parametrize(
    ("body", "follows"),
    [
        ("OK\n", "taken"),
        ("OK: 17", "taken"),
        ("ERROR: TIMEOUT", ("no", "ERROR: TIMEOUT", False)),
        ("ERROR: no rights", ("no", "ERROR", True)),
        ("<html>", "unknown"),
    ],
)
def test_an_answer_may_be_a_plain_text(settings: pytest.MonkeyPatch, body: str, follows: Any) -> None:
    settings.setenv("SMS_HTTP_STATUS_FIELDS", '{"status": "s", "our_id": "ref"}')
    judge = gateway(
        settings, id_field=None, accepted="OK", passing_errors="ERROR: TIMEOUT", permanent_errors="ERROR"
    )._judge
    if follows == "taken":
        assert judge(_Answer(200, body.encode())) == Accepted(None)
    else:
        judged(judge, _Answer(200, body.encode()), follows)


def test_what_it_can_do_follows_from_its_settings(settings: pytest.MonkeyPatch) -> None:
    able = gateway(settings).capabilities
    assert (able.lists_messages, able.delivery_reports, able.message_ids) == (False, True, True)
    assert (able.keeps_leading_spaces, able.validity_limit) == (False, http.VALIDITY_SECONDS)
    settings.delenv("SMS_HTTP_STATUS_FIELDS")
    able = gateway(settings, id_field=None, accepted="OK", body={"to": "{to}", "text": "{text}"}).capabilities
    assert (able.delivery_reports, able.message_ids, able.validity_limit) == (False, False, None)


def test_an_error_of_a_report_is_passing_unless_the_settings_call_it_permanent(
    settings: pytest.MonkeyPatch,
) -> None:
    describe = gateway(settings, permanent_errors="27,30").describe
    assert (describe("27").permanent, describe("8").permanent, describe(None).permanent) == (
        True,
        False,
        False,
    )
    assert "error 27" in command_words.sentence(describe("27").phrase)


# webhooks


def test_texts_are_read_from_json_form_and_query(settings: pytest.MonkeyPatch) -> None:
    brought_in = {"id": "1", "from": "12025550111", "to": "+12025550100", "text": "Grüße & more"}
    read = gateway(settings).read_inbound
    for brought in (posted(brought_in), request(brought_in), request(b"", query_string=brought_in)):
        (sms,) = read(brought)
        assert (sms.gateway_id, sms.sender, sms.recipient, sms.text) == (
            "1",
            NUMBER,
            brought_in["to"],
            brought_in["text"],
        )


def test_several_texts_in_one_webhook_are_all_read(settings: pytest.MonkeyPatch) -> None:
    fields = {"list": "results", "from": "msisdn", "text": "message.text", "id": "messageId"}
    read = gateway(settings, inbound_fields=fields).read_inbound
    brought_in = [{"msisdn": NUMBER, "messageId": n, "message": {"text": f"text {n}"}} for n in range(3)]
    assert [(sms.gateway_id, sms.text) for sms in read(posted({"results": brought_in}))] == [
        ("0", "text 0"), ("1", "text 1"), ("2", "text 2"),
    ]  # fmt: skip
    assert read(posted({"results": []})) == []
    with pytest.raises(Invalid):
        read(posted({"messages": brought_in}))


def test_a_report_is_translated_and_an_unknown_word_is_kept(settings: pytest.MonkeyPatch) -> None:
    read = gateway(settings).read_reports
    (report,) = read(posted({"id": 5, "status": "delivrd", "error": 0}))
    assert (report.gateway_id, report.status, report.error_code) == ("5", DeliveryStatus.DELIVERED, None)
    (report,) = read(posted({"id": "5", "ref": "x", "status": "Rerouted", "error": "EC_7"}))
    assert (report.status, report.gateway_status, report.error_code, report.our_id) == (
        None,
        "Rerouted",
        "EC_7",
        "x",
    )


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ("+1 (202) 555-0111", NUMBER), ("0012025550111", NUMBER), ("12025550111", NUMBER), ("2020", "2020"),
        ("Fleet", "Fleet"), ("02025550111", "02025550111"),
    ],
)  # fmt: skip
def test_a_sender_is_read_in_its_international_form(
    settings: pytest.MonkeyPatch, given: str, number: str
) -> None:
    (sms,) = gateway(settings).read_inbound(posted({"id": "1", "from": given, "text": "x"}))
    assert sms.sender == number


def test_a_time_counts_only_with_its_zone_and_where_it_can_be(settings: pytest.MonkeyPatch) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    seconds = int(now.timestamp())
    read = gateway(settings).read_inbound

    def at(given: object) -> datetime | None:
        return read(posted({"from": NUMBER, "text": "x", "at": given}))[0].at

    for known in (seconds, str(seconds), seconds * 1000, now.isoformat(), now.strftime("%Y-%m-%dT%H:%M:%SZ")):
        assert at(known) == now, known
    far = now - timedelta(days=400)
    for unknown in (now.strftime("%Y-%m-%d %H:%M:%S"), 0, "yesterday", far.isoformat(), "9" * 13, None, {}):
        assert at(unknown) is None, unknown


def test_a_long_id_is_kept_as_its_hash(settings: pytest.MonkeyPatch) -> None:
    (sms,) = gateway(settings).read_inbound(posted({"id": "x" * 500, "from": NUMBER, "text": "x"}))
    assert sms.gateway_id == hashlib.sha256(b"x" * 500).hexdigest()


@pytest.mark.parametrize("brought_in", [b"{", b"[" * 100_000, b"{\xff}"])
def test_what_is_no_json_is_refused(settings: pytest.MonkeyPatch, brought_in: bytes) -> None:
    with pytest.raises(Invalid):
        gateway(settings).read_inbound(request(brought_in, content_type="application/json"))


def proofs(body: bytes) -> list[str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).digest()
    return [digest.hex(), f"sha256={digest.hex()}", base64.b64encode(digest).decode()]


@pytest.mark.parametrize("form", [0, 1, 2], ids=["hex", "sha256=", "base64"])
def test_a_signature_over_the_body_is_read_in_its_usual_forms(
    settings: pytest.MonkeyPatch, form: int
) -> None:
    verify = gateway(settings, webhook_auth="hmac-sha256", webhook_name="X-Hub-Signature").verify
    body = b'{"from": "+12025550111", "text": "x"}'
    proof = {"X-Hub-Signature": proofs(body)[form]}
    verify(request(body, headers=proof, content_type="application/json"))
    for changed in (body + b" ", b""):
        with pytest.raises(Forbidden):
            verify(request(changed, headers=proof, content_type="application/json"))


@pytest.mark.parametrize("given", ["", "wrong", SECRET + "x", "ä"])
def test_without_the_secret_nothing_passes(settings: pytest.MonkeyPatch, given: str) -> None:
    verify = gateway(settings).verify
    verify(posted({}))
    with pytest.raises(Forbidden):
        verify(posted({}, headers={"X-Webhook-Secret": given.encode().decode("latin-1")}))
    with pytest.raises(Forbidden):
        verify(posted({}, headers={}))


def test_a_router_that_sets_no_header_may_bring_the_secret_as_a_field(settings: pytest.MonkeyPatch) -> None:
    verify = gateway(settings, webhook_auth="field", webhook_name="key").verify
    verify(request({"key": SECRET, "text": "x"}, headers={}))
    verify(posted({"key": SECRET}, headers={}))
    for wrong in (
        request({"key": "x"}, headers={}), request({}, headers={}), posted([SECRET], headers={}),
        request(b"{", headers={}), request(b"", headers={}, query_string={"key": SECRET}),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            verify(wrong)
