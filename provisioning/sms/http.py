"""Any provider or router with an SMS API over HTTP as the SMS gateway: its field names are settings (docs/sms.md).

It lists no messages: what it did not say stays unknown until a reply or a delivery report decides.
"""

import base64
import hashlib
import hmac
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import requests
from werkzeug import Request

from provisioning.core.config import Config
from provisioning.core.errors import Forbidden, GatewayError, Invalid
from provisioning.core.prices import Price
from provisioning.core.sms_capabilities import Capabilities
from provisioning.models import DeliveryStatus, utcnow
from provisioning.phrase import Phrase
from provisioning.sms import http_fields, http_request
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
from provisioning.sms.http_fields import Fields
from provisioning.translation import N_

NAME = "http"
LARGEST_ANSWER = 64 * 1024
CHUNK = 4096
LONGEST_ID = 64
VALIDITY_SECONDS = 36_000  # the longest that any command waits for its reply
CLOCK_OFF = timedelta(days=2)  # a text is not older when it comes; a router's clock may be wrong
NOT_PROCESSED = (408, 425, 429)  # answers that say "later" and were not acted upon
CODES_OF_REFUSALS = {  # by the status of the answer: what gateway_words says of it
    401: "refused_login",
    403: "refused_login",
    404: "refused_url",
    405: "refused_method",
}
CODE = re.compile(r"[A-Za-z0-9._+-]{1,48}")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes

    @property
    def fields(self) -> Fields:
        return Fields(http_fields.parse(self.body))


class HttpGateway:
    """One account of a provider, or one router, as SMS_HTTP_… describe it."""

    name = NAME
    title = N_("SMS provider or router over HTTP")
    account_settings = ("SMS_HTTP_URL", "SMS_HTTP_FROM")
    acknowledgement = Acknowledgement("OK", "text/plain")

    def __init__(self, config: Config) -> None:
        assert config.sms_http is not None
        self._config = config.sms_http
        self.sender = self._config.sender
        self.capabilities = Capabilities(
            keeps_leading_spaces=config.sms_keeps_leading_spaces,
            delivery_reports=bool(self._config.status_fields),
            message_ids=bool(self._config.id_field),
            validity_limit=VALIDITY_SECONDS if self._config.uses("validity") else None,
        )

    def send(self, sms: OutgoingSms) -> Accepted:
        """Hand over one SMS by one request. Raises GatewayError."""
        request = http_request.prepare(self._config, sms)
        try:
            answer = self._ask(request)
        except requests.exceptions.RequestException as error:
            raise (_unreachable() if never_connected(error) else _unclear()) from error
        return self._judge(answer)

    def _ask(self, request: requests.Request) -> _Answer:
        """Ask once, follow no redirect, and read a bounded answer within a bounded time.

        Raises RequestException. Proxies and additional authorities come from the environment as everywhere; a .netrc
        is not read.
        """
        deadline = time.monotonic() + self._config.timeout
        request.auth = lambda prepared: prepared
        with requests.Session() as session:
            prepared = session.prepare_request(request)
            settings = session.merge_environment_settings(prepared.url or "", {}, True, None, None)
            with session.send(
                prepared, timeout=self._config.timeout, allow_redirects=False, **settings
            ) as response:
                body = b""
                for chunk in response.iter_content(CHUNK):
                    body += chunk
                    if len(body) > LARGEST_ANSWER or time.monotonic() > deadline:
                        raise requests.exceptions.Timeout("the answer is too long, or takes too long")
                return _Answer(response.status_code, body)

    def _judge(self, answer: _Answer) -> Accepted:
        """Read an answer. Raises GatewayError; what is neither a clear yes nor a clear no is unclear."""
        fields = answer.fields
        code = _code(fields.get(self._config.error_field))
        if 200 <= answer.status < 300:
            return self._judge_success(answer, fields, code)
        shown = code or str(answer.status)
        if {code, str(answer.status)} & self._config.permanent_errors:
            raise _refused(shown, permanent=True, status=answer.status)
        if answer.status in NOT_PROCESSED or {code, str(answer.status)} & self._config.passing_errors:
            raise _refused(shown, permanent=False)
        if 400 <= answer.status < 500:
            raise _refused(shown, permanent=True, status=answer.status)
        if 300 <= answer.status < 400:
            raise _unclear("never_known_redirect")
        raise _unclear()

    def _judge_success(self, answer: _Answer, fields: Fields, code: str | None) -> Accepted:
        config = self._config
        gateway_id = _bounded(fields.get(config.id_field))
        if not config.accepted:
            if gateway_id is not None:
                return Accepted(gateway_id)
            if code is not None:
                raise _refused(code, permanent=code not in config.passing_errors)
            raise _unclear("never_known_without_id")
        if config.accepted_field is None:
            return self._judge_text(answer.body.decode("utf-8", "replace").strip(), gateway_id)
        word = fields.get(config.accepted_field)
        if word in config.accepted:
            return Accepted(gateway_id)
        if word is None:
            raise _unclear("never_known_without_word")
        known = code or _code(word) or "refused"
        raise _refused(known, permanent=not {known, word} & config.passing_errors)

    def _judge_text(self, text: str, gateway_id: str | None) -> Accepted:
        """Read an answer by how it begins; an error must be one that the settings name, for it may be any page."""
        if text.startswith(self._config.accepted):
            return Accepted(gateway_id)
        for code in sorted(
            self._config.passing_errors | self._config.permanent_errors, key=len, reverse=True
        ):
            if text.startswith(code):
                raise _refused(code, permanent=code in self._config.permanent_errors)
        raise _unclear("never_known_without_begin")

    def messages(self, since: datetime, *, to: str | None = None) -> Iterator[InboundSms | ListedSms]:
        """List nothing: raises GatewayError, so that an empty list is not taken for the truth."""
        raise GatewayError("gateway_lists_nothing", Phrase("no_list"), permanent=True)

    def balance(self) -> Price:
        """Raise GatewayError: no setting says how this gateway is asked."""
        raise GatewayError("gateway_tells_no_balance", Phrase("no_balance"), permanent=True)

    def verify(self, request: Request) -> None:
        """Let nothing pass without the shared secret, or a signature over the body that was made with it.

        Raises Forbidden.
        """
        given, secret = self._proof(request), self._config.webhook_secret.encode()
        expected = [secret]
        if self._config.webhook_auth == "hmac-sha256":
            digest = hmac.new(secret, request.get_data(), hashlib.sha256).digest()
            expected = [digest.hex().encode(), b"sha256=" + digest.hex().encode(), base64.b64encode(digest)]
        if not any(hmac.compare_digest(given.encode(), one) for one in expected):
            raise Forbidden("The secret or signature is missing or wrong.", code="bad_signature")

    def _proof(self, request: Request) -> str:
        name = self._config.webhook_name
        if self._config.webhook_auth != "field":
            return request.headers.get(name, "")
        try:
            return Fields(http_fields.fields_of(request).document).get(name) or ""
        except Invalid:
            return ""

    def read_inbound(self, request: Request) -> Sequence[InboundSms]:
        """Read the texts in a verified webhook. Raises Invalid where a sender or a text is missing."""
        names = self._config.inbound_fields
        found = http_fields.fields_of(request).each(names.get("list"))
        return [
            InboundSms(
                gateway=NAME,
                gateway_id=_bounded(one.get(names.get("id"))),
                sender=_number(_required(one, names["from"])),
                recipient=_number(one.get(names.get("to")) or self.sender),
                text=_required(one, names["text"], empty=True),
                at=_moment(one.get(names.get("at")), utcnow()),
            )
            for one in found
        ]

    def read_reports(self, request: Request) -> Sequence[DeliveryReport]:
        """Read the delivery reports in a verified webhook. Raises Invalid where a field is missing."""
        names = self._config.status_fields
        if not names:
            raise Invalid("Delivery reports are not set up.", errors={"SMS_HTTP_STATUS_FIELDS": ["Not set."]})
        found = http_fields.fields_of(request).each(names.get("list"))
        return [self._report(one) for one in found]

    def _report(self, fields: Fields) -> DeliveryReport:
        names = self._config.status_fields
        word = _required(fields, names["status"])
        status = self._config.status_words.get(word.lower())
        gateway_id, our_id = _bounded(fields.get(names.get("id"))), fields.get(names.get("our_id"))
        if not gateway_id and not our_id:
            where = names.get("id") or names.get("our_id") or ""
            raise Invalid("The report names no SMS.", errors={where: ["Required."]})
        return DeliveryReport(
            gateway=NAME,
            gateway_id=gateway_id,
            our_id=our_id[:32] if our_id else None,
            status=DeliveryStatus(status) if status else None,
            gateway_status=word[:32],
            error_code=_code(fields.get(names.get("error"))),
        )

    def describe(self, error_code: str | None) -> ErrorDescription:
        """Say what an error code of a delivery report means: passing, unless the settings call it permanent."""
        if error_code is None:
            return ErrorDescription(False, Phrase("undelivered"))
        permanent = error_code in self._config.permanent_errors
        return ErrorDescription(permanent, Phrase("undelivered_with_error", {"error": error_code}))


def _required(fields: Fields, path: str, *, empty: bool = False) -> str:
    found = fields.get(path)
    if found is None or (not found and not empty):
        raise Invalid(f"The field {path} is missing.", errors={path: ["Required."]})
    return found


def _number(text: str) -> str:
    """Give a phone number in its international form, where the gateway writes it without its plus; names stay."""
    bare = re.sub(r"[ ()/.-]", "", text)
    if bare.startswith("00"):
        bare = bare[2:]
    if re.fullmatch(r"[1-9][0-9]{7,14}", bare):
        return f"+{bare}"
    return bare if re.fullmatch(r"\+[0-9]+", bare) else text


def _bounded(gateway_id: str | None) -> str | None:
    """Give an id as our rows can keep it; a longer one by its hash, which is as much its own."""
    if not gateway_id:
        return None
    return gateway_id if len(gateway_id) <= LONGEST_ID else hashlib.sha256(gateway_id.encode()).hexdigest()


def _code(text: str | None) -> str | None:
    """Give an error code as it may be stored and shown: an answer may repeat the SMS, which holds credentials."""
    return text if text and text != "0" and CODE.fullmatch(text) else None


def _moment(text: str | None, now: datetime) -> datetime | None:
    """Read a time; one without a zone, or far from now, says nothing."""
    if not text:
        return None
    try:
        if re.fullmatch(r"\d{10}(\.\d+)?|\d{13}", text):
            seconds = float(text) / (1000 if len(text) == 13 and "." not in text else 1)
            moment = datetime.fromtimestamp(seconds, UTC)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    if moment.tzinfo is None or abs(now - moment) > CLOCK_OFF:
        return None
    return moment.astimezone(UTC)


def _refused(code: str, *, permanent: bool, status: int = 0) -> GatewayError:
    said = CODES_OF_REFUSALS.get(status, "refused_for_good") if permanent else "refused_passing"
    return GatewayError(code[:48], Phrase(said, {"error": code}), permanent=permanent)


def _unreachable() -> GatewayError:
    return GatewayError("gateway_unreachable", Phrase("unreachable"), permanent=False)


def _unclear(code: str = "never_known") -> GatewayError:
    return GatewayError("gateway_unclear", Phrase(code), permanent=False, sent="unknown")
