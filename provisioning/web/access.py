"""Which permission each route needs: one table of all routes, checked before any view runs.

A route is a method and a rule of Flask's. The app does not start while a route has no entry, or an entry no route. A
view checks only what depends on a row besides (`auth.demand`).
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from flask import Flask, g, request

from provisioning.core.audit import AuditAction
from provisioning.roles import Permission
from provisioning.web import auth
from provisioning.web.moved_addresses import MOVED


class WriteAccess(NamedTuple):
    """What a route that changes something needs, and what it does; None: nothing that the log of people is for."""

    permission: Permission
    action: AuditAction | None


# routes that anybody may call
OPEN = frozenset(
    {
        "GET /login",
        "POST /login",
        "POST /logout",
        "POST /theme",
        # who has the link
        "GET /invite/<token>",
        "POST /invite/<token>",
        "GET /static/<path:name>",
        "GET /wall/<token>",
        "GET /api/v1/openapi.json",
        # the token in the address is the right to see one event
        "GET /s/<token>",
        "POST /s/<token>",
        "GET /s/<token>/<ident>/<name>",
        # these prove in their own way who calls: operators by their network or a token, gateways by a signature
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "POST /webhooks/<name>/inbound",
        "POST /webhooks/<name>/status",
        # these lead to a page that checks
        *(f"{method} {rule}" for rule in MOVED for method in ("GET", "POST")),
    }
)

# routes that change nothing
READS: Mapping[str, Permission] = {
    "GET /": Permission.READ,
    "GET /account": Permission.READ,
    "GET /events": Permission.READ,
    "GET /fleet/part": Permission.READ,
    "GET /inbox": Permission.READ,
    "GET /inbox/unknown": Permission.READ,
    "GET /inbox/unknown/<imei>": Permission.READ,
    "GET /media": Permission.READ,
    "GET /media/<ident>": Permission.READ,
    "GET /requests/<ident>": Permission.READ,
    "GET /search": Permission.READ,
    "GET /settings": Permission.SET_UP,
    "GET /settings/cameras": Permission.SERVICE,
    "GET /settings/wall": Permission.PEOPLE,
    "GET /settings/log": Permission.AUDIT,
    "GET /settings/log.csv": Permission.AUDIT,
    "GET /settings/preset": Permission.SET_UP,
    "GET /settings/presets": Permission.READ,
    "GET /settings/presets/<name>": Permission.READ,
    "GET /settings/sms": Permission.SERVICE,
    "GET /settings/sms/part": Permission.SERVICE,
    "GET /settings/storage": Permission.SERVICE,
    "GET /settings/people": Permission.PEOPLE,
    "GET /settings/people/<ident>": Permission.PEOPLE,
    "GET /settings/tokens": Permission.PEOPLE,
    "GET /uploads/<ident>": Permission.READ,
    "GET /uploads/<ident>/content": Permission.READ,
    "GET /uploads/<ident>/thumbnail.jpg": Permission.READ,
    "GET /uploads/<ident>/video.mp4": Permission.READ,
    "GET /vehicles/<imei>": Permission.READ,
    "GET /vehicles/<imei>/check": Permission.READ,
    "GET /vehicles/<imei>/events": Permission.READ,
    "GET /vehicles/<imei>/footage": Permission.READ,
    "GET /vehicles/<imei>/log": Permission.READ,
    "GET /vehicles/<imei>/notice": Permission.READ,
    "GET /vehicles/<imei>/part/<name>": Permission.READ,
    "GET /vehicles/<imei>/restart": Permission.SET_UP,
    "GET /vehicles/<imei>/settings": Permission.READ,
    "GET /vehicles/<imei>/settings/all": Permission.SET_UP,
    "GET /vehicles/<imei>/settings/tracker": Permission.READ,
    "GET /vehicles/<imei>/settings/vehicle": Permission.SET_UP,
    "GET /vehicles/new": Permission.SET_UP,
    "POST /vehicles/<imei>/ask/cost": Permission.ASK,
    "POST /vehicles/<imei>/settings/plan": Permission.SET_UP,
    "GET /api/v1/audit": Permission.AUDIT,
    "POST /vehicles/<imei>/settings/all/plan": Permission.SET_UP,
    "GET /api/v1/commands": Permission.READ,
    "GET /api/v1/commands/<ident>": Permission.READ,
    "GET /api/v1/devices": Permission.READ,
    "GET /api/v1/devices/<imei>": Permission.READ,
    "GET /api/v1/devices/<imei>/check": Permission.READ,
    "POST /api/v1/devices/<imei>/commands/preview": Permission.ASK,
    "GET /api/v1/devices/<imei>/status": Permission.READ,
    "GET /api/v1/events": Permission.READ,
    "GET /api/v1/events/<ident>": Permission.READ,
    "GET /api/v1/fleet": Permission.READ,
    "GET /api/v1/messages": Permission.READ,
    "GET /api/v1/parameters": Permission.READ,
    "POST /api/v1/parameters/plan": Permission.READ,
    "GET /api/v1/profiles": Permission.READ,
    "GET /api/v1/profiles/<name>": Permission.READ,
    "GET /api/v1/sessions": Permission.READ,
    "GET /api/v1/shares/<ident>": Permission.SHARE,
    "GET /api/v1/tokens": Permission.PEOPLE,
    "GET /api/v1/uploads": Permission.READ,
    "GET /api/v1/uploads/<ident>": Permission.READ,
    "GET /api/v1/uploads/<ident>/content": Permission.READ,
    "GET /api/v1/uploads/<ident>/thumbnail.jpg": Permission.READ,
    "GET /api/v1/uploads/<ident>/video.mp4": Permission.READ,
    "GET /api/v1/users": Permission.PEOPLE,
}

# routes that change something, and what the log of people calls it. Records come from a platform, not from a person
WRITES: Mapping[str, WriteAccess] = {
    "POST /account/language": WriteAccess(Permission.READ, AuditAction.CHANGED),
    "POST /account/password": WriteAccess(Permission.READ, AuditAction.CHANGED),
    "POST /account/sessions": WriteAccess(Permission.READ, AuditAction.SIGNED_OUT),
    "POST /inbox/texts/<ident>/aside": WriteAccess(Permission.CORRECT, AuditAction.CORRECTED),
    "POST /inbox/texts/<ident>/claim": WriteAccess(Permission.SET_UP, AuditAction.CHANGED),
    "POST /media/<ident>/saved": WriteAccess(Permission.SAVE, AuditAction.SAVED),
    "POST /requests/<ident>/again": WriteAccess(Permission.ASK, AuditAction.ASKED),
    "POST /requests/<ident>/cancel": WriteAccess(Permission.ASK, AuditAction.CANCELLED),
    "POST /settings/people": WriteAccess(Permission.PEOPLE, AuditAction.INVITED),
    "POST /settings/people/<ident>": WriteAccess(Permission.PEOPLE, AuditAction.CHANGED),
    "POST /settings/presets": WriteAccess(Permission.SET_UP, AuditAction.ADDED),
    "POST /settings/preset": WriteAccess(Permission.SET_UP, AuditAction.ADDED),
    "POST /settings/sms": WriteAccess(Permission.SERVICE, AuditAction.CHANGED),
    "POST /settings/sms/test": WriteAccess(Permission.SERVICE, AuditAction.ASKED),
    "POST /settings/storage": WriteAccess(Permission.SERVICE, AuditAction.CHANGED),
    "POST /settings/wall": WriteAccess(Permission.PEOPLE, AuditAction.ADDED),
    "POST /settings/wall/<int:number>/revoke": WriteAccess(Permission.PEOPLE, AuditAction.REMOVED),
    "POST /settings/tokens": WriteAccess(Permission.PEOPLE, AuditAction.ADDED),
    "POST /settings/tokens/<ident>/revoke": WriteAccess(Permission.PEOPLE, AuditAction.REMOVED),
    "POST /settings/tokens/<ident>/restore": WriteAccess(Permission.PEOPLE, AuditAction.RESTORED),
    "POST /uploads/<ident>/link": WriteAccess(Permission.CORRECT, AuditAction.CORRECTED),
    "POST /vehicles/<imei>/archive": WriteAccess(Permission.SET_UP, AuditAction.REMOVED),
    "POST /vehicles/<imei>/ask": WriteAccess(Permission.ASK, AuditAction.ASKED),
    "POST /vehicles/<imei>/check": WriteAccess(Permission.ASK, AuditAction.CHECKED),
    "POST /vehicles/<imei>/command": WriteAccess(Permission.ASK, AuditAction.ASKED),
    "POST /vehicles/<imei>/credentials": WriteAccess(Permission.SET_UP, AuditAction.ASKED),
    "POST /vehicles/<imei>/notes": WriteAccess(Permission.CORRECT, AuditAction.NOTED),
    "POST /vehicles/<imei>/restart": WriteAccess(Permission.SET_UP, AuditAction.ASKED),
    "POST /vehicles/<imei>/settings": WriteAccess(Permission.SET_UP, AuditAction.ASKED),
    "POST /vehicles/<imei>/settings/all": WriteAccess(Permission.SET_UP, AuditAction.ASKED),
    "POST /vehicles/<imei>/settings/read": WriteAccess(Permission.SET_UP, AuditAction.ASKED),
    "POST /vehicles/<imei>/settings/vehicle": WriteAccess(Permission.SET_UP, AuditAction.CHANGED),
    "POST /vehicles/new": WriteAccess(Permission.SET_UP, AuditAction.ADDED),
    "POST /api/v1/commands/<ident>/cancel": WriteAccess(Permission.ASK, AuditAction.CANCELLED),
    "POST /api/v1/devices": WriteAccess(Permission.SET_UP, AuditAction.ADDED),
    "PATCH /api/v1/devices/<imei>": WriteAccess(Permission.SET_UP, AuditAction.CHANGED),
    "DELETE /api/v1/devices/<imei>": WriteAccess(Permission.SET_UP, AuditAction.REMOVED),
    "POST /api/v1/devices/<imei>/check": WriteAccess(Permission.ASK, AuditAction.CHECKED),
    "POST /api/v1/devices/<imei>/check/answers": WriteAccess(Permission.ASK, AuditAction.ANSWERED),
    "POST /api/v1/devices/<imei>/commands": WriteAccess(Permission.ASK, AuditAction.ASKED),
    "POST /api/v1/devices/<imei>/provision": WriteAccess(Permission.SET_UP, AuditAction.ASKED),
    "POST /api/v1/devices/<imei>/records": WriteAccess(Permission.REPORT, None),
    "POST /api/v1/events/<ident>/shares": WriteAccess(Permission.SHARE, AuditAction.SHARED),
    "DELETE /api/v1/shares/<ident>": WriteAccess(Permission.SHARE, AuditAction.UNSHARED),
    "POST /media/<ident>/shares": WriteAccess(Permission.SHARE, AuditAction.SHARED),
    "POST /media/<ident>/shares/<share>/end": WriteAccess(Permission.SHARE, AuditAction.UNSHARED),
    "POST /media/<ident>/shares/<share>/restore": WriteAccess(Permission.SHARE, AuditAction.RESHARED),
    "POST /api/v1/events/<ident>/seen": WriteAccess(Permission.READ, AuditAction.SAW),
    "PUT /api/v1/events/<ident>/saved": WriteAccess(Permission.SAVE, AuditAction.SAVED),
    "DELETE /api/v1/events/<ident>/saved": WriteAccess(Permission.SAVE, AuditAction.UNSAVED),
    "POST /api/v1/profiles": WriteAccess(Permission.SET_UP, AuditAction.ADDED),
    "POST /api/v1/tokens": WriteAccess(Permission.PEOPLE, AuditAction.ADDED),
    "PATCH /api/v1/tokens/<ident>": WriteAccess(Permission.PEOPLE, AuditAction.CHANGED),
    "DELETE /api/v1/tokens/<ident>": WriteAccess(Permission.PEOPLE, AuditAction.REMOVED),
    "POST /api/v1/users": WriteAccess(Permission.PEOPLE, AuditAction.INVITED),
    "PATCH /api/v1/users/<ident>": WriteAccess(Permission.PEOPLE, AuditAction.CHANGED),
    "DELETE /api/v1/users/<ident>": WriteAccess(Permission.PEOPLE, AuditAction.REMOVED),
    "POST /api/v1/users/<ident>/invitation": WriteAccess(Permission.PEOPLE, AuditAction.INVITED),
    "PATCH /api/v1/uploads/<ident>/link": WriteAccess(Permission.CORRECT, AuditAction.CORRECTED),
}

# routes that concern the whole fleet: not for people and tokens that are limited to tags
WHOLE_FLEET = frozenset(
    {
        "POST /settings/presets",
        "GET /settings/preset",
        "POST /settings/preset",
        "GET /settings/cameras",
        "GET /settings/sms",
        "GET /settings/sms/part",
        "GET /settings/storage",
        "POST /settings/sms",
        "POST /settings/sms/test",
        "POST /settings/storage",
        "POST /api/v1/profiles",
    }
)

NEEDS: Mapping[str, Permission] = {**READS, **{route: write.permission for route, write in WRITES.items()}}


def check() -> None:
    """Refuse the present request where its caller lacks what its route needs. Raises Unauthenticated or Forbidden.

    The caller is kept for the log of people. OPTIONS runs no view. A request that no route takes does not come here.
    """
    assert request.url_rule is not None
    route = f"{'GET' if request.method == 'HEAD' else request.method} {request.url_rule.rule}"
    if route not in OPEN and request.method != "OPTIONS":
        g.checked_caller = auth.demand(NEEDS[route])
        if route in WHOLE_FLEET:
            auth.demand_whole_fleet()


def routes(app: Flask) -> set[str]:
    """Give all routes of the app; HEAD and OPTIONS are answered as GET is."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def check_table(app: Flask) -> None:
    """Hold the table to the routes of the app. Raises LookupError naming what is missing or left over."""
    entries = [*OPEN, *READS, *WRITES]
    missing, left_over = routes(app) - set(entries), set(entries) - routes(app)
    twice = {route for route, count in Counter(entries).items() if count > 1}
    for text, found in (
        ("has no entry", missing),
        ("is no route any more", left_over),
        ("has two entries", twice),
    ):
        if found:
            raise LookupError(f"provisioning/web/access.py: {', '.join(sorted(found))} {text}.")
