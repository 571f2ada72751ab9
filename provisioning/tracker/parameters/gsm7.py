"""The GSM-7 alphabet: how many septets a character takes, and which characters have none.

Lives here because parameter values may only hold what an SMS can carry; the composer of
`provisioning.tracker.language` counts with the same table. Source: 3GPP TS 23.038, default alphabet.
"""

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€\f")


def septets(text: str) -> int:
    """Count the 7-bit places of a text: one a character, two for `^ { } [ ] ~ | \\` and the euro sign.

    Raises ValueError for a text with a character outside the alphabet (see `outside_gsm7`).
    """
    if stray := outside_gsm7(text):
        raise ValueError(f"the character {stray!r} is not in the GSM-7 alphabet")
    return len(text) + sum(character in EXTENDED for character in text)


def outside_gsm7(text: str) -> str:
    """Return the first character that GSM-7 does not have, or an empty text."""
    return next((c for c in text if c not in BASIC and c not in EXTENDED), "")
