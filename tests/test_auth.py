"""Users, roles, tokens and the command line that makes them."""

from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select

from provisioning import auth, secrets
from provisioning.errors import Forbidden, Invalid, TooMany
from provisioning.models import ApiToken, LoginFailure, Role, User, db, utcnow

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
    assert auth.sign_in("ops@example.com", PASSWORD, "127.0.0.1", utcnow()).role == "admin"


def test_a_token_is_printed_alone_and_stored_hashed(cli: FlaskCliRunner) -> None:
    result = cli.invoke(args=["tokens", "create", "platform", "--role", "support"])
    token = result.stdout.strip()
    row = db.session.scalar(select(ApiToken))
    assert result.stdout == token + "\n"
    assert token not in (row.token_hash, row.name)
    assert row.role == "support"


@pytest.mark.parametrize(
    ("email", "password", "said"),
    [
        ("nobody", PASSWORD, "Not an e-mail"),
        ("a b@example.com", PASSWORD, "Not an e-mail"),
        ("ops@example.com", "short", "At least 10"),
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
    auth.create_user("ops@example.com", Role.VIEWER, PASSWORD)
    with pytest.raises(Invalid):
        auth.create_user("OPS@example.com", Role.ADMIN, PASSWORD)


def test_a_wrong_password_and_an_unknown_user_get_the_same_answer(app: Flask) -> None:
    auth.create_user("ops@example.com", Role.VIEWER, PASSWORD)
    answers = []
    for email in ("ops@example.com", "nobody@example.com"):
        with pytest.raises(Invalid) as caught:
            auth.sign_in(email, "wrong", "127.0.0.1", utcnow())
        answers.append(caught.value.message)
    assert answers[0] == answers[1]


def test_guessing_is_slowed_down_and_forgiven_later(app: Flask) -> None:
    auth.create_user("ops@example.com", Role.VIEWER, PASSWORD)
    now = utcnow()
    for _ in range(auth.GUESSES):
        db.session.add(LoginFailure(email="ops@example.com", address="192.0.2.1", at=now))
    db.session.commit()
    with pytest.raises(TooMany, match="15 minutes"):
        auth.sign_in("ops@example.com", PASSWORD, "192.0.2.2", now)
    later = now + auth.GUESS_WINDOW + timedelta(seconds=1)
    assert auth.sign_in("ops@example.com", PASSWORD, "192.0.2.2", later)


def test_a_new_password_ends_sessions_under_the_old_one(app: Flask) -> None:
    user = auth.create_user("ops@example.com", Role.VIEWER, PASSWORD)
    cookie = auth.SignedIn(user).get_id()
    assert auth._load_user(cookie)
    auth.set_password(user, "another long password")
    assert auth._load_user(cookie) is None


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", "Basic abc"])
def test_a_bad_bearer_header_is_not_authenticated(app: Flask, header: str) -> None:
    with app.test_request_context(headers={"Authorization": header} if header else {}):
        from flask import request

        with pytest.raises(auth.Unauthenticated):
            auth.authenticate_bearer(request, utcnow())


def test_a_revoked_token_is_not_accepted(app: Flask) -> None:
    token = auth.create_token("platform", Role.ADMIN)
    assert auth.revoke_tokens("platform") == 1
    with app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
        from flask import request

        with pytest.raises(auth.Unauthenticated, match="revoked"):
            auth.authenticate_bearer(request, utcnow())


def test_a_viewer_may_not_do_what_installers_do(app: Flask) -> None:
    token = auth.create_token("platform", Role.VIEWER)
    with app.test_request_context(headers={"Authorization": f"Bearer {token}"}):
        from flask import request

        auth.authenticate_bearer(request, utcnow())
        assert auth.demand(Role.VIEWER)
        with pytest.raises(Forbidden, match="installer"):
            auth.demand(Role.INSTALLER)


def test_sms_credentials_are_encrypted_and_open_with_any_configured_key(app: Flask) -> None:
    stored = secrets.encrypt("pass1")
    assert "pass1" not in stored
    assert secrets.decrypt(stored) == "pass1"
    assert secrets.encrypt("pass1") != stored
    assert secrets.decrypt(None) == ""


def test_a_secret_stored_with_a_lost_key_says_what_to_do(app: Flask) -> None:
    import dataclasses

    stored = secrets.encrypt("pass1")
    app.extensions["dualcam_config"] = dataclasses.replace(
        app.extensions["dualcam_config"], encryption_keys=("a new key",)
    )
    with pytest.raises(secrets.Undecryptable, match="ENCRYPTION_KEYS"):
        secrets.decrypt(stored)
