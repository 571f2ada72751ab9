"""What people read of the status items of a device: values that are words, and the note of an item."""

from collections.abc import Mapping

from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.translation import N_, gettext

WORDS: Mapping[str, str] = {
    AS_IT_IS: "%(text)s",
    "not_confirmed": N_("asked for %(asked)s, not confirmed yet"),
    "holds_other_value": N_("asked for %(asked)s, the tracker has %(held)s"),
    "another_tracker": N_("Another tracker answers at this number: check phone number and SIM."),
    "avl_on_camera_port": N_(
        "The tracker's own data came to the camera port: its server's Domain (2004) and Port (2005) name it."
    ),
    "day_full": N_("The device has sent as much as one may in a day; the camera keeps the rest."),
    "file": "%(source)s %(file_type)s, %(bytes)s bytes",  # as programs read it: pages name it in their own words
}


# values that are words: programs get them as they are
VALUES = (
    N_("did not answer"),
    N_("not detected"),
    N_("no SD card"),
    N_("SD card could not be mounted"),
    N_("SD card mounted"),
    N_("SD card faulty"),
    N_("on"),
    N_("off"),
    N_("the camera port"),
    N_("reached"),
)


def value(held: str) -> str:
    """Say a value to a person; one that is no word of this service stays as it is."""
    return gettext(held) if held in VALUES else held


def sentence(phrase: Phrase) -> str:
    """Say the note of an item, or a value that is a phrase."""
    return gettext(WORDS[phrase.code], **phrase.arguments)
