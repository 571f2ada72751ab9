"""Normalizes pasted input: invisible characters, punctuation of labels, notations of numbers. Pure.

Pure. Forms, the API, the command line and the settings clean their input here and nowhere else, before it is checked.
What is wrong stays wrong, so that the check can say why.
"""

import re
import unicodedata

# zero-width spaces, marks of direction, soft hyphens, byte-order marks; the joiners that words and emoji need stay
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF]
)
_QUOTES = "'\"`\u00b4\u2018\u2019\u201c\u201d"
_DASHES = "\\-\u2010-\u2015\u2212"
_IMEI_LABEL = re.compile(r"^\W*imei\b", re.IGNORECASE)
_IMEI_NOISE = re.compile(rf"[\s{_QUOTES}{_DASHES}/\\.,:#=_]")
_PHONE_LABEL = re.compile(r"^\W*(?:tel|sms|phone)\b[.:]*", re.IGNORECASE)
_PHONE_NOISE = re.compile(rf"[\s{_QUOTES}{_DASHES}.()]")
_SECOND_PART = re.compile(r"/(?=(?:\D*\d){5})")  # fewer digits after a slash are a second number's end
_SCHEME = re.compile(r"^[a-z]+://", re.IGNORECASE)
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tab and line ends, which text has


def clean_text(value: str) -> str:
    """Take invisible characters out, and blanks off both ends."""
    return value.translate(_INVISIBLE).strip()


def clean_line(value: str) -> str:
    """Make one line of it, with one blank where there were several or another kind of blank."""
    return " ".join(clean_text(value).split())


def clean_imei(value: str) -> str:
    """Leave an IMEI's digits alone, without the word before them and the punctuation that labels put between them."""
    return _IMEI_NOISE.sub("", _IMEI_LABEL.sub("", _with_plain_digits(clean_text(value))))


def clean_phone(value: str) -> str:
    """Write a number as + and digits: 00 is the +, and "(0)" is dialled inside the country only."""
    plain = _PHONE_LABEL.sub("", _with_plain_digits(clean_text(value))).replace("\uff0b", "+")
    plain = _PHONE_NOISE.sub("", _SECOND_PART.sub("", plain.replace("(0)", "")))
    return re.sub("^00", "+", plain)


def clean_host(value: str) -> str:
    """Leave a host's name without what an address bar puts around it."""
    return _SCHEME.sub("", clean_text(value)).rstrip("/.")


def _with_plain_digits(value: str) -> str:
    """Write the decimal digits of other scripts, and wide ones, as 0 to 9."""
    return "".join(str(unicodedata.decimal(c)) if c.isdecimal() else c for c in value)
