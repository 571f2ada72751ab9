"""Validates a set of parameters from a form, JSON or a preset; errors are keyed by parameter id.

`validate` takes a set as it is (a setparam command, a repair); `complete` adds the rules of plan,
provision and profile. Warnings, which never block, are in `warnings`.
"""

import re
from collections.abc import Mapping
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields

from provisioning.tracker.parameters.catalogue import CATALOGUE
from provisioning.tracker.parameters.lookup import CREDENTIALS, REQUIRED, id_of
from provisioning.tracker.parameters.parameter import Parameter
from provisioning.tracker.parameters.values import ValueRefused, read_raw, read_value
from provisioning.translation import N_, gettext

_ID = re.compile(r"[1-9][0-9]{0,7}")


class ParameterErrors(ValueError):
    """A refused set; `errors` maps a parameter id (as text) to sentences for people."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(texts)}" for name, texts in errors.items()))
        self.errors = errors


class _ParameterField(fields.Field[int | str]):
    default_error_messages = {"null": N_("Give a value: nothing (null) is not one.")}

    def __init__(self, parameter: Parameter | None) -> None:
        super().__init__()
        self._parameter = parameter

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int | str:
        try:
            return read_raw(value) if self._parameter is None else read_value(self._parameter, value)
        except ValueRefused as refused:
            raise ValidationError(str(refused)) from None


class _SetSchema(Schema):
    error_messages = {"unknown": N_("The catalogue has no such parameter. Check the number, or use raw.")}


def validate(
    parameters: Mapping[Any, Any], *, raw: bool = False, catalogue: Mapping[int, Parameter] = CATALOGUE
) -> dict[int, int | str]:
    """Check one set of parameters as it goes into a setparam, in the order given.

    Keys are ids as int or text, values ints, numeric text or (for masks) names. `raw` lets ids pass that
    the catalogue does not know. Raises ParameterErrors with every fault at once.
    """
    values, errors = _read(parameters, raw, catalogue)
    _check_credentials(values.keys() | _ids(errors), errors)
    if errors:
        raise ParameterErrors(errors)
    return values


def complete(
    parameters: Mapping[Any, Any], *, raw: bool = False, catalogue: Mapping[int, Parameter] = CATALOGUE
) -> dict[int, int | str]:
    """Check a set for plan, provision or a profile: the values that DualCam needs come first, added where missing.

    Takes what `validate` takes, or its result. Another value for one of those is refused, and so are the SMS
    credentials. Raises ParameterErrors with every fault at once.
    """
    values, errors = _read(parameters, raw, catalogue)
    for number in CREDENTIALS & (values.keys() | _ids(errors)):
        errors[str(number)] = [
            gettext(
                "The SMS login and password are set alone, in an SMS of their own: not in a profile or plan."
            )
        ]
    for number, wanted in REQUIRED.items():
        if values.get(number, wanted) != wanted:
            text = gettext(
                "%(name)s must be %(wanted)s for DualCam, not %(value)s. Leave it out.",
                name=gettext(catalogue[number].name), wanted=wanted, value=values[number],
            )  # fmt: skip
            errors[str(number)] = [text]
    if errors:
        raise ParameterErrors(errors)
    return {**REQUIRED, **values}


def _read(
    parameters: Mapping[Any, Any], raw: bool, catalogue: Mapping[int, Parameter]
) -> tuple[dict[int, int | str], dict[str, list[str]]]:
    if not isinstance(parameters, Mapping):
        raise ParameterErrors(
            {"parameters": [gettext("Give an object of parameter id and value, like {66000: 3}.")]}
        )
    given, errors = _by_id(parameters)
    known = {name: catalogue.get(int(name)) for name in given}
    schema_fields: dict[str, Any] = {
        name: _ParameterField(row) for name, row in known.items() if row is not None or raw
    }
    schema = _SetSchema.from_dict(schema_fields)(unknown=RAISE)
    try:
        loaded = schema.load(given)
    except ValidationError as refused:
        loaded = refused.valid_data if isinstance(refused.valid_data, dict) else {}
        for name, texts in refused.messages_dict.items():
            # those that a class declares are not translated yet
            errors.setdefault(str(name), []).extend(gettext(text) for text in texts)
    return {int(name): loaded[name] for name in given if name in loaded and name not in errors}, errors


def _by_id(parameters: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, list[str]]]:
    given: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for key, value in parameters.items():
        name = str(key)
        if isinstance(key, bool) or not isinstance(key, int | str) or not _ID.fullmatch(name):
            errors[name[:40]] = [
                gettext("A parameter id is a whole number of 1 to 8 digits that does not begin with 0.")
            ]
        elif name in given:
            errors[name] = [gettext("This parameter is given twice.")]
        else:
            given[name] = value
    return given, errors


def _check_credentials(present: set[int], errors: dict[str, list[str]]) -> None:
    credentials = CREDENTIALS & present
    if credentials and present != CREDENTIALS:
        for number in sorted(credentials):
            errors.setdefault(str(number), []).append(
                gettext(
                    "%(login)s (login) and %(password)s (password) are set together and alone: both of them and"
                    " nothing else.",
                    login=id_of("sms_login"),
                    password=id_of("sms_password"),
                )
            )


def _ids(errors: Mapping[str, Any]) -> set[int]:
    return {int(name) for name in errors if _ID.fullmatch(name)}
