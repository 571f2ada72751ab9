"""Invitations: the link, the mail that carries it, the password that it sets."""

import dataclasses
import socketserver
import threading
from collections.abc import Iterator
from datetime import timedelta

import people_visits
import pytest
from audit_rows import audited
from flask import Flask
from page_visitor import Visitor
from people_visits import EMAIL, PASSWORD, invite, link_of, nobody, person, press
from sqlalchemy import select, update

from provisioning.core import mail
from provisioning.core.errors import Invalid
from provisioning.models import Role, User, WebSession, db, utcnow
from provisioning.web import invitations, sign_in, users

admin = people_visits.admin  # the same fixture


def test_a_person_is_invited_by_a_link_and_comes_in_with_a_password_of_their_own(
    app: Flask, admin: Visitor
) -> None:
    link, guest = invite(admin), nobody(app)
    assert "Welcome" in guest.get(link).text
    answer = guest.send(link, link, name="Ada L.", password=PASSWORD)
    assert (answer.status_code, answer.location) == (302, "/")
    assert guest.get("/").status_code == 200
    assert sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow()).user.role == "support"
    assert person().name == "Ada L."
    assert audited() == [("admin@example.com", "invited", f"user:{EMAIL}"), (EMAIL, "signed_in", None)]


def test_a_link_works_once(app: Flask, admin: Visitor) -> None:
    link = invite(admin)
    nobody(app).send(link, link, password=PASSWORD)
    again = nobody(app).get(link)
    assert (again.status_code, "does not work any more" in again.text) == (404, True)


def test_a_link_used_at_the_same_moment_sets_one_password(app: Flask, admin: Visitor) -> None:
    token, begin = invite(admin).rpartition("/")[2], threading.Barrier(2)
    ended: list[bool] = []

    def use(password: str) -> None:
        with app.app_context():
            begin.wait()
            try:
                invitations.accept(token, "", password, utcnow())
                ended.append(True)
            except Exception:  # noqa: BLE001 - counted
                ended.append(False)
            db.session.remove()

    threads = [threading.Thread(target=use, args=(f"{PASSWORD} {number}",)) for number in "12"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == [False, True]


def test_a_link_ends_after_two_days_and_says_so(app: Flask, admin: Visitor) -> None:
    link = invite(admin)
    db.session.execute(update(User).values(invite_until=utcnow() - timedelta(seconds=1)))
    db.session.commit()
    answer = nobody(app).get(link)
    assert (answer.status_code, "come to its end" in answer.text) == (410, True)
    assert "the link has ended" in admin.get("/settings/people").text
    with pytest.raises(invitations.Expired):
        invitations.accept(link.rpartition("/")[2], "", PASSWORD, utcnow())


def test_only_the_hash_of_a_link_is_kept(app: Flask, admin: Visitor) -> None:
    token = invite(admin).rpartition("/")[2]
    assert token not in str(vars(person()))
    assert token not in admin.get("/settings/people").text


def test_an_easy_password_is_refused_and_the_link_stays(app: Flask, admin: Visitor) -> None:
    link, guest = invite(admin), nobody(app)
    answer = guest.send(link, link, password="short")
    assert answer.text.count("At least 10 characters.") == 1
    answer = guest.send(link, link, password="password123")
    assert (answer.status_code, "first that somebody would try" in answer.text) == (422, True)
    assert guest.send(link, link, password=PASSWORD).status_code == 302


def test_who_was_invited_cannot_sign_in_before(app: Flask, admin: Visitor) -> None:
    invite(admin)
    for password in ("", "nobody has this password"):
        with pytest.raises(Invalid):
            sign_in.sign_in(EMAIL, password, "127.0.0.1", utcnow())


def test_a_new_link_replaces_the_old_one_and_the_password_when_it_is_used(app: Flask, admin: Visitor) -> None:
    first = invite(admin)
    nobody(app).send(first, first, password=PASSWORD)
    second = link_of(press(admin, "invite").text)
    third = link_of(press(admin, "invite").text)
    assert nobody(app).get(second).status_code == 404
    assert sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow())
    nobody(app).send(third, third, password="other " + PASSWORD)
    with pytest.raises(Invalid):
        sign_in.sign_in(EMAIL, PASSWORD, "127.0.0.1", utcnow())
    assert db.session.scalars(select(WebSession).where(WebSession.user_id == person().id)).all()


def test_somebody_who_is_known_is_not_invited_again(app: Flask, admin: Visitor) -> None:
    invite(admin)
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL.upper(), role="viewer")
    assert (answer.status_code, "There is a user with this e-mail." in answer.text) == (409, True)
    answer = admin.send("/settings/people", "/settings/people", email="no address", role="viewer")
    assert (answer.status_code, "Not an e-mail address." in answer.text) == (422, True)


# mail


@pytest.fixture
def mailbox() -> Iterator[tuple[str, list[str]]]:
    """A mail server on loopback: its address, and the mails that it took."""
    taken: list[str] = []

    class Conversation(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 tests\r\n")
            while line := self.rfile.readline().strip().upper():
                if line == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    taken.append(b"".join(lines).decode())
                self.wfile.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}", taken
        server.shutdown()


def set_mail(app: Flask, url: str) -> None:
    config = app.extensions["dualcam_config"]
    app.extensions["dualcam_config"] = dataclasses.replace(
        config, smtp_url=url, smtp_from="dualcam@example.com"
    )


def test_an_invitation_is_mailed_where_a_mail_server_is_set(
    app: Flask, admin: Visitor, mailbox: tuple[str, list[str]]
) -> None:
    url, taken = mailbox
    set_mail(app, url)
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL, role="viewer")
    assert "The link was mailed" in answer.text
    assert f"To: {EMAIL}" in taken[0]
    assert link_of(answer.text) in taken[0].replace("=\r\n", "")


def test_a_link_is_shown_with_the_reason_where_its_mail_could_not_be_sent(app: Flask, admin: Visitor) -> None:
    set_mail(app, "smtp://127.0.0.1:9")
    answer = admin.send("/settings/people", "/settings/people", email=EMAIL, role="viewer")
    assert "The mail could not be sent (ConnectionRefusedError)." in answer.text
    assert link_of(answer.text)


@pytest.mark.parametrize(
    "email",
    [
        "a,b@example.com",
        "ops<evil@example.com",
        "x@[",
        "group:;@example.com",
        "=?utf-8?q?a?=@example.com",
        'a"b@example.com',
    ],
)
def test_an_address_that_a_mail_would_be_sent_to_otherwise_is_none(
    app: Flask, admin: Visitor, email: str
) -> None:
    answer = admin.send("/settings/people", "/settings/people", email=email, role="viewer")
    assert answer.status_code == 422
    assert "Not an e-mail address." in answer.text
    with pytest.raises(Invalid):
        users.create(email, Role.VIEWER, "seven lamps under a bridge")


@pytest.mark.parametrize("email", ["x@[", "group:;@b", "a@"])
def test_a_mail_to_an_address_that_none_can_be_written_to_says_so(app: Flask, email: str) -> None:
    set_mail(app, "smtp://127.0.0.1:9")
    with pytest.raises(mail.MailError):
        mail.send(email, "subject", "text")
