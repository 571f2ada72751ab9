"""What pages say of people and programs: their roles, what they did, and who asked. No rules."""

from collections.abc import Mapping
from datetime import datetime

from markupsafe import Markup

from provisioning.core import audit
from provisioning.core.audit import AuditAction, AuditKind
from provisioning.models import BY_CHECK, Role, User
from provisioning.translation import N_, gettext
from provisioning.web import users

# what somebody did: the sentence, and its icon
_DONE: Mapping[AuditAction, tuple[str, str]] = {
    AuditAction.SIGNED_IN: (N_("%(who)s signed in"), "user-circle"),
    AuditAction.SIGN_IN_FAILED: (N_("%(who)s could not sign in"), "lock"),
    AuditAction.SIGNED_OUT: (N_("%(who)s signed out"), "logout"),
    AuditAction.SAW: (N_("%(who)s saw %(what)s"), "photo"),
    AuditAction.DOWNLOADED: (N_("%(who)s downloaded %(what)s"), "download"),
    AuditAction.EXPORTED: (N_("%(who)s exported %(what)s"), "download"),
    AuditAction.SHARED: (N_("%(who)s shared %(what)s"), "send"),
    AuditAction.UNSHARED: (N_("%(who)s ended a link to %(what)s"), "x"),
    AuditAction.RESHARED: (N_("%(who)s restored a link to %(what)s"), "check"),
    AuditAction.SAVED: (N_("%(who)s saved %(what)s"), "check"),
    AuditAction.UNSAVED: (N_("%(who)s stopped keeping %(what)s"), "x"),
    AuditAction.ASKED: (N_("%(who)s asked for: %(what)s"), "send"),
    AuditAction.CANCELLED: (N_("%(who)s cancelled: %(what)s"), "x"),
    AuditAction.CHECKED: (N_("%(who)s checked %(what)s"), "circle-check"),
    AuditAction.ANSWERED: (N_("%(who)s answered a question of the check of %(what)s"), "message"),
    AuditAction.STOPPED: (N_("%(who)s ended the check of %(what)s"), "x"),
    AuditAction.CORRECTED: (N_("%(who)s corrected %(what)s"), "check"),
    AuditAction.NOTED: (N_("%(who)s wrote a note about %(what)s"), "message"),
    AuditAction.ADDED: (N_("%(who)s added %(what)s"), "plus"),
    AuditAction.CHANGED: (N_("%(who)s changed %(what)s"), "settings"),
    AuditAction.REMOVED: (N_("%(who)s removed %(what)s"), "x"),
    AuditAction.RESTORED: (N_("%(who)s restored %(what)s"), "check"),
    AuditAction.INVITED: (N_("%(who)s invited %(what)s"), "user-circle"),
    AuditAction.RAN: (N_("%(who)s started %(what)s"), "player-play"),
}


_KINDS: Mapping[AuditKind, str] = {
    AuditKind.SIGN_IN: N_("Sign-ins"),
    AuditKind.VIEWING: N_("Seen and downloaded"),
    AuditKind.SHARING: N_("Links"),
    AuditKind.ASKING: N_("Requests and checks"),
    AuditKind.CHANGE: N_("Changes"),
}

# what each role is for
_PURPOSES: Mapping[Role, str] = {
    Role.VIEWER: N_("sees vehicles, photos and clips"),
    Role.SUPPORT: N_("also asks for photos and clips, and runs checks"),
    Role.INSTALLER: N_("also adds vehicles and sets them up"),
    Role.ADMIN: N_("also people, tokens, the log and the service itself"),
}


def audit_kinds() -> list[tuple[AuditKind, str]]:
    """Give what entries of the log can be about, and what that is called."""
    return [(kind, gettext(text)) for kind, text in _KINDS.items()]


def role_names() -> list[tuple[str, str]]:
    """Give each role and what it is called."""
    return [(role.value, gettext(role.label)) for role in _PURPOSES]


def role_purposes() -> list[tuple[str, str]]:
    """Give what each role is called and what it is for."""
    return [(gettext(role.label), gettext(text)) for role, text in _PURPOSES.items()]


def standing(user: User, now: datetime) -> str:
    """Say what keeps a person out; empty where nothing does."""
    if not user.active:
        return gettext("disabled")
    if user.password_hash:
        return ""
    if user.invite_until and user.invite_until > now:
        return gettext("invited")
    return gettext("the link has ended: make a new one")


def password_length(user: User) -> int:
    """Give the least length of a person's password."""
    return users.ADMIN_PASSWORD_MIN if user.role == Role.ADMIN else users.PASSWORD_MIN


def role(name: str) -> str:
    """Say what a role is called."""
    return gettext(Role(name).label)


def done_icon(action: str) -> str:
    """Give the icon for what somebody did."""
    return _DONE[AuditAction(action)][1] if action in list(AuditAction) else "dots"


def done(action: str, who: Markup, what: Markup) -> Markup:
    """Say who did what; a word of another version stands as it is."""
    if action not in list(AuditAction):
        return Markup("{} {} {}").format(who, action, what)
    return Markup(gettext(_DONE[AuditAction(action)][0])) % {"who": who, "what": what}


def asker(by: str, caller: str) -> str:
    """Say who asked: "you", "the check", an email address, the name of a token."""
    if by == caller:
        return gettext("you")
    return gettext("the check") if by.startswith(BY_CHECK) else author(by)


# who is no person and no token, in the log of people and where something was made
_NOBODY = {audit.COMMAND_LINE: N_("command line"), audit.UNKNOWN: N_("unknown")}


def author(by: str) -> str:
    """Say who did something: an email address, the name of a token, "command line". Of a link the log keeps the id."""
    if by.startswith(audit.SHARED_LINK):
        return gettext("Somebody with a shared link")
    kind, _, name = by.partition(" ")
    if kind == "token" and name:
        return gettext("token %(name)s", name=name)
    return gettext(_NOBODY[by]) if by in _NOBODY else by
