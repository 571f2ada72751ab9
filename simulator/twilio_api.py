"""A stand-in for Twilio's Messages API: create, fetch, list, cancel, delete, callbacks and webhooks, error codes.

Stateful, in memory. Checked against Twilio's official description (tests/test_simulator_contract.py). Source of
behaviour: Twilio's Messages API; that leading blanks are trimmed: docs/sms.md.
"""

import itertools
import re
import secrets
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import requests
from flask import Blueprint, Response, jsonify, request
from twilio.request_validator import RequestValidator

from simulator.network import Network
from simulator.sms_gateway import WEBHOOK_SECONDS, Account, CarriedMessage, GatewayStandIn

PRICE = "0.00790"  # of one SMS, in US dollars
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
ERRORS = {
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    20429: (429, "Too Many Requests"),
    21211: (400, "Invalid 'To' Phone Number"),
    21212: (400, "Invalid From Number"),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The From phone number is not a valid, SMS-capable inbound phone number for your account."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
}


class TwilioError(Exception):
    """An error as Twilio answers it."""

    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code][1])
        self.code = code


class TwilioStandIn(GatewayStandIn):
    """The account, its messages, and the way to the product's webhooks."""

    name, real_setting, needs = "twilio", "TWILIO_ACCOUNT_SID", ("ident",)

    def __init__(self, account: Account, webhook: str | None, network: Network) -> None:
        super().__init__(account, webhook, network)
        self.account = account.ident
        self._validator = RequestValidator(account.token)
        self._count = itertools.count(1)

    @classmethod
    def settings(cls, address: str, account: Account) -> dict[str, str]:
        """Give the settings with which a service uses this stand-in."""
        return {
            "TWILIO_ACCOUNT_SID": account.ident,
            "TWILIO_AUTH_TOKEN": account.token,
            "TWILIO_FROM": account.number,
            "TWILIO_API_BASE_URL": address,
        }

    def blueprint(self) -> Blueprint:
        """Give the HTTP side."""
        return _Routes(self).blueprint()

    def new_ident(self, direction: str) -> str:
        """Make a message SID."""
        return f"SM{secrets.token_hex(12)}{next(self._count):08x}"

    def create(self, form: dict[str, str]) -> CarriedMessage:
        """Take a message and send it on. Raises TwilioError."""
        to, body = form.get("To", ""), form.get("Body", "")
        sender = form.get("From") or (self.number if form.get("MessagingServiceSid") else "")
        for code, wrong in (
            (21604, not to),
            (21211, bool(to) and not PHONE.fullmatch(to)),
            (21603, not sender),
            (21606, bool(sender) and sender != self.number),
            (21602, not body.strip() and "MediaUrl" not in form),
            (21617, len(body) > 1600),
        ):
            if wrong:
                raise TwilioError(code)
        if to in self.faults.refuse:
            raise TwilioError(self.faults.refuse[to])
        body = body.lstrip(" ")  # as Twilio does
        if form.get("SmartEncoded", "").lower() == "true":
            body = body.replace("\u2007", "  ")
        message = self.add(
            CarriedMessage(
                self.new_ident("out"),
                "outbound-api",
                sender,
                to,
                body,
                "queued",
                datetime.now(UTC),
                form.get("StatusCallback"),
                form.get("MessagingServiceSid"),
            )
        )
        self.carry(message)
        return message

    def report(self, message: CarriedMessage) -> None:
        """Post a status callback."""
        if not message.callback:
            return
        form = {
            "MessageSid": message.ident,
            "SmsSid": message.ident,
            "MessageStatus": message.status,
            "SmsStatus": message.status,
            "AccountSid": self.account,
            "From": message.sender,
            "To": message.recipient,
            "ApiVersion": "2010-04-01",
        }
        if message.error:
            form["ErrorCode"] = str(message.error)
        self.post(message.callback, form)

    def bring(self, message: CarriedMessage) -> None:
        """Post a text to the inbound webhook."""
        if not self.webhook:
            return
        self.post(
            self.webhook,
            {
                "MessageSid": message.ident,
                "SmsSid": message.ident,
                "SmsMessageSid": message.ident,
                "AccountSid": self.account,
                "From": message.sender,
                "To": self.number,
                "Body": message.body,
                "NumMedia": "0",
                "NumSegments": "1",
                "SmsStatus": "received",
                "ApiVersion": "2010-04-01",
            },
        )

    def post(self, url: str, form: dict[str, str]) -> int | None:
        """Post a signed webhook; once more only where no connection came about. Give the status, None if lost."""
        headers = {
            "X-Twilio-Signature": self._validator.compute_signature(url, form),
            "I-Twilio-Idempotency-Token": secrets.token_hex(16),
            "User-Agent": "TwilioProxy/1.1",
        }
        for _ in range(2):
            try:
                return requests.post(url, data=form, headers=headers, timeout=WEBHOOK_SECONDS).status_code
            except requests.ConnectionError:
                continue
            except requests.RequestException:
                return None
        return None

    # as JSON

    def as_json(self, message: CarriedMessage) -> dict[str, Any]:
        """Give a message as Twilio's API does."""
        uri = f"/2010-04-01/Accounts/{self.account}/Messages/{message.ident}"
        stamp = format_datetime(message.created)
        return {
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "body": message.body,
            "date_created": stamp,
            "date_updated": stamp,
            "date_sent": format_datetime(message.sent) if message.sent else None,
            "direction": message.direction,
            "error_code": message.error,
            "error_message": f"Error {message.error}" if message.error else None,
            "from": message.sender,
            "messaging_service_sid": message.service,
            "num_media": "0",
            "num_segments": "1",
            "price": f"-{PRICE}" if message.sent and message.direction != "inbound" else None,
            "price_unit": "USD",
            "sid": message.ident,
            "status": message.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": message.recipient,
            "uri": f"{uri}.json",
        }

    def listed(self, filters: dict[str, str]) -> list[CarriedMessage]:
        """Give messages that fit Twilio's list filters, newest first."""

        def fits(message: CarriedMessage) -> bool:
            day = (message.sent or message.created).date().isoformat()
            return (
                filters.get("To") in (None, message.recipient)
                and filters.get("From") in (None, message.sender)
                and ("DateSent" not in filters or day == filters["DateSent"][:10])
                and ("DateSent>" not in filters or day >= filters["DateSent>"][:10])
                and ("DateSent<" not in filters or day <= filters["DateSent<"][:10])
            )

        with self.lock:
            return [message for message in reversed(self.messages.values()) if fits(message)]


class _Routes:
    """The HTTP side: Twilio's paths below those of an account, each with its answer."""

    def __init__(self, twilio: TwilioStandIn) -> None:
        self._twilio = twilio

    def blueprint(self) -> Blueprint:
        api = Blueprint("twilio", __name__, url_prefix="/2010-04-01/Accounts/<account>")
        api.register_error_handler(TwilioError, error_answer)
        api.before_request(self.authenticate)
        api.add_url_rule("/Messages.json", "create", self.create, methods=["POST"])
        api.add_url_rule("/Messages.json", "list", self.list_messages)
        api.add_url_rule("/Messages/<sid>.json", "fetch", self.fetch)
        api.add_url_rule("/Messages/<sid>.json", "change", self.change, methods=["POST"])
        api.add_url_rule("/Messages/<sid>.json", "delete", self.delete, methods=["DELETE"])
        api.add_url_rule("/Balance.json", "balance", self.balance)
        return api

    def authenticate(self) -> None:
        """Refuse other credentials and other accounts. Raises TwilioError."""
        given = request.authorization
        if given is None or (given.username, given.password) != (self._twilio.account, self._twilio.token):
            raise TwilioError(20003)
        if (request.view_args or {}).get("account") != self._twilio.account:
            raise TwilioError(20404)

    def create(self, account: str) -> Response:
        """Take a message; the faults say whether and when the answer to it comes."""
        faults = self._twilio.faults
        lose = faults.lose_answers > 0
        if faults.answer_html > 0:
            faults.answer_html -= 1
            return Response("<html>Please sign in</html>", 200, mimetype="text/html")
        message = self._twilio.create(request.form.to_dict())
        if faults.answer_late:
            time.sleep(faults.answer_late)
        if lose:
            faults.lose_answers -= 1
            return Response(
                '{"code": 20500, "message": "Internal Server Error", "status": 500}',
                500,
                mimetype="application/json",
            )
        answer = jsonify(self._twilio.as_json(message) | {"status": "queued"})
        answer.status_code = 201
        return answer

    def balance(self, account: str) -> Response:
        """Give the account's balance, or say that it has none of its own, as an account below another one does."""
        if self._twilio.faults.no_balance:
            raise TwilioError(20404)
        return jsonify({"account_sid": account, "balance": "25.00", "currency": "USD"})

    def list_messages(self, account: str) -> Response:
        """Give one page of the messages that fit the filters, with the addresses of the pages around it."""
        size = max(1, min(1000, request.args.get("PageSize", 50, int)))
        page = max(0, request.args.get("Page", 0, int))
        found = self._twilio.listed(request.args.to_dict())
        rows = found[page * size : (page + 1) * size]
        more = len(found) > (page + 1) * size
        return jsonify(
            {
                "messages": [self._twilio.as_json(message) for message in rows],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(0, len(rows) - 1),
                "uri": _uri_of_page(account, page),
                "first_page_uri": _uri_of_page(account, 0),
                "next_page_uri": _uri_of_page(account, page + 1) if more else None,
                "previous_page_uri": _uri_of_page(account, page - 1) if page else None,
            }
        )

    def fetch(self, account: str, sid: str) -> Response:
        """Give one message."""
        return jsonify(self._twilio.as_json(self._message(sid)))

    def change(self, account: str, sid: str) -> Response:
        """Cancel a message that was not sent yet."""
        message = self._message(sid)
        if request.form.get("Status") == "canceled" and message.status in ("accepted", "scheduled", "queued"):
            message.status = "canceled"
        return jsonify(self._twilio.as_json(message))

    def delete(self, account: str, sid: str) -> Response:
        """Forget a message."""
        del self._twilio.messages[self._message(sid).ident]
        return Response(status=204)

    def _message(self, sid: str) -> CarriedMessage:
        if sid not in self._twilio.messages:
            raise TwilioError(20404)
        return self._twilio.messages[sid]


def _uri_of_page(account: str, page: int) -> str:
    """Give the address of another page of the list that is asked for, with the same filters."""
    filters = [
        f"{name}={requests.utils.quote(value)}"
        for name, value in request.args.items()
        if name not in ("Page", "PageToken")
    ]
    return f"/2010-04-01/Accounts/{account}/Messages.json?{'&'.join([*filters, f'Page={page}'])}"


def error_answer(error: TwilioError) -> Response:
    """Answer an error as Twilio does."""
    status, text = ERRORS[error.code]
    answer = jsonify(
        {
            "code": error.code,
            "message": text,
            "status": status,
            "more_info": f"https://www.twilio.com/docs/errors/{error.code}",
        }
    )
    answer.status_code = status
    return answer
