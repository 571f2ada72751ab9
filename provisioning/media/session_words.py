"""What people read of why a connection of a device ended."""

from collections.abc import Mapping

from provisioning.phrase import AS_IT_IS, Phrase
from provisioning.translation import N_, gettext
from receiver.endings import Reason

WORDS: Mapping[str, str] = {
    AS_IT_IS: "%(text)s",  # rows of a version that wrote sentences
    "receiver_ended": N_("The receiver that had it was ended; how the connection ended is not known."),
    **{reason.key: reason.sentence for reason in Reason},
}


def reason(phrase: Phrase) -> str:
    """Say why a connection ended; a reason that only a receiver of a newer version knows is given by its name."""
    words = WORDS.get(phrase.code)
    return phrase.code if words is None else gettext(words, **phrase.arguments)
