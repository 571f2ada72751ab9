"""Validates and normalizes one value of one parameter.

Every refusal is a sentence for a person that says what is allowed. Sets of parameters are judged in
`validation`, which is the only caller besides the readers of command arguments.
"""

import re
from collections.abc import Iterable

from provisioning.tracker.normalization import clean_host
from provisioning.tracker.parameters.gsm7 import outside_gsm7
from provisioning.tracker.parameters.labels import as_integer
from provisioning.tracker.parameters.parameter import Parameter
from provisioning.translation import gettext

RAW_MAX_LENGTH = 120  # leaves space for the command, its id and the credentials in one SMS

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_CANONICAL = re.compile(r"0|-?[1-9][0-9]{0,17}")


class ValueRefused(ValueError):
    """Says in one sentence why a value cannot be used."""


def read_value(parameter: Parameter, value: object) -> int | str:
    """Turn what a person gave into the value for the wire; raises ValueRefused with the allowed values."""
    if parameter.kind == "text":
        return _read_text(parameter, value)
    if parameter.kind == "mask":
        return _read_mask(parameter, value)
    number = _whole_number(value)
    if parameter.kind == "choice" and number not in parameter.choices:
        allowed = ", ".join(f"{known} ({gettext(name)})" for known, name in parameter.choices.items())
        sentence = gettext("%(name)s cannot be %(number)s.", name=gettext(parameter.name), number=number)
        raise ValueRefused(sentence + " " + gettext("Allowed: %(values)s.", values=allowed))
    if parameter.kind == "integer":
        _check_range(parameter, number)
    return number


def read_raw(value: object) -> int | str:
    """Read a value for an id that the catalogue does not know: a whole number or text the wire can carry."""
    if isinstance(value, str):
        check_text(value, RAW_MAX_LENGTH)
        return wire_value(value)
    return _whole_number(value)


def wire_value(text: str) -> int | str:
    """Turn a value as it stands in an SMS into an int where that loses nothing ("05" stays text)."""
    return int(text) if _CANONICAL.fullmatch(text) else text


def check_text(text: str, max_length: int) -> None:
    """Refuse what would break a command: separators, blanks, control characters, other alphabets."""
    if not text:
        raise ValueRefused(gettext("The value is empty."))
    if len(text) > max_length:
        raise ValueRefused(
            gettext(
                "At most %(most)s characters are allowed; this text has %(number)s.",
                most=max_length,
                number=len(text),
            )
        )
    for character in text:
        if character in ";:," or character.isspace() or not character.isprintable():
            raise ValueRefused(
                gettext("Blanks, control characters and ; : , are not allowed: they would end the value.")
            )
    if stray := outside_gsm7(text):
        raise ValueRefused(
            gettext("The character %(character)s cannot be sent in an SMS command.", character=stray)
        )


def host_problem(text: str) -> str:
    """Say why a text is no host name or IPv4 address for a camera, or return an empty text."""
    if not text or len(text) > 55:
        return gettext("The domain must have 1 to 55 characters.")
    labels = text.split(".")
    if all(label.isascii() and label.isdigit() for label in labels):
        if len(labels) == 4 and all(str(int(label[:4])) == label and int(label) < 256 for label in labels):
            return ""
        return gettext("This is no IPv4 address: four numbers from 0 to 255 with points between them.")
    if all(_LABEL.fullmatch(label) for label in labels):
        return ""
    return gettext(
        "Give a host name (letters, digits, hyphens and points) or an IPv4 address, without a port."
    )


def _whole_number(value: object) -> int:
    if value is None or isinstance(value, bool | float):
        raise ValueRefused(gettext("Give a whole number: true, false and fractions are none."))
    number = as_integer(value)
    if number is None or abs(number) >= 10**18:
        raise ValueRefused(gettext("Give a whole number."))
    return number


def _check_range(parameter: Parameter, number: int) -> None:
    low, high = parameter.minimum, parameter.maximum
    outside = (low is not None and number < low) or (high is not None and number > high)
    if outside or number % parameter.step:
        given = {
            "name": gettext(parameter.name), "number": number, "low": low, "step": parameter.step,
            "high": f"{high} {parameter.unit}" if parameter.unit else high,
        }  # fmt: skip
        raise ValueRefused(
            gettext(
                "%(name)s must be a whole number from %(low)s to %(high)s in steps of %(step)s, not %(number)s.",
                **given,
            )
            if parameter.step > 1
            else gettext("%(name)s must be a whole number from %(low)s to %(high)s, not %(number)s.", **given)
        )


def _read_text(parameter: Parameter, value: object) -> str:
    if not isinstance(value, str):
        raise ValueRefused(gettext("%(name)s must be text.", name=gettext(parameter.name)))
    if parameter.shape == "host":
        value = clean_host(value)
    longest = parameter.max_length or RAW_MAX_LENGTH
    if parameter.shape == "alphanumeric" and not re.fullmatch(rf"[A-Za-z0-9]{{1,{longest}}}", value):
        raise ValueRefused(
            gettext(
                "%(name)s must be 1 to %(longest)s letters (A to Z, a to z) or digits, and nothing else.",
                name=gettext(parameter.name),
                longest=longest,
            )
        )
    if parameter.shape == "host" and (problem := host_problem(value)):
        raise ValueRefused(problem)
    check_text(value, longest)
    return value


def _read_mask(parameter: Parameter, value: object) -> int:
    if isinstance(value, str) and as_integer(value) is None:
        value = value.split(",")
    if isinstance(value, list | tuple | set | frozenset):
        return _sum_of_names(parameter, value)
    if value is None or isinstance(value, bool | float) or not isinstance(value, int | str):
        raise _not_allowed(parameter, gettext("Give a whole number or a list of names."))
    number = _whole_number(value)
    if number < 0:
        raise _not_allowed(parameter, gettext("A sum of triggers cannot be negative."))
    unknown = [str(bit) for bit in _bits_of(number) if bit not in parameter.bits]
    if unknown:
        bits = ", ".join(unknown[:3])
        raise _not_allowed(
            parameter, gettext("No trigger stands for %(bits)s in %(number)s.", bits=bits, number=number)
        )
    return number


def _sum_of_names(parameter: Parameter, names: Iterable[object]) -> int:
    known = {_plain(name): bit for bit, name in parameter.bits.items()}
    total, none_given, count = 0, False, 0
    for name in names:
        if not isinstance(name, str):
            raise _not_allowed(parameter, gettext("A list of triggers holds names."))
        count += 1
        if _plain(name) == "none":
            none_given = True
        elif _plain(name) in known:
            total |= known[_plain(name)]
        else:
            raise _not_allowed(parameter, gettext("There is no trigger %(name)s here.", name=repr(name[:40])))
    if none_given and count > 1:
        raise _not_allowed(parameter, gettext("None cannot stand beside other triggers."))
    return total


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character not in " -_")


def _bits_of(number: int) -> list[int]:
    return [1 << place for place in range(number.bit_length()) if number >> place & 1]


def _not_allowed(parameter: Parameter, sentence: str) -> ValueRefused:
    """Give the refusal of triggers: what is wrong, and which there are. Their names are those that are taken."""
    names = ", ".join(f"{name} ({bit})" for bit, name in parameter.bits.items())
    return ValueRefused(sentence + " " + gettext("Allowed: None (0, alone), %(names)s.", names=names))
