"""Addresses that pages had before: each leads to where its content stands now."""

from urllib.parse import parse_qs, urlencode, urlsplit

from flask import Blueprint, redirect, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.web.moved_addresses import MOVED


def attach(blueprint: Blueprint) -> None:
    """Add every old address."""
    for number, path in enumerate(MOVED):
        blueprint.add_url_rule(path, f"moved_{number}", _lead_on, methods=["GET", "POST"])


def _lead_on(**fields: str) -> ResponseReturnValue:
    """Lead to the new address, for ever; a form that an open page still sends keeps its fields (308)."""
    assert request.url_rule is not None
    endpoint, more = MOVED[request.url_rule.rule]
    if endpoint == "media":
        fields = {"vehicle": fields["imei"]}
    target = url_for(f"pages.{endpoint}", _external=False, **{**fields, **more})
    # not by url_for: names such as "_scheme" mean something to it, and anybody may write them into an address
    known = set(parse_qs(urlsplit(target).query))
    if query := urlencode([pair for pair in request.args.items(multi=True) if pair[0] not in known]):
        target += ("&" if "?" in target else "?") + query
    return redirect(target, 301 if request.method in ("GET", "HEAD") else 308)
