"""What people read of a file: why it was linked to a request or to none, and why it has no copy or only part of one."""

from collections.abc import Mapping

from provisioning.models import TRIGGERS
from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.translation import N_, gettext

WORDS: Mapping[str, str] = {
    AS_IT_IS: "%(text)s",
    "time_is_same": N_("its time is that of the request (%(seconds)s s apart)"),
    "time_is_near": N_("its time is near that of the request (%(seconds)s s apart)"),
    "time_fits_without_zone": N_("its time fits the request if the camera's time zone is taken off"),
    "only_one_fits": N_("the only request that fits"),
    "first_that_fits": N_("the first of several requests that fit, by order"),
    "only_one_fits_without_metadata": N_("no metadata; the only request that fits"),
    "several_fit_without_metadata": N_("no metadata, and several requests fit"),
    "may_be_by_itself": N_("no metadata, and triggers or periodic photos are on: it may be one of those"),
    "none_fits": N_("no request fits"),
    "captured_before": N_("captured before we asked"),
    "looked_like_answer": N_(
        "it looked like the answer to a request, but the file that certainly is the answer came as well"
    ),
    "taken_by_itself": N_("taken by itself: trigger %(name)s"),
    "linked_by": N_("linked by %(who)s"),
    "unlinked_by": N_("unlinked by %(who)s"),
}


def reason(phrase: Phrase | None) -> str:
    """Say why a file was linked to a request, or to none; rows of the first versions do not say it."""
    if phrase is None:
        return gettext("nobody wrote down why")
    given = dict(phrase.arguments)
    if phrase.code == "time_is_same" and not given.get("seconds"):
        return gettext("its time is exactly that of the request")
    if "trigger" in given:
        number = given["trigger"]
        given["name"] = TRIGGERS.get(number) or gettext("number %(number)s", number=number)
    return gettext(WORDS[phrase.code], **given)
