"""Users, roles, tokens and the command line that makes them."""

import base64
import dataclasses
import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from argon2.exceptions import VerifyMismatchError
from conftest import PRODUCTION_HASHER, ROOT
from cryptography.fernet import Fernet, InvalidToken
from flask import Flask, current_app, request
from flask.testing import FlaskCliRunner
from sqlalchemy import select, update

from provisioning.commands import submission
from provisioning.core import encryption
from provisioning.core.errors import Conflict, Forbidden, Invalid
from provisioning.devices import credential_pairs, registry
from provisioning.models import ApiToken, Command, Device, GatewayEvent, Role, User, db, utcnow
from provisioning.roles import Permission
from provisioning.sms import kept_events
from provisioning.tracker.language import from_arguments
from provisioning.web import auth, sign_in, users

PASSWORD = "a long enough password"


@pytest.fixture
def cli(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


def test_a_user_is_made_with_the_password_from_standard_input(cli: FlaskCliRunner) -> None:
    result = cli.invoke(
        args=["users", "create", "Ops@Example.com", "--role", "admin", "--password-stdin"],
        input=PASSWORD + "\n",
    )
    assert result.exit_code == 0
    assert sign_in.sign_in("ops@example.com", PASSWORD, "127.0.0.1", utcnow()).user.role == "admin"


def test_a_password_is_hashed_and_verified_at_the_cost_of_production(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "_hasher", PRODUCTION_HASHER)
    user = users.create("ops@example.com", Role.VIEWER, PASSWORD)
    assert user.password_hash.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert sign_in.sign_in("ops@example.com", PASSWORD, "127.0.0.1", utcnow()).user.role == "viewer"


def test_an_unknown_email_costs_as_much_as_a_wrong_password() -> None:
    nobody = users.unmatched(PRODUCTION_HASHER)
    assert not PRODUCTION_HASHER.check_needs_rehash(nobody)  # the same parameters
    with pytest.raises(VerifyMismatchError):  # hashed and compared, not refused for its form
        PRODUCTION_HASHER.verify(nobody, PASSWORD)


def test_a_token_is_printed_alone_and_stored_hashed(cli: FlaskCliRunner) -> None:
    result = cli.invoke(args=["tokens", "create", "platform", "--role", "support"])
    token = result.stdout.strip()
    row = db.session.scalar(select(ApiToken))
    assert result.stdout == token + "\n"
    assert token not in (row.token_hash, row.name)
    assert row.role == "support"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_program_reads_the_token_alone_on_standard_output(database_url: str) -> None:
    """In a process of its own: what the command logs goes to standard error, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "flask", "tokens", "create", "platform", "--role", "viewer"],
        cwd=ROOT, env=os.environ | {"DATABASE_URL": database_url, "SECRET_KEY": "only for tests " * 4},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.fullmatch(r"dct_[\w-]+\n", done.stdout)
    logged = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert ("done by a person", "token:platform") in [(line["event"], line.get("object")) for line in logged]


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        ("nobody", PASSWORD, "Not an e-mail"),
        ("a b@example.com", PASSWORD, "Not an e-mail"),
        ("ops@example.com", "short", "At least 10"),
        *(
            ("opsdepot@example.com", easy, "first that somebody would try")
            for easy in ("aaaaaaaaaa", "1234567890", "password123", "opsdepot@example.com", "qwertyuiop")
        ),
    ],
)
def test_a_bad_user_is_refused_with_the_reason(
    cli: FlaskCliRunner, email: str, password: str, said: str
) -> None:
    result = cli.invoke(
        args=["users", "create", email, "--role", "viewer", "--password-stdin"], input=password + "\n"
    )
    assert result.exit_code != 0
    assert said in result.output
    assert db.session.scalar(select(User)) is None


def test_the_same_user_twice_is_refused(app: Flask) -> None:
    users.create("ops@example.com", Role.VIEWER, PASSWORD)
    with pytest.raises(Conflict):
        users.create("OPS@example.com", Role.ADMIN, PASSWORD)


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic abc"])
def test_a_bad_bearer_header_is_not_authenticated(app: Flask, header: str) -> None:
    with (
        app.test_request_context(headers={"Authorization": header} if header else {}),
        pytest.raises(auth.Unauthenticated),
    ):
        auth.authenticate_bearer(request, utcnow())


def authenticate(token: str) -> auth.Caller:
    with current_app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
        return auth.authenticate_bearer(request, utcnow())


def test_a_revoked_token_is_not_accepted(app: Flask) -> None:
    token = auth.create_token("platform", Role.ADMIN)
    assert auth.revoke_token("platform")
    with pytest.raises(auth.Unauthenticated, match="revoked"):
        authenticate(token)


def test_a_token_ends_after_its_days_a_year_where_none_are_named(app: Flask) -> None:
    auth.create_token("platform", Role.ADMIN)
    short = auth.create_token("short", Role.ADMIN, days=1)
    left = [
        row.expires_at - row.created_at for row in db.session.scalars(select(ApiToken).order_by(ApiToken.id))
    ]
    assert [round(time.total_seconds() / 86_400) for time in left] == [365, 1]
    assert authenticate(short)
    db.session.execute(update(ApiToken).values(expires_at=utcnow()))
    with pytest.raises(auth.Unauthenticated, match="come to its end"):
        authenticate(short)


def test_no_two_valid_tokens_have_one_name(cli: FlaskCliRunner) -> None:
    old = auth.create_token("platform", Role.ADMIN)
    refused = cli.invoke(args=["tokens", "create", "platform", "--role", "viewer"])
    assert (refused.exit_code, "revoke it first" in refused.output) == (1, True)
    assert authenticate(old)
    cli.invoke(args=["tokens", "revoke", "platform"])
    made = cli.invoke(args=["tokens", "create", "platform", "--role", "viewer", "--days", "30"])
    assert authenticate(made.stdout.strip()).role == Role.VIEWER


def test_the_name_of_a_token_that_came_to_its_end_is_free(app: Flask) -> None:
    auth.create_token("platform", Role.ADMIN)
    db.session.execute(update(ApiToken).values(expires_at=utcnow()))
    assert authenticate(auth.create_token("platform", Role.SUPPORT)).role == Role.SUPPORT


def test_an_admin_needs_a_longer_password_than_others(app: Flask) -> None:
    with pytest.raises(Invalid) as refused:
        users.create("ops@example.com", Role.ADMIN, "wet tar cap")
    assert refused.value.errors == {"password": ["At least 12 characters."]}
    assert users.create("ops@example.com", Role.VIEWER, "wet tar cap")


def test_a_viewer_may_not_do_what_installers_do(app: Flask) -> None:
    token = auth.create_token("platform", Role.VIEWER)
    with app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
        auth.authenticate_bearer(request, utcnow())
        assert auth.demand(Permission.READ)
        with pytest.raises(Forbidden, match="Installer"):
            auth.demand(Permission.SET_UP)


def test_sms_credentials_are_encrypted_and_open_with_any_configured_key(app: Flask) -> None:
    stored = encryption.encrypt("pass1")
    assert "pass1" not in stored
    assert encryption.decrypt(stored) == "pass1"
    assert encryption.encrypt("pass1") != stored
    assert encryption.decrypt(None) == ""


def set_keys(app: Flask, *keys: str) -> None:
    app.extensions["dualcam_config"] = dataclasses.replace(
        app.extensions["dualcam_config"], encryption_keys=keys
    )


def test_what_a_short_key_encrypted_before_it_was_stretched_still_opens(app: Flask) -> None:
    key = "a rather short key"
    plain = Fernet(base64.urlsafe_b64encode(hashlib.sha256(key.encode()).digest()))
    set_keys(app, key)
    assert encryption.decrypt(plain.encrypt(b"pass1").decode()) == "pass1"
    with pytest.raises(InvalidToken):
        plain.decrypt(encryption.encrypt("pass1"))


def test_rotating_encrypts_all_anew_so_that_the_old_key_can_go(app: Flask, cli: FlaskCliRunner) -> None:
    old, new = "the old key of this test", "the new key of this test"
    set_keys(app, old)
    van = registry.add(
        {"imei": "352094082736916", "phone": "+12025550111", "sms_login": "fleet", "sms_password": "cam11"},
        utcnow(),
    )
    asked = from_arguments("setparam", {"parameters": {"3003": "newlo", "3004": "newpw"}}, now=0)
    submission.submit(van, asked, submission.Requester("tests", Role.INSTALLER), utcnow())
    hidden = {"text": "", kept_events.ENCRYPTED: encryption.encrypt("a text")}
    db.session.add(
        GatewayEvent(kind="inbound", gateway="twilio", token="in:1", via="webhook", payload=hidden)
    )
    db.session.commit()
    set_keys(app, new, old)
    answer = cli.invoke(args=["secrets", "rotate"])
    assert (answer.exit_code, answer.stdout) == (0, "Encrypted 7 anew.\n")
    set_keys(app, new)
    assert credential_pairs.pair(db.session.scalars(select(Device)).one(), "current") == ("fleet", "cam11")
    (command,) = db.session.scalars(select(Command))
    assert submission.typed(command, utcnow()).parameters == {3003: "newlo", 3004: "newpw"}
    assert (
        encryption.decrypt(db.session.scalars(select(GatewayEvent.payload)).one()[kept_events.ENCRYPTED])
        == "a text"
    )


def test_rotating_names_how_many_open_with_no_key_and_leaves_them(app: Flask, cli: FlaskCliRunner) -> None:
    set_keys(app, "the old key of this test")
    registry.add(
        {"imei": "352094082736916", "phone": "+12025550111", "sms_login": "fleet", "sms_password": "x"},
        utcnow(),
    )
    before = db.session.scalars(select(Device.sms_login)).one()
    set_keys(app, "the new key of this test")
    answer = cli.invoke(args=["secrets", "rotate"])
    assert (answer.exit_code, "2 open with no key" in answer.output) == (1, True)
    db.session.expire_all()
    assert db.session.scalars(select(Device.sms_login)).one() == before


def test_a_secret_stored_with_a_lost_key_says_what_to_do(app: Flask) -> None:
    stored = encryption.encrypt("pass1")
    app.extensions["dualcam_config"] = dataclasses.replace(
        app.extensions["dualcam_config"], encryption_keys=("a new key",)
    )
    with pytest.raises(encryption.Undecryptable, match="ENCRYPTION_KEYS"):
        encryption.decrypt(stored)
