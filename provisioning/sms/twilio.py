"""Twilio as the SMS gateway: the only module that knows Twilio's client, field names, status texts and error codes.

Source: Twilio's Messages API, its pages on webhooks and their signatures, and its error dictionary.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from werkzeug import Request

from provisioning.core.config import Config
from provisioning.core.errors import Forbidden, GatewayError
from provisioning.core.prices import Price, read_price
from provisioning.core.sms_capabilities import Capabilities
from provisioning.models import DeliveryStatus
from provisioning.phrase import Phrase
from provisioning.sms.connection_errors import never_connected
from provisioning.sms.gateway import (
    Accepted,
    Acknowledgement,
    DeliveryReport,
    ErrorDescription,
    InboundSms,
    ListedSms,
    OutgoingSms,
)

NAME = "twilio"
TIMEOUT_SECONDS = 30.0
STATUS_PATH = f"/webhooks/{NAME}/status"
PAGE = 200
VALIDITY_SECONDS = 36_000  # the longest validity period that Twilio takes
ERROR_CODE = re.compile(r"[0-9]{1,9}")
MESSAGE_ID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
# what Twilio's client raises where an answer is no JSON, or not the JSON it expects
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
STATUSES = {
    "accepted": DeliveryStatus.QUEUED,
    "scheduled": DeliveryStatus.QUEUED,
    "queued": DeliveryStatus.QUEUED,
    "sending": DeliveryStatus.QUEUED,
    "sent": DeliveryStatus.SENT,
    "delivered": DeliveryStatus.DELIVERED,
    "read": DeliveryStatus.DELIVERED,
    "undelivered": DeliveryStatus.UNDELIVERED,
    "failed": DeliveryStatus.FAILED,
    "canceled": DeliveryStatus.CANCELED,
}


def _phrase(code: str, **arguments: str) -> Phrase:
    return Phrase(code, {"gateway": "Twilio", **arguments})


# Twilio's code → permanent, and what gateway_words says of it
ERRORS: dict[int, tuple[bool, Phrase]] = {
    20003: (True, _phrase("account_refused", settings="TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN")),
    20404: (True, _phrase("account_unknown", settings="TWILIO_ACCOUNT_SID")),
    20429: (False, _phrase("asked_too_often")),
    21211: (True, _phrase("recipient_invalid")),
    21212: (True, _phrase("sender_refused", settings="TWILIO_FROM")),
    21408: (True, _phrase("country_not_allowed")),
    21602: (True, _phrase("no_text")),
    21604: (True, _phrase("no_recipient")),
    21606: (True, _phrase("sender_cannot_reach_country", settings="TWILIO_FROM")),
    21610: (True, _phrase("opted_out")),
    21611: (False, _phrase("sender_queue_full")),
    21614: (True, _phrase("recipient_without_sms")),
    21617: (True, _phrase("gateway_text_too_long")),
    21660: (True, _phrase("sender_of_other_account", settings="TWILIO_FROM")),
    30001: (False, _phrase("gateway_queue_full")),
    30002: (True, _phrase("account_suspended")),
    30003: (False, _phrase("device_unreachable")),
    30004: (True, _phrase("carrier_blocks")),
    30005: (True, _phrase("number_unknown")),
    30006: (True, _phrase("sim_without_sms")),
    30007: (False, _phrase("carrier_filtered")),
    30008: (False, _phrase("carrier_gave_no_reason")),
    30036: (False, _phrase("too_late")),
}


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


class TwilioGateway:
    """One Twilio account and sender."""

    name = NAME
    title = "Twilio"
    account_settings = ("TWILIO_ACCOUNT_SID", "TWILIO_FROM", "TWILIO_MESSAGING_SERVICE_SID")
    acknowledgement = Acknowledgement(
        '<?xml version="1.0" encoding="UTF-8"?><Response></Response>', "text/xml"
    )

    def __init__(self, config: Config) -> None:
        self._config = config
        self.sender = config.twilio_from or config.twilio_messaging_service_sid or ""
        self.capabilities = Capabilities(
            # Twilio itself trims them; another service behind TWILIO_API_BASE_URL may not
            keeps_leading_spaces=config.sms_keeps_leading_spaces,
            figure_space=config.sms_figure_space,
            lists_messages=True,
            delivery_reports=True,
            balance=True,
            message_ids=True,
            validity_limit=VALIDITY_SECONDS,
        )
        self._client = Client(
            config.twilio_account_sid,
            config.twilio_auth_token,
            http_client=_HttpClient(config.twilio_api_base_url),
        )
        self._validator = RequestValidator(config.twilio_auth_token)

    def send(self, sms: OutgoingSms) -> Accepted:
        """Hand over one SMS. Raises GatewayError."""
        try:
            made = self._client.messages.create(**self._options(sms))
        except TwilioRestException as error:
            raise _refused(error) from error
        except requests.exceptions.RequestException as error:
            raise (_unreachable() if never_connected(error) else _unclear()) from error
        except (TwilioException, *UNREADABLE) as error:
            raise _unclear() from error
        return Accepted(str(made.sid), STATUSES.get(str(made.status), DeliveryStatus.QUEUED))

    def _options(self, sms: OutgoingSms) -> dict[str, Any]:
        config = self._config
        options: dict[str, Any] = {
            "to": sms.recipient,
            "body": sms.text,
            "status_callback": f"{config.public_url}{STATUS_PATH}?message={sms.message_id}",
        }
        if sms.validity is not None:
            options["validity_period"] = sms.validity
        if config.twilio_from:
            options["from_"] = config.twilio_from
        else:
            options["messaging_service_sid"] = config.twilio_messaging_service_sid
        if config.sms_figure_space:
            options["smart_encoded"] = True
        return options

    def messages(self, since: datetime, *, to: str | None = None) -> Iterator[InboundSms | ListedSms]:
        """List messages created since then, both ways, newest first. Raises GatewayError."""
        filters: dict[str, Any] = {"date_sent_after": since.date()} if to is None else {"to": to}
        try:
            for found in self._client.messages.stream(page_size=PAGE, **filters):
                created = found.date_created or found.date_sent
                if created is not None and created < since:
                    break
                yield _listed(found, created)
        except TwilioRestException as error:
            raise _refused(error) from error
        except (requests.exceptions.RequestException, TwilioException) as error:
            raise _unreachable() from error
        except UNREADABLE as error:
            raise GatewayError("gateway_unreadable", _phrase("other_answered"), permanent=False) from error

    def balance(self) -> Price:
        """Ask what money the account has left. Raises GatewayError; Twilio gives it for main accounts only."""
        try:
            found = self._client.api.v2010.account.balance.fetch()
            return Price(Decimal(str(found.balance)), str(found.currency))
        except TwilioRestException as error:
            why = ERRORS[20003][1] if error.code == 20003 else _phrase("no_balance_of_account")
            raise GatewayError("gateway_tells_no_balance", why, permanent=True) from error
        except (requests.exceptions.RequestException, TwilioException) as error:
            raise GatewayError(
                "gateway_unreachable", _phrase("named_unreachable_now"), permanent=False
            ) from error
        except (ArithmeticError, *UNREADABLE) as error:
            raise GatewayError(
                "gateway_unreadable", _phrase("other_answered_now"), permanent=False
            ) from error

    def verify(self, request: Request) -> None:
        """Let nothing pass that Twilio did not sign for our public address, or that is not about our account.

        The signed text has no separators between names and values: a message id of the right form shows that they
        were not split in another way to have one text taken twice. Raises Forbidden.
        """
        query = f"?{request.query_string.decode('latin-1')}" if request.query_string else ""
        url = f"{self._config.public_url}{request.path}{query}"
        signature = request.headers.get("X-Twilio-Signature", "")
        if not signature or not self._validator.validate(url, request.form, signature):
            raise Forbidden("The signature is missing or wrong.", code="bad_signature")
        ours = request.form.get("AccountSid") == self._config.twilio_account_sid
        if not ours or not MESSAGE_ID.fullmatch(request.form.get("MessageSid", "")):
            raise Forbidden("This is not about a message of this account.", code="not_ours")

    def read_inbound(self, request: Request) -> Sequence[InboundSms]:
        """Read the text in a verified webhook; a picture without text has an empty one."""
        form = request.form
        return [
            InboundSms(
                gateway=NAME,
                gateway_id=form["MessageSid"],
                sender=form.get("From", ""),
                recipient=form.get("To", ""),
                text=form.get("Body", ""),
            )
        ]

    def read_reports(self, request: Request) -> Sequence[DeliveryReport]:
        """Read the report in a verified webhook; our own id stands in the address that we asked it to be sent to."""
        form = request.form
        word = form.get("MessageStatus") or form.get("SmsStatus") or ""
        return [_report(form["MessageSid"], word, form.get("ErrorCode"), request.args.get("message"))]

    def describe(self, error_code: str | None) -> ErrorDescription:
        """Say what an error code of Twilio means; unknown codes are passing and named."""
        if error_code is None:
            return ErrorDescription(False, _phrase("undelivered_by_named"))
        number = int(error_code) if ERROR_CODE.fullmatch(error_code) else 0
        return ErrorDescription(*ERRORS.get(number, (False, _phrase("error_of_gateway", error=error_code))))


def _listed(found: Any, created: datetime | None) -> InboundSms | ListedSms:
    sid, text = str(found.sid), str(found.body or "")
    if str(found.direction) == "inbound":
        return InboundSms(NAME, sid, str(found.from_ or ""), str(found.to or ""), text, created)
    report = _report(sid, str(found.status or ""), str(found.error_code or ""), None)
    return ListedSms(report, str(found.to or ""), text, created, _price(found))


def _price(found: Any) -> Price | None:
    """Read what a message cost; Twilio writes it as a negative amount, some time after the message was sent."""
    return read_price(f"{str(found.price or '').lstrip('-')} {found.price_unit or ''}")


def _report(sid: str, word: str, error_code: str | None, our_id: str | None) -> DeliveryReport:
    word = word.lower()
    code = error_code if error_code and error_code != "0" else None
    return DeliveryReport(NAME, sid, our_id, STATUSES.get(word), word, code)


def _unreachable() -> GatewayError:
    return GatewayError("gateway_unreachable", _phrase("named_unreachable"), permanent=False)


def _unclear() -> GatewayError:
    return GatewayError("gateway_unclear", _phrase("looked_up"), permanent=False, sent="unknown")


def _refused(error: TwilioRestException) -> GatewayError:
    if error.status >= 500:
        return _unclear()
    if error.status == 429 or error.code in (20429, 14107):
        return GatewayError("20429", ERRORS[20429][1], permanent=False)
    if error.code in ERRORS:
        permanent, why = ERRORS[error.code]
        return GatewayError(str(error.code), why, permanent=permanent)
    code = str(error.code or error.status)
    return GatewayError(code, _phrase("refused_by_gateway", error=code, words=str(error.msg)), permanent=True)
