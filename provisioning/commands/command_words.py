"""What people read of commands: a sentence for every code that rows and findings hold."""

from collections.abc import Callable, Mapping
from typing import Any

from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.translation import gettext

Arguments = Mapping[str, Any]
Words = str | Callable[[Arguments], str]


def _set_camera_server(a: Arguments) -> str:
    how = (
        gettext("send %(domain_id)s = %(domain)s and %(port_id)s = %(port)s", **a)
        if "domain_id" in a
        else gettext(
            "enter it by the Configurator (Domain and Port in the tab RS232/RS485 or Camera Settings), then tick in the"
            " vehicle's data that it is set"
        )
    )
    return gettext(
        "Nothing that the vehicle takes by itself will reach this service until the vehicle's own camera server is set"
        " to %(address)s: %(how)s. Requests name the server themselves, triggers and periodic photos do not.",
        address=a.get("address") or gettext("this service's address"),
        how=how,
    )


_WORDS: Mapping[str, Words] = {AS_IT_IS: lambda a: str(a["text"]), "set_camera_server": _set_camera_server}


def sentence(phrase: Phrase) -> str:
    """Say a phrase to a person."""
    words = _WORDS[phrase.code]
    return words(phrase.arguments) if callable(words) else gettext(words, **phrase.arguments)
