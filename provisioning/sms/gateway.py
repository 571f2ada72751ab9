"""The SMS gateway: Twilio's official client, and nobody else's business.

Sends one SMS, lists messages, checks signatures, and turns Twilio's errors into ours. Keeps no state and
writes no row. Source: Twilio's Messages API; error codes of its error dictionary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from flask import Flask, current_app
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client

from provisioning.core.config import Config
from provisioning.core.errors import GatewayError, Unavailable

TIMEOUT_SECONDS = 30.0
STATUS_PATH = "/webhooks/twilio/status"
PAGE = 200
# what Twilio's client raises where an answer is no JSON, or not the JSON it expects
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Sent:
    """What the gateway said to a new message."""

    sid: str
    status: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as the gateway lists it; `inbound` by its direction."""

    sid: str
    inbound: bool
    sender: str
    recipient: str
    body: str
    status: str
    error_code: str | None
    created_at: datetime | None


# code → permanent, and a sentence that says what to do
ERRORS: dict[int, tuple[bool, str]] = {
    20003: (
        True,
        "Twilio refused the account SID or auth token: check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
    ),
    20404: (True, "Twilio does not know this account or message: check TWILIO_ACCOUNT_SID."),
    20429: (False, "Twilio is asked too often; it is tried again by itself."),
    21211: (True, "The phone number is not one that Twilio can send to: correct it at the device."),
    21212: (True, "Twilio does not accept the sender number: check TWILIO_FROM."),
    21408: (
        True,
        "The Twilio account may not send to this country: allow it in Twilio's geographic permissions.",
    ),
    21602: (True, "The SMS had no text."),
    21604: (True, "The SMS had no recipient: check the device's phone number."),
    21606: (True, "The sender number cannot send SMS to this country: check TWILIO_FROM."),
    21610: (True, "The recipient opted out of this sender (STOP): it must send START first."),
    21611: (False, "The sender's queue at Twilio is full; it is tried again by itself."),
    21614: (True, "The phone number cannot receive SMS: correct it at the device."),
    21617: (True, "The SMS is too long."),
    21660: (True, "The sender number does not belong to this Twilio account: check TWILIO_FROM."),
    30001: (False, "Twilio's queue overflowed: send it again later."),
    30002: (True, "The Twilio account is suspended: see Twilio's console."),
    30003: (False, "The device is switched off or out of coverage: try again when the vehicle is awake."),
    30004: (True, "The carrier blocks SMS to this number: ask the SIM's provider."),
    30005: (True, "The number is unknown: check the phone number and the SIM."),
    30006: (
        True,
        "The SIM cannot receive SMS (a data-only SIM?): ask its provider to allow SMS, or change it.",
    ),
    30007: (False, "The carrier filtered the SMS: try again; if it stays so, ask Twilio."),
    30008: (False, "The carrier did not deliver it and gave no reason: try again later."),
    30036: (
        False,
        "It could not be delivered in time: the device was probably asleep or out of coverage. "
        "An SMS already at the carrier may still arrive.",
    ),
}


def explain(code: int | str | None) -> tuple[bool, str]:
    """Give whether an error code is permanent, and a sentence; unknown codes are passing and named."""
    number = int(str(code)) if str(code or "").isdigit() else 0
    return ERRORS.get(number, (False, f"Twilio reports error {code}: see its error dictionary."))


class _HttpClient(TwilioHttpClient):
    """Twilio's client with another base address where one is configured; logs no bodies, repeats nothing."""

    def __init__(self, base_url: str | None) -> None:
        super().__init__(timeout=TIMEOUT_SECONDS, max_retries=None)
        self._base = urlsplit(base_url) if base_url else None

    def log_request(self, kwargs: Any) -> None:
        """Log nothing: a body holds credentials."""

    def log_response(self, status_code: int, response: Any) -> None:
        """Log nothing."""

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if self._base:
            asked = urlsplit(url)
            path = self._base.path.rstrip("/") + asked.path
            url = urlunsplit((self._base.scheme, self._base.netloc, path, asked.query, ""))
        return super().request(method, url, *args, **kwargs)


class Gateway:
    """One Twilio account and sender."""

    def __init__(self, config: Config) -> None:
        assert config.gateway_configured
        self._config = config
        self._client = Client(
            config.twilio_account_sid,
            config.twilio_auth_token,
            http_client=_HttpClient(config.twilio_api_base_url),
        )
        self._validator = RequestValidator(config.twilio_auth_token)

    def send(self, to: str, text: str, message_id: str, validity: int) -> Sent:
        """Hand over one SMS; `message_id` comes back in every status callback, `validity` in seconds.

        Raises GatewayError: sent "no" or "unknown", permanent or not.
        """
        config = self._config
        options: dict[str, Any] = {
            "to": to,
            "body": text,
            "status_callback": f"{config.public_url}{STATUS_PATH}?message={message_id}",
            "validity_period": validity,
        }
        if config.twilio_from:
            options["from_"] = config.twilio_from
        else:
            options["messaging_service_sid"] = config.twilio_messaging_service_sid
        if config.sms_figure_space:
            options["smart_encoded"] = True
        try:
            made = self._client.messages.create(**options)
        except TwilioRestException as error:
            raise _refused(error) from error
        except requests.exceptions.ConnectTimeout as error:
            raise _unreachable() from error
        except requests.exceptions.ConnectionError as error:
            # refused or not found: nothing left this machine; a line that broke later may have carried it
            raise (_unreachable() if _never_connected(error) else _unknown()) from error
        except (requests.exceptions.RequestException, TwilioException, *UNREADABLE) as error:
            raise _unknown() from error
        return Sent(str(made.sid), str(made.status or "queued"))

    def messages(self, since: datetime, *, to: str | None = None) -> Iterator[Seen]:
        """List messages created since then, both ways, newest first. Raises GatewayError."""
        filters: dict[str, Any] = {"date_sent_after": since.date()} if to is None else {"to": to}
        try:
            for found in self._client.messages.stream(page_size=PAGE, **filters):
                created = found.date_created or found.date_sent
                if created is not None and created < since:
                    break
                yield Seen(
                    sid=str(found.sid),
                    inbound=str(found.direction) == "inbound",
                    sender=str(found.from_ or ""),
                    recipient=str(found.to or ""),
                    body=str(found.body or ""),
                    status=str(found.status or ""),
                    error_code=str(found.error_code) if found.error_code else None,
                    created_at=created,
                )
        except TwilioRestException as error:
            raise _refused(error) from error
        except (requests.exceptions.RequestException, TwilioException) as error:
            raise _unreachable() from error
        except UNREADABLE as error:
            raise GatewayError(
                "gateway_unreadable",
                "Something else than Twilio answered, perhaps a proxy; it is tried again by itself.",
                permanent=False,
            ) from error

    def genuine(self, url: str, params: Mapping[str, Any], signature: str) -> bool:
        """Say whether Twilio signed this webhook: the public URL with its query, and all parameters."""
        return bool(signature) and bool(self._validator.validate(url, params, signature))


def _never_connected(error: requests.exceptions.ConnectionError) -> bool:
    text = repr(error)
    return "NewConnectionError" in text or "NameResolutionError" in text or "ConnectTimeoutError" in text


def _unreachable() -> GatewayError:
    return GatewayError(
        "gateway_unreachable", "Twilio cannot be reached; it is tried again by itself.", permanent=False
    )


def _unknown() -> GatewayError:
    return GatewayError(
        "gateway_unclear",
        "Twilio did not say whether the SMS went out; it is being looked up.",
        permanent=False,
        sent="unknown",
    )


def _refused(error: TwilioRestException) -> GatewayError:
    if error.status >= 500:
        return _unknown()
    if error.status == 429 or error.code in (20429, 14107):
        return GatewayError("20429", ERRORS[20429][1], permanent=False)
    if error.code in ERRORS:
        permanent, sentence = ERRORS[error.code]
        return GatewayError(str(error.code), sentence, permanent=permanent)
    return GatewayError(
        str(error.code or error.status),
        f"Twilio refused the SMS (error {error.code or error.status}): {error.msg}",
        permanent=True,
    )


def init_app(app: Flask, config: Config) -> None:
    """Attach the gateway to the app, where one is configured."""
    app.extensions["dualcam_gateway"] = Gateway(config) if config.gateway_configured else None


def gateway() -> Gateway:
    """Give the current app's gateway. Raises Unavailable where none is configured."""
    found = current_app.extensions["dualcam_gateway"]
    if found is None:
        raise Unavailable(
            "No SMS gateway is configured: set TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN and TWILIO_FROM.",
            code="gateway_not_configured",
        )
    return found
