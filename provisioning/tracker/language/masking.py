"""Replaces credentials by dots in texts for pages, status, events and logs.

A mask is for people's eyes only: replies are read from the text as it came.
"""

import re
from collections.abc import Iterable

from provisioning.tracker.language.commands import COMMANDS
from provisioning.tracker.parameters import CREDENTIALS, SECRET_SHOWN

_IDS = "|".join(str(id) for id in sorted(CREDENTIALS))
# "3003:abc", "Param ID:3003 Value:abc" and, from old devices, "3003 New Text:abc" and "setparam 3003 abc".
_AFTER_ID = re.compile(
    rf"(?<![0-9])((?:{_IDS})\s*(?:(?:new\s+)?(?:value|text)\s*)?:[ \t]*)[^;\s]+", re.IGNORECASE
)
_OLD_SETPARAM = re.compile(rf"(setparam\s+(?:{_IDS})\s+)[^;\s]+", re.IGNORECASE)
_BEFORE_COMMAND = rf"(?=\s+(?:{'|'.join(COMMANDS)}))"

# A shorter secret is hidden only where credentials stand: it would else hide every "1" of a text.
_SHORTEST_WORD = 3


def mask(text: str, secrets: Iterable[str] = ()) -> str:
    """Put dots for the values of the SMS login and password and for the given secrets, wherever one is a whole word.

    A secret of one or two characters is hidden beside another secret or before a command.
    """
    text = _AFTER_ID.sub(rf"\g<1>{SECRET_SHOWN}", text)
    text = _OLD_SETPARAM.sub(rf"\g<1>{SECRET_SHOWN}", text)
    words = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
    if not words:
        return text
    one = f"(?:{'|'.join(re.escape(word) for word in words)})"
    text = re.sub(rf"(?<!\w){one}(?:\s+{one})+(?!\w)", f"{SECRET_SHOWN} {SECRET_SHOWN}", text)
    text = re.sub(rf"(?<!\w){one}{_BEFORE_COMMAND}", SECRET_SHOWN, text, flags=re.IGNORECASE)
    for word in words:
        if len(word) >= _SHORTEST_WORD:
            text = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", SECRET_SHOWN, text)
    return text
