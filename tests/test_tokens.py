"""The page of tokens: a token is shown once, revoked and restored."""

import re

import people_visits
import pytest
from audit_rows import audited
from flask import Flask
from page_visitor import Visitor, flat
from people_visits import untagged
from sqlalchemy import select, update

from provisioning.core.undo import UNDO
from provisioning.models import ApiToken, Role, db, utcnow
from provisioning.web import auth

admin = people_visits.admin  # the same fixture


def test_a_token_is_shown_once_and_revoked_by_one_button(app: Flask, admin: Visitor) -> None:
    answer = admin.send("/settings/tokens", "/settings/tokens", name="platform", role="viewer", days="30")
    found = re.search(r'value="(dct_[\w-]+)"', answer.text)
    assert found
    page = flat(admin.get("/settings/tokens"))
    assert found[1] not in page
    assert ("made by admin@example.com" in untagged(page), "never used" in page) == (True, True)
    (row,) = db.session.scalars(select(ApiToken))
    answer = admin.send("/settings/tokens", f"/settings/tokens/{row.id}/revoke")
    assert answer.location == f"/settings/tokens?revoked={row.id}"
    assert "No program uses the API." in admin.get("/settings/tokens").text
    assert [entry[1:] for entry in audited()] == [("added", "token:platform"), ("removed", "token:platform")]
    with pytest.raises(auth.NotFound):
        auth.find_token(str(row.id))


def test_what_the_command_line_made_says_so_in_the_readers_language(app: Flask, admin: Visitor) -> None:
    auth.create_token("platform", Role.VIEWER)
    for language, said in (("en", "made by command line"), ("de", "angelegt von Kommandozeile")):
        page = flat(admin.get("/settings/tokens", **{"Accept-Language": language}))
        assert said in untagged(page)


def revoked(admin: Visitor) -> tuple[str, int]:
    """Make a token and revoke it; give its clear text and its id."""
    clear = auth.create_token("platform", Role.VIEWER)
    row = db.session.scalars(select(ApiToken)).one()
    admin.send("/settings/tokens", f"/settings/tokens/{row.id}/revoke")
    return clear, row.id


def is_known(app: Flask, clear: str) -> bool:
    Visitor._forget()
    answer = app.test_client().get("/api/v1/fleet", headers={"Authorization": f"Bearer {clear}"})
    return answer.status_code == 200


def test_a_token_that_was_revoked_by_mistake_is_restored_by_one_button(app: Flask, admin: Visitor) -> None:
    clear, ident = revoked(admin)
    assert not is_known(app, clear)
    page = f"/settings/tokens?revoked={ident}"
    assert ("“platform” is revoked" in untagged(admin.get(page).text), "Undo" in admin.get(page).text) == (
        True,
        True,
    )
    assert admin.send(page, f"/settings/tokens/{ident}/restore").location == "/settings/tokens"
    assert is_known(app, clear)
    assert audited()[-1][1:] == ("restored", "token:platform")
    assert "restored <bdi>the token platform</bdi>" in flat(admin.get("/settings/log"))


def test_a_token_is_not_restored_later(app: Flask, admin: Visitor) -> None:
    clear, ident = revoked(admin)
    db.session.execute(update(ApiToken).values(revoked_at=utcnow() - UNDO))
    db.session.commit()
    page = f"/settings/tokens?revoked={ident}"
    assert "Undo" not in admin.get(page).text
    assert admin.send(page, f"/settings/tokens/{ident}/restore").status_code == 404
    assert not is_known(app, clear)


def test_a_token_whose_name_was_taken_meanwhile_is_not_restored(app: Flask, admin: Visitor) -> None:
    clear, ident = revoked(admin)
    auth.create_token("platform", Role.VIEWER)
    page = f"/settings/tokens?revoked={ident}"
    answer = admin.send(page, f"/settings/tokens/{ident}/restore")
    assert (answer.status_code, "another token named platform" in answer.text) == (409, True)
    assert not is_known(app, clear)


def test_the_first_page_of_settings_invites_and_lists_the_tokens_used_last(
    app: Flask, admin: Visitor
) -> None:
    for number in range(12):
        auth.create_token(f"program {number:02d}", Role.VIEWER)
    page = admin.get("/settings").text
    assert ('id="invite"' in page, "program 11" in page, "program 01" in page) == (True, True, False)
    installer = Visitor(app, Role.INSTALLER).get("/settings").text
    assert ('id="invite"' in installer, "Revoke" in installer) == (False, False)
