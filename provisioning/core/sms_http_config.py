"""The settings of the HTTP SMS gateway, for any provider or router with an SMS API: read and checked for `config`.

docs/sms.md explains them for people. A template holds placeholders such as {to}; a path such as `messages.0.id` names
a value in JSON.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from marshmallow.validate import OneOf

PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")
PLACEHOLDERS = ("to", "to_digits", "from", "from_digits", "text", "id", "validity")
HEADER_PLACEHOLDERS = ("to", "to_digits", "from", "from_digits", "id")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
OWN_HEADERS = {"content-length", "transfer-encoding", "connection", "host"}  # those are made from the request
NUMBER = re.compile(r"\+?[0-9]{3,15}")
INBOUND_FIELDS = ("from", "to", "text", "id", "at", "list")
STATUS_FIELDS = ("id", "our_id", "status", "error", "list")
STATUSES = ("queued", "sent", "delivered", "undelivered", "failed", "canceled")
WEBHOOK_NAMES = {"header": "X-Webhook-Secret", "field": "secret", "hmac-sha256": "X-Signature"}

Wrong = Callable[[str, str], None]


class Reader(Protocol):
    """Reads one variable by name and type."""

    def text(self, name: str, default: str | None = None, **options: Any) -> Any:
        """Give a text."""

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Give a list of words, separated by commas."""

    def number(self, name: str, default: float, low: float, high: float) -> Any:
        """Give a number within bounds."""


@dataclass(frozen=True, slots=True)
class HttpSmsConfig:
    """How the HTTP gateway is asked, how its answers are read, and how its webhooks are proved and read."""

    # the request
    url: str = field(repr=False)
    method: str
    headers: Mapping[str, str] = field(repr=False)
    encoding: str  # json, form or query
    # JSON; of form and query an object of texts; None: all stands in the address
    body: Any = field(repr=False)
    sender: str
    timeout: float
    # its answer
    accepted: tuple[str, ...]
    accepted_field: str | None  # None: the whole answer, by how it begins
    id_field: str | None
    error_field: str | None
    passing_errors: frozenset[str]
    permanent_errors: frozenset[str]
    # webhooks
    webhook_auth: str  # header, field or hmac-sha256
    webhook_name: str  # of the header or field
    webhook_secret: str = field(repr=False)
    inbound_fields: Mapping[str, str] = field(default_factory=dict)
    status_fields: Mapping[str, str] = field(default_factory=dict)  # empty: no delivery reports
    status_words: Mapping[str, str] = field(default_factory=dict)  # in lower case

    def uses(self, *placeholders: str) -> bool:
        """Say whether the request holds one of these placeholders."""
        return bool(_placeholders(self.url, self.body, dict(self.headers)) & set(placeholders))


def read(env: Reader) -> dict[str, Any]:
    """Read the variables as they are."""
    return {
        "SMS_HTTP_URL": env.text("SMS_HTTP_URL"),
        "SMS_HTTP_METHOD": env.text("SMS_HTTP_METHOD", "POST", validate=OneOf(["POST", "GET", "PUT"])),
        "SMS_HTTP_HEADERS": env.text("SMS_HTTP_HEADERS"),
        "SMS_HTTP_ENCODING": env.text("SMS_HTTP_ENCODING", "json", validate=OneOf(["json", "form", "query"])),
        "SMS_HTTP_BODY": env.text("SMS_HTTP_BODY"),
        "SMS_HTTP_FROM": env.text("SMS_HTTP_FROM"),
        # shorter than the lease of a command that is being sent
        "SMS_HTTP_TIMEOUT": env.number("SMS_HTTP_TIMEOUT", 30, 1, 60),
        "SMS_HTTP_ACCEPTED": env.words("SMS_HTTP_ACCEPTED"),
        "SMS_HTTP_ACCEPTED_FIELD": env.text("SMS_HTTP_ACCEPTED_FIELD"),
        "SMS_HTTP_ID_FIELD": env.text("SMS_HTTP_ID_FIELD"),
        "SMS_HTTP_ERROR_FIELD": env.text("SMS_HTTP_ERROR_FIELD"),
        "SMS_HTTP_PASSING_ERRORS": env.words("SMS_HTTP_PASSING_ERRORS"),
        "SMS_HTTP_PERMANENT_ERRORS": env.words("SMS_HTTP_PERMANENT_ERRORS"),
        "SMS_HTTP_WEBHOOK_AUTH": env.text(
            "SMS_HTTP_WEBHOOK_AUTH", "header", validate=OneOf(list(WEBHOOK_NAMES))
        ),
        "SMS_HTTP_WEBHOOK_NAME": env.text("SMS_HTTP_WEBHOOK_NAME"),
        "SMS_HTTP_WEBHOOK_SECRET": env.text("SMS_HTTP_WEBHOOK_SECRET"),
        "SMS_HTTP_INBOUND_FIELDS": env.text("SMS_HTTP_INBOUND_FIELDS"),
        "SMS_HTTP_STATUS_FIELDS": env.text("SMS_HTTP_STATUS_FIELDS"),
        "SMS_HTTP_STATUS_WORDS": env.text("SMS_HTTP_STATUS_WORDS"),
    }


def build(given: Mapping[str, Any], wrong: Wrong) -> HttpSmsConfig:
    """Make the configuration of what was read; `wrong` is called with the name and the reason for all that is."""
    auth = given["SMS_HTTP_WEBHOOK_AUTH"]
    config = HttpSmsConfig(
        url=given["SMS_HTTP_URL"] or "",
        method=given["SMS_HTTP_METHOD"],
        headers=_texts(given, "SMS_HTTP_HEADERS", wrong),
        encoding=given["SMS_HTTP_ENCODING"],
        body=_json(given, "SMS_HTTP_BODY", wrong),
        sender=given["SMS_HTTP_FROM"] or "",
        timeout=given["SMS_HTTP_TIMEOUT"],
        accepted=given["SMS_HTTP_ACCEPTED"],
        accepted_field=given["SMS_HTTP_ACCEPTED_FIELD"],
        id_field=given["SMS_HTTP_ID_FIELD"],
        error_field=given["SMS_HTTP_ERROR_FIELD"],
        passing_errors=frozenset(given["SMS_HTTP_PASSING_ERRORS"]),
        permanent_errors=frozenset(given["SMS_HTTP_PERMANENT_ERRORS"]),
        webhook_auth=auth,
        webhook_name=given["SMS_HTTP_WEBHOOK_NAME"] or WEBHOOK_NAMES.get(auth, ""),
        webhook_secret=given["SMS_HTTP_WEBHOOK_SECRET"] or "",
        inbound_fields=_texts(given, "SMS_HTTP_INBOUND_FIELDS", wrong),
        status_fields=_texts(given, "SMS_HTTP_STATUS_FIELDS", wrong),
        status_words={
            word.lower(): status for word, status in _texts(given, "SMS_HTTP_STATUS_WORDS", wrong).items()
        },
    )
    _check_request(config, wrong)
    _check_answers(config, wrong)
    _check_webhooks(config, wrong)
    return config


def _json(given: Mapping[str, Any], name: str, wrong: Wrong) -> Any:
    if not given[name]:
        return None
    try:
        return json.loads(given[name])
    except (ValueError, RecursionError) as error:
        wrong(name, f"Must be JSON: {error}.")
        return None


def _texts(given: Mapping[str, Any], name: str, wrong: Wrong) -> dict[str, str]:
    found = _json(given, name, wrong)
    if found is None:
        return {}
    if not _is_texts(found):
        wrong(name, 'Must be a JSON object of texts, such as {"name": "value"}.')
        return {}
    return dict(found)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _placeholders(value: Any, *more: Any) -> set[str]:
    """Give the names in braces in all texts of a template."""
    if more:
        return _placeholders(value).union(*(_placeholders(one) for one in more))
    if isinstance(value, str):
        return set(PLACEHOLDER.findall(value))
    if isinstance(value, dict):
        value = list(value.values())
    return set().union(*(_placeholders(one) for one in value)) if isinstance(value, list) else set()


def _check_request(config: HttpSmsConfig, wrong: Wrong) -> None:
    _check_url(config.url, wrong)
    _check_headers(config.headers, wrong)
    for name, template in (("SMS_HTTP_URL", config.url), ("SMS_HTTP_BODY", config.body)):
        for unknown in sorted(_placeholders(template) - set(PLACEHOLDERS)):
            wrong(name, f"There is no placeholder {{{unknown}}}; there are {_braces(PLACEHOLDERS)}.")
    if config.body is not None and config.encoding != "json" and not _is_texts(config.body):
        wrong("SMS_HTTP_BODY", f"Must be a JSON object of texts, because they are sent as {config.encoding}.")
    if config.method == "GET" and config.body is not None and config.encoding != "query":
        wrong("SMS_HTTP_ENCODING", "A GET has no body: query puts the fields into the address.")
    for names in (("to", "to_digits"), ("text",)):
        if config.url and not _placeholders(config.url, config.body) & set(names):
            wrong("SMS_HTTP_BODY", f"The request must name {_braces(names)}, here or in SMS_HTTP_URL.")
    if config.uses("from", "from_digits") and not config.sender:
        wrong("SMS_HTTP_FROM", "Required: the request names {from}.")
    if config.sender and not NUMBER.fullmatch(config.sender):
        wrong("SMS_HTTP_FROM", "Must be a number such as +12025550100: devices cannot answer a name.")


def _check_url(url: str, wrong: Wrong) -> None:
    if not url:
        return wrong("SMS_HTTP_URL", "Required with SMS_GATEWAY=http: the address that takes an SMS.")
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return wrong("SMS_HTTP_URL", "Must be an http or https address.")
    if not valid or parts.fragment or re.search(r"[\s\x00-\x1f]", url):
        wrong("SMS_HTTP_URL", "Must be an http or https address without blanks and fragment.")
    if PLACEHOLDER.search(parts.netloc):
        wrong("SMS_HTTP_URL", "Placeholders may stand after the host only.")
    if "@" in parts.netloc:
        wrong("SMS_HTTP_URL", "Put login and password into SMS_HTTP_HEADERS, as Authorization.")
    return None


def _check_headers(headers: Mapping[str, str], wrong: Wrong) -> None:
    for name, value in headers.items():
        if not HEADER_NAME.fullmatch(name) or name.lower() in OWN_HEADERS:
            wrong("SMS_HTTP_HEADERS", f"{name!r} cannot be set as a header.")
        if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value):
            wrong("SMS_HTTP_HEADERS", f"The value of {name} must be printable ASCII.")
        if _placeholders(value) - set(HEADER_PLACEHOLDERS):
            wrong("SMS_HTTP_HEADERS", f"In headers there are only {_braces(HEADER_PLACEHOLDERS)}.")


def _check_answers(config: HttpSmsConfig, wrong: Wrong) -> None:
    if not config.accepted and not config.id_field:
        wrong(
            "SMS_HTTP_ACCEPTED",
            "Required without SMS_HTTP_ID_FIELD: which answers mean that the SMS was taken.",
        )
    if config.accepted_field and not config.accepted:
        wrong("SMS_HTTP_ACCEPTED", "Required with SMS_HTTP_ACCEPTED_FIELD.")
    for code in sorted(config.passing_errors & config.permanent_errors):
        wrong("SMS_HTTP_PASSING_ERRORS", f"{code} also stands in SMS_HTTP_PERMANENT_ERRORS.")


def _check_webhooks(config: HttpSmsConfig, wrong: Wrong) -> None:
    if config.webhook_auth in ("header", "hmac-sha256") and not HEADER_NAME.fullmatch(config.webhook_name):
        wrong("SMS_HTTP_WEBHOOK_NAME", "Must be the name of a header.")
    _check_fields("SMS_HTTP_INBOUND_FIELDS", config.inbound_fields, INBOUND_FIELDS, ("from", "text"), wrong)
    if not config.status_fields:
        return
    _check_fields("SMS_HTTP_STATUS_FIELDS", config.status_fields, STATUS_FIELDS, ("status",), wrong)
    if "id" in config.status_fields and not config.id_field:
        wrong("SMS_HTTP_ID_FIELD", 'Required: SMS_HTTP_STATUS_FIELDS names "id".')
    if "our_id" in config.status_fields and not config.uses("id"):
        wrong("SMS_HTTP_BODY", 'The request must name {id}: SMS_HTTP_STATUS_FIELDS names "our_id".')
    if not {"id", "our_id"} & set(config.status_fields):
        wrong("SMS_HTTP_STATUS_FIELDS", 'Must name "id" or "our_id": which SMS a report is about.')
    if not config.status_words:
        wrong("SMS_HTTP_STATUS_WORDS", "Required with SMS_HTTP_STATUS_FIELDS: what the gateway's words mean.")
    for status in sorted(set(config.status_words.values()) - set(STATUSES)):
        wrong("SMS_HTTP_STATUS_WORDS", f"{status!r} is none of {', '.join(STATUSES)}.")


def _check_fields(
    name: str, fields: Mapping[str, str], known: tuple[str, ...], required: tuple[str, ...], wrong: Wrong
) -> None:
    for key in sorted(set(fields) - set(known)):
        wrong(name, f"There is no {key!r}; there are {', '.join(known)}.")
    for key in required:
        if not fields.get(key):
            wrong(name, f'Must say where "{key}" stands.')


def _braces(names: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)
