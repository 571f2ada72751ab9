"""The first page of Settings: its pages, and, for administrators, what is done there most: inviting and revoking."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from provisioning.core import mail
from provisioning.models import utcnow
from provisioning.roles import Permission
from provisioning.web import auth

TOKENS = 10  # those used or made last


def attach(blueprint: Blueprint) -> None:
    """Add the address."""
    blueprint.add_url_rule("/settings", "settings", show)


def show() -> ResponseReturnValue:
    """Show what can be set here."""
    may_invite = auth.caller().may(Permission.PEOPLE)
    return render_template(
        "settings.html", tokens=auth.latest_tokens(TOKENS) if may_invite else [], now=utcnow(),
        mails=mail.is_configured(),
    )  # fmt: skip
