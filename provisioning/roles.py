"""Roles, permissions, and the one table of which role has which permission. Pure.

A user or token has one role. What a route, an SMS command or a button needs is a permission; `LEAST` names the lowest
role that has it. Which route needs which permission stands in `provisioning.web.access`.
"""

from collections.abc import Mapping
from enum import StrEnum

from provisioning.translation import N_


class Permission(StrEnum):
    """One kind of thing that somebody may be allowed to do."""

    READ = "read"
    ASK = "ask"
    REPORT = "report"
    CORRECT = "correct"
    SAVE = "save"
    SHARE = "share"
    EXPORT = "export"
    SET_UP = "set up"
    RUN = "run"
    DELETE = "delete"
    SERVERS = "servers"
    SERVICE = "service"
    PEOPLE = "people"
    AUDIT = "audit"


class Role(StrEnum):
    """What a user or token is allowed to do; a role has the permissions of every role below it."""

    ADMIN = "admin"
    INSTALLER = "installer"
    SUPPORT = "support"
    VIEWER = "viewer"

    @property
    def label(self) -> str:
        """What people call it, in English."""
        return _LABELS[self]

    def may(self, permission: Permission) -> bool:
        """Return whether this role has the permission."""
        return _RANK[self] >= _RANK[LEAST[permission]]


_LABELS: Mapping[Role, str] = {
    Role.ADMIN: N_("Administrator"),
    Role.INSTALLER: N_("Installer"),
    Role.SUPPORT: N_("Support"),
    Role.VIEWER: N_("Viewer"),
}
_RANK = {Role.VIEWER: 0, Role.SUPPORT: 1, Role.INSTALLER: 2, Role.ADMIN: 3}

# the lowest role that has each permission
LEAST: Mapping[Permission, Role] = {
    Permission.READ: Role.VIEWER,
    Permission.ASK: Role.SUPPORT,
    Permission.REPORT: Role.SUPPORT,
    Permission.CORRECT: Role.SUPPORT,
    Permission.SAVE: Role.SUPPORT,
    Permission.SHARE: Role.SUPPORT,
    Permission.EXPORT: Role.SUPPORT,
    Permission.SET_UP: Role.INSTALLER,
    Permission.RUN: Role.INSTALLER,
    Permission.DELETE: Role.ADMIN,
    Permission.SERVERS: Role.ADMIN,
    Permission.SERVICE: Role.ADMIN,
    Permission.PEOPLE: Role.ADMIN,
    Permission.AUDIT: Role.ADMIN,
}

# what each permission allows, for people
MEANING: Mapping[Permission, str] = {
    Permission.READ: "see vehicles, files, requests, presets and the inbox; change one's own password",
    Permission.ASK: "ask vehicles for photos, clips and states; run checks; cancel requests",
    Permission.REPORT: "send records of a telematics platform",
    Permission.CORRECT: "correct which request made a file; put texts of the inbox aside; write notes about vehicles",
    Permission.SAVE: "keep events beyond their retention",
    Permission.SHARE: "make and end links by which people without an account see an event",
    Permission.EXPORT: "fetch evidence and lists of files as one archive",
    Permission.SET_UP: "add, change and archive vehicles; send settings; save presets; restart and format cameras",
    Permission.RUN: "do one thing to many vehicles",
    Permission.DELETE: "delete files",
    Permission.SERVERS: "have files sent to another server",
    Permission.SERVICE: "see and change how the service itself is set up",
    Permission.PEOPLE: "invite, change and remove users; make and revoke tokens",
    Permission.AUDIT: "read the log of who did and saw what",
}
