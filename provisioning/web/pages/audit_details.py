"""What the details of an entry of the log of people say, in words: what was given, changed or taken away."""

from collections.abc import Mapping
from datetime import date, datetime, time

from provisioning.core.audit import AuditAction
from provisioning.models import AuditEntry, Role
from provisioning.tracker.language import COMMANDS
from provisioning.translation import N_, gettext
from provisioning.web import language
from provisioning.web.audit_notes import HIDDEN
from provisioning.web.pages import people_words, times

# what the fields are called
_FIELDS: Mapping[str, str] = {
    "active": N_("active"),
    "camera_server_configured": N_("camera server set in the tracker"),
    "cabin_private": N_("nothing of the cabin"),
    "card_gb": N_("SD card, GB"),
    "command": N_("command"),
    "country_code": N_("country code"),
    "days": N_("days"),
    "from": N_("from"),
    "hours": N_("hours"),
    "imei": N_("IMEI"),
    "language": N_("language"),
    "model": N_("model"),
    "name": N_("name"),
    "object": N_("vehicle, file or request"),
    "password": N_("password"),
    "phone": N_("phone"),
    "photo_days": N_("days of photos"),
    "plate": N_("plate"),
    "profile": N_("preset"),
    "role": N_("role"),
    "sessions": N_("sessions"),
    "sms_login": N_("SMS login"),
    "sms_password": N_("SMS password"),
    "tags": N_("tags"),
    "time_zone": N_("time zone"),
    "to": N_("to"),
    "version": N_("version"),
    "video_days": N_("days of clips"),
    "who": N_("who"),
}
_COMMANDS: Mapping[str, str] = {
    "camreq": N_("photo or clip"),
    "getparam": N_("read settings"),
    "setparam": N_("set settings"),
}
_OF_OLD: Mapping[str, bool] = {"True": True, "False": False}  # as versions before wrote yes and no
_DAYS = ("photo_days", "video_days")


def of(row: AuditEntry, *, is_request_named: bool) -> list[tuple[str, str]]:
    """Give the name and the value of each detail that says something; a name is empty where the value needs none.

    `is_request_named`: the entry is about a request that still exists, whose title says what was asked.
    """
    is_change = row.action == AuditAction.CHANGED
    found = []
    for name, held in (row.detail or {}).items():
        value = _OF_OLD.get(held, held) if isinstance(held, str) else held
        if name == "command" and is_request_named:
            continue
        if (value in ("", None, False) and name != "active") and not is_change:
            continue
        found.append(_said(name, value, is_change))
    return found


def _said(name: str, value: object, is_change: bool) -> tuple[str, str]:
    if name == "active":
        return "", gettext("enabled") if value else gettext("disabled")
    # a field without a name in words stands as it is written
    title = gettext(_FIELDS[name]) if name in _FIELDS else name.replace("_", " ")
    return title, _value(name, value, is_change)


def _value(name: str, value: object, is_change: bool) -> str:
    if value == HIDDEN:
        return gettext("changed") if is_change else gettext("set")
    if name in _DAYS and str(value) == "0":
        return gettext("for ever")
    if value in ("", None):
        return gettext("none")
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    return _word(name, str(value))


def _word(name: str, text: str) -> str:
    """Give a word of the program as people say it; whatever else is written stands as it is."""
    if name == "role" and text in list(Role):
        return people_words.role(text)
    if name == "language":
        return language.NAMES.get(text, text)
    if name == "command":
        return _command(text)
    if name in ("from", "to"):
        return _day(text)
    return text


def _command(kind: str) -> str:
    if kind in _COMMANDS:
        return gettext(_COMMANDS[kind])
    labels = COMMANDS[kind].labels if kind in COMMANDS else {}
    return gettext(next(iter(labels.values()))) if labels else kind


def _day(text: str) -> str:
    try:
        return times.full_day(datetime.combine(date.fromisoformat(text), time()))
    except ValueError:
        return text
