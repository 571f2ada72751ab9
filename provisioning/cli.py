"""The `flask` commands: users, tokens, keys. Output for programs goes to standard output alone."""

import json
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click
import structlog
from flask import Flask
from flask.cli import AppGroup
from marshmallow import ValidationError
from sqlalchemy import select

from provisioning.core import audit, logging_setup
from provisioning.core.audit import AuditAction
from provisioning.core.errors import ServiceError
from provisioning.devices import registry
from provisioning.media import registration, settlement
from provisioning.models import ApiToken, Role, User, db, utcnow
from provisioning.sms import key_rotation
from provisioning.web import auth, sign_in
from provisioning.web import users as people
from provisioning.web.schemas.devices import DeviceSchema

TAGS = click.option("--tags", help="Limit to vehicles with one of these tags, separated by commas.")
ROLE = click.Choice([role.value for role in Role])


class Commands(AppGroup):
    """A group of commands whose log goes to standard error: standard output is what programs read."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command of the group."""
        if not structlog.is_configured():
            logging_setup.configure()
        return super().invoke(ctx)


users = Commands("users", help="People who sign in to the pages.")
tokens = Commands("tokens", help="Bearer tokens of programs that use the API.")
keys = Commands("secrets", help="Keys that encrypt SMS credentials.")
fleet = Commands("devices", help="Devices, many at once.")


def init_app(app: Flask) -> None:
    """Attach the command groups to the app."""
    app.cli.add_command(users)
    app.cli.add_command(tokens)
    app.cli.add_command(fleet)
    app.cli.add_command(keys)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return click.prompt("Password", hide_input=True, confirmation_prompt=True)


def _find(email: str) -> User:
    try:
        return people.find(email)
    except ServiceError as error:
        raise _fail(error) from None


def _fail(error: ServiceError) -> click.ClickException:
    texts = [text for found in error.errors.values() for text in found]
    return click.ClickException(" ".join([error.message, *texts]))


def _log(action: AuditAction, object: str, **detail: str | int) -> None:
    """Write what the command line did to the log of people."""
    entry = audit.NewEntry(audit.COMMAND_LINE, "", action, object, detail=detail)
    audit.write([entry], utcnow())


@users.command("create")
@click.argument("email")
@click.option("--role", type=ROLE, required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")
@TAGS
def users_create(email: str, role: str, password_stdin: bool, tags: str | None) -> None:
    """Add a user; the password is asked for."""
    try:
        user = people.create(email, Role(role), _password(password_stdin), _tags(tags))
    except ServiceError as error:
        raise _fail(error) from None
    click.echo(f"Added {user.email} with the role {user.role}.")
    _log(AuditAction.ADDED, f"user:{user.email}", role=role)


@users.command("password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")
def users_password(email: str, password_stdin: bool) -> None:
    """Give a user a new password; open sessions end."""
    user = _find(email)
    try:
        people.set_password(user, _password(password_stdin))
    except ServiceError as error:
        raise _fail(error) from None
    click.echo(f"{user.email} has a new password.")
    _log(AuditAction.CHANGED, f"user:{user.email}", password="new")


@users.command("role")
@click.argument("email")
@click.argument("role", type=ROLE)
def users_role(email: str, role: str) -> None:
    """Give a user another role, at once."""
    user = _find(email)
    try:
        people.set_access(user, Role(role), user.tags)
    except ServiceError as error:
        raise _fail(error) from None
    click.echo(f"{user.email} has the role {role}.")
    _log(AuditAction.CHANGED, f"user:{user.email}", role=role)


@users.command("tags")
@click.argument("email")
@TAGS
@click.option("--whole-fleet", is_flag=True, help="Take the limit away.")
def users_tags(email: str, tags: str | None, whole_fleet: bool) -> None:
    """Limit what a user sees to vehicles with one of some tags, at once."""
    if (tags is None) != whole_fleet:
        raise click.UsageError("Give either --tags or --whole-fleet.")
    user = _find(email)
    try:
        people.set_access(user, Role(user.role), _tags(tags))
    except ServiceError as error:
        raise _fail(error) from None
    click.echo(f"{user.email} sees {_seen(user.tags)}.")


def _tags(given: str | None) -> list[str] | None:
    return None if given is None else given.split(",")


def _seen(tags: Sequence[str] | None) -> str:
    return "the whole fleet" if tags is None else f"vehicles tagged {', '.join(tags)}"


@users.command("deactivate")
@click.argument("email")
def users_deactivate(email: str) -> None:
    """Shut a user out; open sessions end."""
    user = _find(email)
    people.set_active(user, False)
    click.echo(f"{user.email} cannot sign in any more.")
    _log(AuditAction.CHANGED, f"user:{user.email}", active="no")


@users.command("activate")
@click.argument("email")
def users_activate(email: str) -> None:
    """Let a user in again who was shut out."""
    user = _find(email)
    people.set_active(user, True)
    click.echo(f"{user.email} can sign in.")
    _log(AuditAction.CHANGED, f"user:{user.email}", active="yes")


@users.command("delete")
@click.argument("email")
def users_delete(email: str) -> None:
    """Remove a user for good; open sessions end."""
    user = _find(email)
    email = user.email
    people.remove(user)
    click.echo(f"Removed {email}.")
    _log(AuditAction.REMOVED, f"user:{email}")


@users.command("sessions")
@click.argument("email")
def users_sessions(email: str) -> None:
    """Show where a user is signed in: id, since, last seen, address, browser."""
    for session in sign_in.sessions_of(_find(email), utcnow()):
        times = f"{session.created_at:%Y-%m-%d %H:%M}\t{session.last_seen_at:%Y-%m-%d %H:%M}"
        click.echo(f"{session.id}\t{times}\t{session.address}\t{session.agent}")


@users.command("sign-out")
@click.argument("email")
@click.option("--session", "session_id", type=int, help="Only this one, by the id that `sessions` shows.")
def users_sign_out(email: str, session_id: int | None) -> None:
    """End a user's sessions."""
    user = _find(email)
    count = sign_in.end_sessions(user, session_id)
    if session_id is not None and not count:
        raise click.ClickException(f"{email} has no session {session_id}.")
    click.echo(f"Ended {count}.")
    _log(AuditAction.SIGNED_OUT, f"user:{user.email}", sessions=count)


@users.command("list")
def users_list() -> None:
    """Show users: e-mail, role, active or not, what they see."""
    for user in db.session.scalars(select(User).order_by(User.email)):
        active = "active" if user.active else "inactive"
        click.echo(f"{user.email}\t{user.role}\t{active}\t{_seen(user.tags)}")


@tokens.command("create")
@click.argument("name")
@click.option("--role", type=ROLE, required=True)
@click.option(
    "--days",
    type=click.IntRange(1, 36_500),
    default=auth.TOKEN_DAYS,
    show_default=True,
    help="How long it is valid.",
)
@TAGS
def tokens_create(name: str, role: str, days: int, tags: str | None) -> None:
    """Make a token and print it, once, and nothing else. No two have one name."""
    try:
        click.echo(auth.create_token(name, Role(role), days, _tags(tags)))
    except ServiceError as error:
        raise _fail(error) from None
    _log(AuditAction.ADDED, f"token:{name}", role=role, days=days)


@tokens.command("list")
def tokens_list() -> None:
    """Show tokens: name, role, last use, end, what they see. The tokens themselves are not kept."""
    for token in db.session.scalars(select(ApiToken).order_by(ApiToken.id)):
        used = token.last_used_at.isoformat() if token.last_used_at else "never used"
        end = "revoked" if token.revoked_at else f"until {token.expires_at:%Y-%m-%d}"
        click.echo(f"{token.name}\t{token.role}\t{used}\t{end}\t{_seen(token.tags)}")


@tokens.command("revoke")
@click.argument("name")
def tokens_revoke(name: str) -> None:
    """Revoke the token of that name, at once."""
    if not auth.revoke_token(name):
        raise click.ClickException(f"There is no valid token named {name}.")
    click.echo(f"Revoked {name}.")
    _log(AuditAction.REMOVED, f"token:{name}")


@keys.command("rotate")
def secrets_rotate() -> None:
    """Encrypt everything anew with the first of ENCRYPTION_KEYS; afterwards the others can go."""
    renewed, lost = key_rotation.rotate()
    click.echo(f"Encrypted {renewed} anew.")
    if lost:
        raise click.ClickException(
            f"{lost} open with no key: put the key that they were stored with back, and run this again."
        )


@fleet.command("import")
@click.argument("file", type=click.File())
def devices_import(file: TextIO) -> None:
    """Add devices from a JSON list, as POST /devices takes them (-: standard input); known IMEIs are left alone."""
    failed = 0
    for given in json.load(file):
        imei = given.get("imei", "")
        try:
            values = DeviceSchema().load(given)
            imei = values["imei"]
            if registration.known(db.session.connection(), [imei])[0]:
                click.echo(f"{imei}\tknown")
                continue
            device = registry.add(values, utcnow())
            settlement.adopt_if_possible(device, utcnow())
            click.echo(f"{imei}\tadded")
            _log(AuditAction.ADDED, f"device:{imei}")
        except ValidationError as error:
            failed += 1
            click.echo(f"{imei}\trefused\t{json.dumps(error.messages)}", err=True)
        except ServiceError as error:
            failed += 1
            click.echo(f"{imei}\trefused\t{error.message}", err=True)
    if failed:
        raise click.ClickException(f"{failed} refused.")
