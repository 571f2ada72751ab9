"""What cannot be sent as an SMS: the words of each reason. Pure."""

from collections.abc import Mapping
from typing import Any

from provisioning.phrase import Phrase
from provisioning.tracker.parameters import id_of
from provisioning.translation import N_, gettext

REASONS: Mapping[str, str] = {
    "sms_too_long": N_(
        "This command takes %(length)s characters with login and password, and an SMS holds %(longest)s: shorten its"
        " longest value."
    ),
    "credentials_unsendable": N_(
        "The vehicle's SMS login or password holds a blank or a character that an SMS command cannot"
        " carry: correct it at Name, number, SMS login."
    ),
    "blank_first": N_(
        "Without an SMS login and password the command begins with a blank, which the SMS gateway"
        " removes, and the tracker would not obey. Set a login and a password first, with the"
        " Configurator or from the installer's own phone, and enter them at Name, number, SMS login."
    ),
    "not_gsm7": N_(
        "The character %(character)s is not in the alphabet of a single SMS (GSM-7): choose another value."
    ),
    "video_times": N_("A video needs a timestamp and a duration, a photo has neither."),
    "video_resolution": N_("Only a photo has a resolution."),
    "resolution_without_server": N_(
        "A resolution stands behind the server's domain and port in the command: name the server too, or take the"
        " configured resolution (parameter %(resolution)s)."
    ),
    "one_camera": N_("%(command)s takes one camera at a time: send one for each."),
    "setparam_empty": N_("A setparam without parameters says nothing: choose at least one."),
    "getparam_empty": N_("A getparam without parameters asks nothing: choose at least one."),
}


class UnsendableText(ValueError):
    """A command has no form that an SMS could carry; `phrase` says why and what to do, and so does its text."""

    def __init__(self, code: str, **arguments: Any) -> None:
        self.phrase = Phrase(code, arguments)
        super().__init__(sentence(self.phrase))


def sentence(phrase: Phrase) -> str:
    """Say why a text cannot be sent, and what to do."""
    return gettext(REASONS[phrase.code], **{"resolution": id_of("picture_resolution"), **phrase.arguments})
