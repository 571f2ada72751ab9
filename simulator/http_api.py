"""A stand-in for an SMS provider with a plain JSON API: one call that takes an SMS, callbacks signed over the body.

No provider's own API: it has what many have. Both directions are numbered from 1 by themselves, blanks stay, messages
are not listed, and a callback that was not answered with 2xx is posted again, as there is no other way to learn of it.
"""

import hashlib
import hmac
import itertools
import json
import re
import threading
import time
from datetime import UTC, datetime
from typing import Any

import requests
from flask import Blueprint, Response, jsonify, request

from simulator.network import Network
from simulator.sms_gateway import WEBHOOK_SECONDS, Account, CarriedMessage, GatewayStandIn

PATH = "/sms/messages"
PHONE = re.compile(r"\+[1-9][0-9]{6,14}")
STATES = {"queued": "ACCEPTED", "sent": "SENT", "delivered": "DELIVRD", "undelivered": "UNDELIV"}
ERRORS = {30003: "ABSENT_SUBSCRIBER", 30005: "UNKNOWN_SUBSCRIBER"}
BUSY = "too_many_requests"
REPEATED_AFTER = (1, 2, 4, 8, 16, 32)  # seconds before a callback is posted again


class Refused(Exception):
    """A request that the provider does not take."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


class HttpStandIn(GatewayStandIn):
    """The account, its messages, and the way to the product's webhooks."""

    name, real_setting, needs = "http", "SMS_HTTP_URL", ("webhook_secret",)

    def __init__(self, account: Account, webhook: str | None, network: Network) -> None:
        super().__init__(account, webhook, network)
        self.secret = account.webhook_secret
        self._counts = {"out": itertools.count(1), "in": itertools.count(1)}

    @classmethod
    def settings(cls, address: str, account: Account) -> dict[str, str]:
        """Give the settings with which a service uses this stand-in."""
        body = {
            "to": "{to}",
            "from": "{from}",
            "text": "{text}",
            "reference": "{id}",
            "validity": "{validity}",
        }
        inbound = {"from": "from", "to": "to", "text": "text", "id": "id", "at": "at"}
        status = {"id": "id", "our_id": "reference", "status": "state", "error": "error"}
        words = {"ACCEPTED": "queued", "SENT": "sent", "DELIVRD": "delivered", "UNDELIV": "undelivered"}
        return {
            "SMS_GATEWAY": cls.name,
            "SMS_HTTP_URL": f"{address}{PATH}",
            "SMS_HTTP_HEADERS": json.dumps({"Authorization": f"Bearer {account.token}"}),
            "SMS_HTTP_BODY": json.dumps(body),
            "SMS_HTTP_FROM": account.number,
            "SMS_HTTP_ID_FIELD": "id",
            "SMS_HTTP_ERROR_FIELD": "error.code",
            "SMS_HTTP_PERMANENT_ERRORS": "UNKNOWN_SUBSCRIBER",
            "SMS_HTTP_WEBHOOK_AUTH": "hmac-sha256",
            "SMS_HTTP_WEBHOOK_SECRET": account.webhook_secret,
            "SMS_HTTP_INBOUND_FIELDS": json.dumps(inbound),
            "SMS_HTTP_STATUS_FIELDS": json.dumps(status),
            "SMS_HTTP_STATUS_WORDS": json.dumps(words),
        }

    def blueprint(self) -> Blueprint:
        """Give the HTTP side."""
        api = Blueprint("http_sms", __name__)
        api.add_url_rule(PATH, "create", self._answer, methods=["POST"])
        return api

    def new_ident(self, direction: str) -> str:
        """Count each direction by itself; the prefix keeps them apart in here only."""
        return f"{direction}:{next(self._counts[direction])}"

    def create(self, given: dict[str, Any]) -> CarriedMessage:
        """Take a message and send it on. Raises Refused."""
        to, text = str(given.get("to", "")), str(given.get("text", ""))
        if not PHONE.fullmatch(to):
            raise Refused(400, "invalid_number")
        if not text.strip():
            raise Refused(400, "no_text")
        if to in self.faults.refuse:
            code = str(self.faults.refuse[to])
            raise Refused(429 if code == BUSY else 400, code)
        now, reference = datetime.now(UTC), given.get("reference")
        message = CarriedMessage(
            self.new_ident("out"), "outbound", self.number, to, text, "queued", now, reference=reference
        )
        self.carry(self.add(message))
        return message

    def _answer(self) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return _refusal(Refused(401, "unauthorized"))
        if self.faults.answer_html > 0:
            self.faults.answer_html -= 1
            return Response("<html>Please sign in</html>", 200, mimetype="text/html")
        lose = self.faults.lose_answers > 0
        try:
            message = self.create(request.get_json())
        except Refused as error:
            return _refusal(error)
        if self.faults.answer_late:
            time.sleep(self.faults.answer_late)
        if lose:
            self.faults.lose_answers -= 1
            return Response('{"error": {"code": "internal"}}', 500, mimetype="application/json")
        answer = jsonify({"id": public(message), "state": "ACCEPTED"})
        answer.status_code = 201
        return answer

    def report(self, message: CarriedMessage) -> None:
        """Post a delivery report."""
        if self.webhook:
            self._bring(self.webhook.replace("/inbound", "/status"), self.report_of(message))

    def report_of(self, message: CarriedMessage) -> dict[str, Any]:
        """Give a delivery report as it is posted."""
        values = {"id": public(message), "reference": message.reference, "state": STATES[message.status]}
        return values | ({"error": ERRORS.get(message.error, str(message.error))} if message.error else {})

    def bring(self, message: CarriedMessage) -> None:
        """Post a text."""
        if self.webhook:
            self._bring(self.webhook, self.text_of(message))

    def text_of(self, message: CarriedMessage) -> dict[str, Any]:
        """Give a text as it is posted."""
        return {
            "id": public(message),
            "from": message.sender,
            "to": message.recipient,
            "text": message.body,
            "at": message.created.isoformat(),
        }

    def sign(self, body: bytes) -> str:
        """Sign the body of a callback."""
        return hmac.new(self.secret.encode(), body, hashlib.sha256).hexdigest()

    def _bring(self, url: str, values: dict[str, Any]) -> None:
        """Post a callback now, and again in the background until it is answered with 2xx."""
        body = json.dumps(values).encode()
        if not self.post(url, body):
            threading.Thread(target=self._post_again, args=(url, body), daemon=True).start()

    def _post_again(self, url: str, body: bytes) -> None:
        for wait in REPEATED_AFTER:
            time.sleep(wait)
            if self.post(url, body):
                return

    def post(self, url: str, body: bytes) -> bool:
        """Post a signed callback once; say whether it was taken."""
        headers = {"Content-Type": "application/json", "X-Signature": self.sign(body)}
        try:
            return requests.post(url, data=body, headers=headers, timeout=WEBHOOK_SECONDS).ok
        except requests.RequestException:
            return False


def public(message: CarriedMessage) -> str:
    """Give a message's id as the provider shows it."""
    return message.ident.partition(":")[2]


def _refusal(error: Refused) -> Response:
    answer = jsonify({"error": {"code": error.code}})
    answer.status_code = error.status
    return answer
