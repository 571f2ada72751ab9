"""A form that was sent after the session had ended: its fields are kept through the sign-in, then sent on by a person.

The page of the sign-in carries them in hidden fields. Only a form that the browser says stood on a page of ours is
kept: nobody else's page may put words into somebody's hands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import request

from provisioning.web.redirects import own_path

PREFIX = "kept."
PATH = "kept_path"
NOT_KEPT = ("csrf_token",)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """Where a form goes, and its fields; passwords are left out and are typed again."""

    path: str
    fields: Sequence[tuple[str, str]]


def of_request() -> KeptForm | None:
    """Give the form of this request; None where it came from elsewhere, or is no form."""
    if request.method != "POST" or not _is_ours():
        return None
    return KeptForm(request.path, [pair for pair in request.form.items(multi=True) if _may_be_kept(pair[0])])


def carried() -> KeptForm | None:
    """Give the form that the page of the sign-in carried here; None where it carried none."""
    if PATH not in request.form:
        return None
    pairs = request.form.items(multi=True)
    fields = [(name.removeprefix(PREFIX), value) for name, value in pairs if name.startswith(PREFIX)]
    return KeptForm(own_path(request.form[PATH]), fields)


def _is_ours() -> bool:
    if site := request.headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    return request.headers.get("Origin", "").partition("://")[2] == request.host


def _may_be_kept(name: str) -> bool:
    # the name of each field for a password says so
    return name not in NOT_KEPT and "password" not in name
