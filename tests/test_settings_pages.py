"""Settings of the service: which pages there are, and what administrators see of cameras and on the server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from page_visitor import IMEI, Visitor, configure, flat
from test_fleet_lists import statements_of

from provisioning.models import CameraSession, Device, Role, db, new_id, utcnow

CAMERAS, SMS = "/settings/cameras", "/settings/sms"


def connect(device: Device | None, address: str, ago: timedelta) -> None:
    db.session.add(
        CameraSession(
            id=new_id(), imei=IMEI, device_id=device.id if device else None, address=address,
            started_at=utcnow() - ago, ended_at=utcnow(),
        )
    )  # fmt: skip
    db.session.commit()


def make_certificate(path: Path, ends: datetime) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "cameras.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.mark.on_sqlite
@pytest.mark.parametrize("role", [Role.INSTALLER, Role.ADMIN])
def test_the_settings_list_only_pages_that_the_role_may_see(app: Flask, role: Role) -> None:
    page = Visitor(app, role)
    assert (CAMERAS in page.get("/settings").text) is (role is Role.ADMIN)
    assert page.get(CAMERAS).status_code == (200 if role is Role.ADMIN else 403)


@pytest.mark.on_sqlite
def test_the_address_that_vehicles_are_told_is_shown_as_set_on_the_server(
    app: Flask, visitor: Visitor
) -> None:
    configure(app, camera_server_domain="cams.example.com", camera_server_port=7160)
    text = flat(visitor.get(CAMERAS))
    assert "cams.example.com:7160" in text
    assert "Set on the server: <code>CAMERA_SERVER_DOMAIN</code>" in text
    configure(app, camera_server_domain=None)
    assert "No address is set." in flat(visitor.get(CAMERAS))


def test_connections_of_the_last_day_show_that_vehicles_get_through(van: Device, visitor: Visitor) -> None:
    assert "no vehicle has connected from outside yet" in flat(visitor.get(CAMERAS))
    connect(van, "198.51.100.7:4000", timedelta(days=2))
    assert "No vehicle connected in the last 24 hours" in flat(visitor.get(CAMERAS))
    for _ in range(2):
        connect(van, "198.51.100.7:4000", timedelta(minutes=2))
    text = flat(visitor.get(CAMERAS))
    assert "One vehicle connected in the last 24 hours. One vehicle connected in the last hour." in text


def test_vehicles_that_cannot_reach_the_server_are_named(van: Device, visitor: Visitor) -> None:
    assert "cannot reach the server now" not in flat(visitor.get(CAMERAS))
    van.health_state, van.health_code = "broken", "server_unreachable"
    db.session.commit()
    text = flat(visitor.get(CAMERAS)).partition("These vehicles cannot reach the server now")[2]
    assert f'<a href="/vehicles/{van.imei}/check"><bdi>Van 11</bdi></a>' in text


@pytest.mark.on_sqlite
@pytest.mark.parametrize("address", ["127.0.0.1:4000", "::1:4000"])
def test_connections_of_this_machine_and_of_unknown_vehicles_prove_nothing(
    van: Device, visitor: Visitor, address: str
) -> None:
    connect(van, address, timedelta(minutes=2))
    connect(None, "198.51.100.7:4000", timedelta(minutes=2))
    text = flat(visitor.get(CAMERAS))
    assert "no vehicle has connected from outside yet" in text
    assert "Connections came from this machine alone" in text
    assert "One vehicle connected in the last hour." in text


@pytest.mark.on_sqlite
@pytest.mark.parametrize(
    ("days", "expected"),
    [(60, "The certificate is valid"), (20, "The certificate ends soon"), (-1, "The certificate has ended")],
)
def test_the_last_day_of_the_certificate_is_shown_with_what_it_means(
    app: Flask, visitor: Visitor, tmp_path: Path, days: int, expected: str
) -> None:
    ends = datetime.now(UTC) + timedelta(days=days)
    configure(app, receiver_tls_cert=make_certificate(tmp_path / "cert.pem", ends))
    text = flat(visitor.get(CAMERAS))
    assert expected in text
    assert f"{ends.day} {ends:%B %Y}" in text


@pytest.mark.on_sqlite
@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_certificate_that_cannot_be_read_is_said_to_be_so(
    app: Flask, visitor: Visitor, tmp_path: Path, content: bytes | None
) -> None:
    if content:
        (tmp_path / "cert.pem").write_bytes(content)
    configure(app, receiver_tls_cert=tmp_path / "cert.pem")
    assert "last day is not known" in flat(visitor.get(CAMERAS))


@pytest.mark.parametrize(("page", "words"), [(SMS, "sum(CASE WHEN"), (CAMERAS, "count(distinct")])
def test_what_is_counted_of_two_periods_is_read_once(
    van: Device, visitor: Visitor, page: str, words: str
) -> None:
    connect(van, "198.51.100.7:4000", timedelta(minutes=2))
    seen = [" ".join(statement.split()) for statement, _ in statements_of(visitor, page)]
    assert sum(words.lower() in statement.lower() for statement in seen) == 1


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("people", {"email": "a@b.de", "role": "viewer", "tags": "x" * 300}, "A tag has at most"),
        ("tokens", {"name": "ERP", "role": "viewer", "days": "0"}, "Give a number of days from 1 to 36500."),
        ("tokens", {"name": "F\u00fcr SAP", "role": "viewer", "days": "9"}, "Letters from A to Z, digits"),
        ("wall", {"name": "x" * 101}, "At most 100 characters."),
    ],
)
def test_a_field_that_is_wrong_says_what_it_takes_and_keeps_what_was_typed(
    visitor: Visitor, name: str, fields: dict[str, str], words: str
) -> None:
    page = f"/settings/{name}"
    answer = visitor.send(page, page, **fields)
    assert answer.status_code == 422
    assert f'<p class="field-error" role="alert">{words}' in flat(answer)
    assert all(value in answer.text for value in fields.values())
