"""The wall board, for a screen without a user, and the links that open it."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from provisioning.core.audit import AuditAction
from provisioning.core.config import current_config
from provisioning.core.errors import ServiceError
from provisioning.devices import listing
from provisioning.fleet import board
from provisioning.models import User, WallLink, db, utcnow, visibility
from provisioning.web import assets, audit_notes, auth, tag_limit, wall_links
from provisioning.web.pages import forms


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/wall/<token>", "wall", show)
    blueprint.add_url_rule("/settings/wall", "wall_links", links, methods=["GET", "POST"])
    blueprint.add_url_rule("/settings/wall/<int:number>/revoke", "revoke_wall_link", revoke, methods=["POST"])


def show(token: str) -> ResponseReturnValue:
    """Show the board to whoever has a link of it. A page of an older release is loaded anew as a whole."""
    now = utcnow()
    link = wall_links.find(token, now)
    with visibility.limited_to(tag_limit.of(link)):
        shown, zone = board.of(now), _zone(link)
    style = assets.address("app.css")
    answer = make_response(
        render_template(
            "wall.html", name=link.name, tags=link.tags, token=token, board=shown, zone=zone, style=style
        )
    )
    if request.args.get("sheet", style) != style:
        answer.headers["HX-Refresh"] = "true"
    answer.headers["X-Robots-Tag"] = "noindex"
    return answer


def _zone(link: WallLink) -> str:
    """Give the time zone of the person who made the link, else the one of most vehicles, else UTC."""
    chosen = db.session.scalar(select(User.time_zone).where(User.email == link.created_by))
    return chosen or next(iter(listing.zones_used(1)), "UTC")


def links() -> ResponseReturnValue:
    """List the links; make one, whose address is shown this one time."""
    if request.method != "POST":
        return _page()
    try:
        return _page(**forms.once_shown(_made))
    except ServiceError as error:
        return _page(errors=error.errors or {"name": [error.message]}), error.status


def _made() -> Mapping[str, Any]:
    """Make a link; give what the page shows of it. Raises Invalid."""
    name, tags = request.form.get("name", ""), request.form.get("tags", "")
    token = wall_links.create(name, tags.split(",") if tags.strip() else None, auth.caller().label, utcnow())
    audit_notes.wall(AuditAction.ADDED, wall_links.named(name), {"tags": tags} if tags.strip() else None)
    return {"made": current_config().public_url.rstrip("/") + url_for("pages.wall", token=token)}


def _page(made: str = "", errors: forms.Errors | None = None) -> str:
    given = {} if made else request.form
    return render_template(
        "settings/wall.html", links=wall_links.valid(), made=made, errors=errors or {}, given=given
    )


def revoke(number: int) -> ResponseReturnValue:
    """Revoke a link: the screen shows nothing more."""
    name = wall_links.revoke(number, utcnow())
    if name is None:
        audit_notes.nothing_done()
    else:
        audit_notes.wall(AuditAction.REMOVED, name)
    return redirect(url_for("pages.wall_links"))
