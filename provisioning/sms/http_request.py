"""The request that hands an SMS to an HTTP gateway: placeholders filled in, each encoded for where it stands.

Each value is encoded for where it stands (address, form, JSON text), so that no text can end its field and begin
another. Placeholders in what was filled in are not looked at.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import requests

from provisioning.core.sms_http_config import PLACEHOLDER, HttpSmsConfig
from provisioning.sms.gateway import OutgoingSms


def prepare(config: HttpSmsConfig, sms: OutgoingSms) -> requests.Request:
    """Make the request that hands over this SMS. It holds credentials: never log it."""
    values = _values(config, sms)
    url = PLACEHOLDER.sub(lambda found: quote(values[found[1]], safe=""), config.url)
    headers = {"Accept-Encoding": "identity"}
    headers |= {name: _fill(value, values) for name, value in config.headers.items()}
    data: bytes | None = None
    if config.body is not None:
        filled = _document(config.body, values)
        if config.encoding == "json":
            data, kind = json.dumps(filled).encode(), "application/json"
            headers = {"Content-Type": kind} | headers
        elif config.encoding == "form":
            data, kind = urlencode(filled, quote_via=quote).encode(), "application/x-www-form-urlencoded"
            headers = {"Content-Type": kind} | headers
        else:
            url += ("&" if "?" in url else "?") + urlencode(filled, quote_via=quote)
    return requests.Request(config.method, url, headers=headers, data=data)


def _values(config: HttpSmsConfig, sms: OutgoingSms) -> dict[str, str]:
    return {
        "to": sms.recipient,
        "to_digits": sms.recipient.lstrip("+"),
        "from": config.sender,
        "from_digits": config.sender.lstrip("+"),
        "text": sms.text,
        "id": sms.message_id,
        "validity": "" if sms.validity is None else str(sms.validity),
    }


def _fill(template: str, values: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda found: values[found[1]], template)


def _document(template: Any, values: Mapping[str, str]) -> Any:
    """Fill the texts of a JSON template, before it is encoded; "{validity}" alone becomes a number."""
    if isinstance(template, str):
        if template == "{validity}" and values["validity"]:
            return int(values["validity"])
        return _fill(template, values)
    if isinstance(template, dict):
        return {name: _document(value, values) for name, value in template.items()}
    if isinstance(template, list):
        return [_document(value, values) for value in template]
    return template
