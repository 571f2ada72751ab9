"""The product's web app and the stand-in for an SMS gateway joined in one process: a real HTTP server for the gateway's
client, webhooks handed to Flask's test client. Vehicles answer when a test says so.
"""

import dataclasses
import hashlib
import json
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any
from unittest import mock

from conftest import ACCOUNT_SID, AUTH_TOKEN, SENDER, free_port
from flask import Flask
from twilio.request_validator import RequestValidator
from werkzeug.serving import make_server

from provisioning.core.config import Config, load
from provisioning.sms import factory
from simulator import http_api
from simulator.__main__ import Quiet
from simulator.network import Network
from simulator.sms_gateway import Account, GatewayFaults, GatewayStandIn
from simulator.twilio_api import TwilioStandIn


class SilentNetwork(Network):
    """A phone network that only takes notes of what it should deliver."""

    def __init__(self) -> None:
        super().__init__([], 0.0)
        self.delivered: list[tuple[str, str]] = []

    def deliver(self, phone: str, text: str, report: Callable[[str, int | None], None]) -> None:
        self.delivered.append((phone, text))


def message_sid(name: str, kind: str = "SM") -> str:
    """Give the message id, in Twilio's form, that stands for a name in a test."""
    return kind + hashlib.md5(name.encode()).hexdigest()


class Joined(ABC):
    """An app and a stand-in for its SMS gateway; what is said of a test's gateway, whichever it is."""

    name: str
    refusal: Any  # a code of the stand-in that refuses an SMS for good
    busy: Any  # one that puts it off
    absent: str  # the gateway's code for a phone that is switched off, as reports name it
    abilities = frozenset({"answers", "texts", "reports"})  # what it does, of these
    delivered_word: str  # the gateway's own word for an SMS that was delivered

    def __init__(self, app: Flask, network: SilentNetwork, stand_in: GatewayStandIn) -> None:
        self.app, self.network, self.stand_in = app, network, stand_in
        stand_in.faults.no_callbacks = True  # a test posts what it wants, signed
        # without the simulator's own routes, which take longer to make
        api = Flask("gateway", static_folder=None)
        api.register_blueprint(stand_in.blueprint())
        self.server = make_server("127.0.0.1", 0, api, threaded=True, request_handler=Quiet)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.config = self.app.extensions["dualcam_config"]
        self.count = 0
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.nowhere = f"http://127.0.0.1:{free_port()}"  # an address at which there is no gateway
        self.use(self.address)

    def use(self, address: str, **settings: Any) -> None:
        """Have the app use the gateway at this address."""
        self.config = dataclasses.replace(self.at(address), **settings)
        self.app.extensions["dualcam_config"] = self.config
        factory.init_app(self.app, self.config)

    @abstractmethod
    def at(self, address: str) -> Config:
        """Give the app's settings with the gateway at this address."""

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(5)

    @property
    def faults(self) -> GatewayFaults:
        """What goes wrong at the gateway."""
        return self.stand_in.faults

    @property
    def taken(self) -> list[tuple[str, str]]:
        """What reached the gateway, oldest first: recipient and text."""
        return [(m.recipient, m.body) for m in self.stand_in.messages.values() if m.direction != "inbound"]

    @property
    def sent(self) -> list[str]:
        """Texts that reached the gateway, oldest first."""
        return [text for _, text in self.taken]

    @abstractmethod
    def reply(self, text: str, *, phone: str = "+12025550111", sid: str | None = None) -> Any:
        """Bring a text of a device to the inbound webhook."""

    @abstractmethod
    def report(self, sid: str, status: str, *, error: str | None = None, message: str | None = None) -> Any:
        """Bring a status report to its webhook; `message` is our own id."""


class Phone(Joined):
    """The stand-in for Twilio with everything a test needs of it."""

    name, refusal, busy, absent, delivered_word = "twilio", 21211, 20429, "30003", "delivered"

    def __init__(self, app: Flask) -> None:
        network = SilentNetwork()
        self.twilio = TwilioStandIn(Account(SENDER, AUTH_TOKEN, ACCOUNT_SID), None, network)
        self._validator = RequestValidator(AUTH_TOKEN)
        super().__init__(app, network, self.twilio)

    def at(self, address: str) -> Config:
        return dataclasses.replace(self.config, sms_gateway=None, twilio_api_base_url=address)

    def post(self, path: str, form: dict[str, str], *, signature: str | None = None) -> Any:
        """Post a webhook, signed as Twilio signs it."""
        url = f"{self.config.public_url}{path}"
        sign = signature if signature is not None else self._validator.compute_signature(url, form)
        return self.app.test_client().post(path, data=form, headers={"X-Twilio-Signature": sign})

    def reply(
        self, text: str, *, phone: str = "+12025550111", sid: str | None = None, signature: str | None = None
    ) -> Any:
        self.count += 1
        form = {
            "MessageSid": sid or message_sid(f"reply {self.count}"), "AccountSid": ACCOUNT_SID, "From": phone,
            "To": SENDER, "Body": text,
        }  # fmt: skip
        return self.post("/webhooks/twilio/inbound", form, signature=signature)

    def report(
        self,
        sid: str,
        status: str,
        *,
        error: str | None = None,
        message: str | None = None,
        signature: str | None = None,
    ) -> Any:
        form = {"MessageSid": sid, "AccountSid": ACCOUNT_SID, "MessageStatus": status} | (
            {"ErrorCode": error} if error else {}
        )
        query = f"?message={message}" if message else ""
        return self.post(f"/webhooks/twilio/status{query}", form, signature=signature)


class HttpPhone(Joined):
    """The stand-in for a provider with a JSON API with everything a test needs of it."""

    name, refusal, busy, absent, delivered_word = (
        "http",
        "invalid_number",
        http_api.BUSY,
        "ABSENT_SUBSCRIBER",
        "DELIVRD",
    )
    account = Account(SENDER, AUTH_TOKEN, webhook_secret="only-for-tests-webhook-secret")

    def __init__(self, app: Flask) -> None:
        network = SilentNetwork()
        self.provider = http_api.HttpStandIn(self.account, None, network)
        super().__init__(app, network, self.provider)

    def at(self, address: str) -> Config:
        with mock.patch.dict(os.environ, self.settings(address)):
            return dataclasses.replace(self.config, sms_gateway="http", sms_http=load().sms_http)

    def settings(self, address: str) -> dict[str, str]:
        """Give what is set for this provider."""
        return http_api.HttpStandIn.settings(address, self.account)

    def post(self, path: str, fields: Any, *, signature: str | None = None) -> Any:
        """Post a webhook, signed over its body."""
        body = json.dumps(fields).encode()
        sign = signature if signature is not None else self.provider.sign(body)
        headers = {"X-Signature": sign, "Content-Type": "application/json"}
        return self.app.test_client().post(f"/webhooks/http/{path}", data=body, headers=headers)

    def reply(
        self, text: str, *, phone: str = "+12025550111", sid: str | None = None, signature: str | None = None
    ) -> Any:
        self.count += 1
        fields = {"id": sid or str(self.count), "from": phone, "to": SENDER, "text": text}
        return self.post("inbound", fields, signature=signature)

    def report(
        self,
        sid: str,
        status: str,
        *,
        error: str | None = None,
        message: str | None = None,
        signature: str | None = None,
    ) -> Any:
        fields = {
            "id": sid,
            "state": http_api.STATES.get(status, status),
            "error": error,
            "reference": message,
        }
        return self.post("status", fields, signature=signature)


class SparseHttpPhone(HttpPhone):
    """The same provider, set as one that names no ids and reports nothing."""

    abilities = frozenset({"answers", "texts"})
    unset = ("SMS_HTTP_ID_FIELD", "SMS_HTTP_STATUS_FIELDS", "SMS_HTTP_STATUS_WORDS")

    def settings(self, address: str) -> dict[str, str]:
        given = super().settings(address)
        accepted = {"SMS_HTTP_ACCEPTED": "ACCEPTED", "SMS_HTTP_ACCEPTED_FIELD": "state"}
        return {name: value for name, value in given.items() if name not in self.unset} | accepted


HARNESSES: dict[str, type[Phone] | type[HttpPhone]] = {
    "twilio": Phone,
    "http": HttpPhone,
    "sparse http": SparseHttpPhone,
}
