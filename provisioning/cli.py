"""The `flask` commands: users and tokens. Output meant for programs goes to standard output alone."""

import json
import sys
from typing import TextIO

import click
from flask import Flask
from flask.cli import AppGroup
from marshmallow import ValidationError
from sqlalchemy import select

from . import auth, devices, uploads
from .cleaning import clean_text
from .errors import ServiceError
from .models import ApiToken, Role, User, db, utcnow
from .schemas import DeviceSchema

ROLE = click.Choice([role.value for role in Role])
users = AppGroup("users", help="People who sign in to the pages.")
tokens = AppGroup("tokens", help="Bearer tokens of programs that use the API.")
fleet = AppGroup("devices", help="Devices, many at once.")


def init_app(app: Flask) -> None:
    """Attach the command groups to the app."""
    app.cli.add_command(users)
    app.cli.add_command(tokens)
    app.cli.add_command(fleet)


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    return click.prompt("Password", hide_input=True, confirmation_prompt=True)


def _fail(error: ServiceError) -> click.ClickException:
    texts = [text for found in error.errors.values() for text in found]
    return click.ClickException(" ".join([error.message, *texts]))


@users.command("create")
@click.argument("email")
@click.option("--role", type=ROLE, required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")
def users_create(email: str, role: str, password_stdin: bool) -> None:
    """Add a user; the password is asked for."""
    try:
        user = auth.create_user(email, Role(role), _password(password_stdin))
    except ServiceError as error:
        raise _fail(error) from None
    click.echo(f"Added {user.email} with the role {user.role}.")


@users.command("password")
@click.argument("email")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input, one line.")
def users_password(email: str, password_stdin: bool) -> None:
    """Give a user a new password; open sessions end."""
    user = db.session.scalar(select(User).where(User.email == clean_text(email).lower()))
    if user is None:
        raise click.ClickException(f"There is no user {email}.")
    try:
        auth.set_password(user, _password(password_stdin))
    except ServiceError as error:
        raise _fail(error) from None
    click.echo(f"{user.email} has a new password.")


@users.command("list")
def users_list() -> None:
    """Show users: e-mail, role, active or not."""
    for user in db.session.scalars(select(User).order_by(User.email)):
        click.echo(f"{user.email}\t{user.role}\t{'active' if user.active else 'inactive'}")


@tokens.command("create")
@click.argument("name")
@click.option("--role", type=ROLE, required=True)
def tokens_create(name: str, role: str) -> None:
    """Make a token and print it, once, and nothing else."""
    click.echo(auth.create_token(name, Role(role)))


@tokens.command("list")
def tokens_list() -> None:
    """Show tokens: name, role, when last used. The tokens themselves are not kept."""
    for token in db.session.scalars(select(ApiToken).order_by(ApiToken.id)):
        used = token.last_used_at.isoformat() if token.last_used_at else "never used"
        click.echo(f"{token.name}\t{token.role}\t{'revoked' if token.revoked_at else used}")


@tokens.command("revoke")
@click.argument("name")
def tokens_revoke(name: str) -> None:
    """Revoke all tokens of that name."""
    count = auth.revoke_tokens(name)
    if not count:
        raise click.ClickException(f"There is no valid token named {name}.")
    click.echo(f"Revoked {count}.")


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
            if uploads.known(db.session.connection(), [imei])[0]:
                click.echo(f"{imei}\tknown")
                continue
            device = devices.add(values, utcnow())
            uploads.adopt_if_possible(device, utcnow())
            click.echo(f"{imei}\tadded")
        except ValidationError as error:
            failed += 1
            click.echo(f"{imei}\trefused\t{json.dumps(error.messages)}", err=True)
        except ServiceError as error:
            failed += 1
            click.echo(f"{imei}\trefused\t{error.message}", err=True)
    if failed:
        raise click.ClickException(f"{failed} refused.")
