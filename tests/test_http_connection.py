"""The connection to the HTTP gateway: redirects, endless and slow answers, what its simulator brings by itself."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import joined_gateways
import pytest
from conftest import wait_until
from gateway_double import HttpPhone
from joined_gateways import VERSION, only_message, outgoing
from sms_commands import NUMBER, ask, photo, send
from sqlalchemy import select
from werkzeug.serving import make_server

from provisioning.core.errors import GatewayError
from provisioning.models import Command, DeliveryStatus, Device, GatewayEvent, ShownState, State, db, utcnow
from provisioning.sms import gateway

http_phone, van = joined_gateways.http_phone, joined_gateways.van  # the same fixtures


def serving(answer: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, answer, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(5)


@pytest.fixture
def taken() -> list[str]:
    """The paths that were asked for."""
    return []


@pytest.fixture
def odd_server(taken: list[str]) -> Iterator[str]:
    """A server that redirects, sends without end, or sends one byte at a time."""

    def answer(environ: Any, start: Any) -> Any:
        path = environ["PATH_INFO"]
        taken.append(path)
        if path.startswith("/redirect"):
            start("302 Found", [("Location", "/elsewhere")])
            return [b""]
        start("200 OK", [("Content-Type", "application/json")])
        if path.startswith("/endless"):
            return (b" " * 65_536 for _ in range(1000))
        return slowly()

    def slowly() -> Iterator[bytes]:
        stop = threading.Event()
        for _ in range(100):
            yield b" "
            stop.wait(0.1)

    yield from serving(answer)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", ["/redirect", "/endless", "/slow"])
def test_redirects_endless_and_dripping_answers_are_unclear_within_the_time_limit(
    http_phone: HttpPhone, monkeypatch: pytest.MonkeyPatch, odd_server: str, taken: list[str], path: str
) -> None:
    monkeypatch.setenv("SMS_HTTP_TIMEOUT", "1")
    http_phone.use(f"{odd_server}{path}")
    began = utcnow()
    with pytest.raises(GatewayError) as caught:
        gateway.gateway().send(outgoing())
    assert caught.value.sent == "unknown"
    assert utcnow() - began < timedelta(seconds=8)  # the whole answer takes ten
    assert len(taken) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_report_named_by_our_id_alone_finds_its_sms(http_phone: HttpPhone, van: Device) -> None:
    row = photo(van)
    send(van)
    found = {"reference": only_message().id, "state": "DELIVRD"}
    assert http_phone.post("status", found).status_code == 200
    db.session.expire_all()
    assert row.shown_state == ShownState.DELIVERED


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("path", "found", "field"),
    [
        ("inbound", {"id": "1", "text": "x"}, "from"),
        ("inbound", {"id": "1", "from": NUMBER}, "text"),
        ("inbound", [], "from"),
        ("status", {"id": "1"}, "state"),
        ("status", {"state": "SENT"}, "id"),
    ],
)
def test_a_webhook_without_a_field_that_is_needed_is_refused_by_its_name(
    http_phone: HttpPhone, path: str, found: Any, field: str
) -> None:
    answer = http_phone.post(path, found)
    assert (answer.status_code, list(answer.json["errors"])) == (422, [field])
    assert db.session.scalar(select(GatewayEvent)) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_simulated_provider_brings_reports_and_replies_by_itself(
    http_phone: HttpPhone, van: Device
) -> None:
    """The stand-in posts to a real server what a provider would."""
    bring = make_server("127.0.0.1", 0, http_phone.app, threaded=True)
    thread = threading.Thread(target=bring.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    http_phone.provider.webhook = f"http://127.0.0.1:{bring.server_port}/webhooks/http/inbound"
    http_phone.faults.no_callbacks = False
    row = ask(van, "getver")[0]
    send(van)
    http_phone.provider._move(http_phone.provider.messages["out:1"], "delivered", None)
    http_phone.stand_in.take(NUMBER, VERSION)
    wait_until(lambda: ended(row))
    bring.shutdown()
    thread.join(5)
    assert [entry["state"] for entry in row.history][-2:] == ["delivered", "done"]
    assert only_message().status == DeliveryStatus.DELIVERED


def ended(row: Command) -> bool:
    db.session.rollback()
    db.session.refresh(row)
    return row.state == State.DONE
