"""The product's web app and the Twilio stand-in joined in one process: a real HTTP server for Twilio's client,
webhooks handed to Flask's test client. Vehicles answer when a test says so.
"""

import dataclasses
import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from conftest import ACCOUNT_SID, AUTH_TOKEN, SENDER
from flask import Flask
from twilio.request_validator import RequestValidator
from werkzeug.serving import make_server

from provisioning.sms import factory
from simulator.__main__ import Quiet, make_app
from simulator.network import Network
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


@dataclass
class Phone:
    """The stand-in for Twilio with everything a test needs of it."""

    app: Flask
    network: SilentNetwork = field(default_factory=SilentNetwork)

    def __post_init__(self) -> None:
        self.twilio = TwilioStandIn(
            account=ACCOUNT_SID, token=AUTH_TOKEN, number=SENDER, webhook=None, network=self.network
        )
        self.twilio.faults.no_callbacks = True  # a test posts what it wants, signed
        self.server = make_server(
            "127.0.0.1", 0, make_app(self.network, self.twilio), threaded=True, request_handler=Quiet
        )
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.config = self.app.extensions["dualcam_config"]
        self._validator = RequestValidator(AUTH_TOKEN)
        self.count = 0
        config = dataclasses.replace(
            self.config, twilio_api_base_url=f"http://127.0.0.1:{self.server.server_port}"
        )
        self.app.extensions["dualcam_config"] = self.config = config
        factory.init_app(self.app, config)

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join(5)

    @property
    def sent(self) -> list[str]:
        """Texts that reached the gateway, oldest first."""
        return [m.body for m in self.twilio.messages.values() if m.direction == "outbound-api"]

    def post(self, path: str, form: dict[str, str], *, signature: str | None = None) -> Any:
        """Post a webhook, signed as Twilio signs it."""
        url = f"{self.config.public_url}{path}"
        sign = signature if signature is not None else self._validator.compute_signature(url, form)
        return self.app.test_client().post(path, data=form, headers={"X-Twilio-Signature": sign})

    def reply(self, text: str, *, phone: str = "+12025550111", sid: str | None = None) -> Any:
        """Bring a text of a device to the inbound webhook."""
        self.count += 1
        form = {
            "MessageSid": sid or message_sid(f"reply {self.count}"), "AccountSid": ACCOUNT_SID, "From": phone,
            "To": SENDER, "Body": text,
        }  # fmt: skip
        return self.post("/webhooks/twilio/inbound", form)

    def report(self, sid: str, status: str, *, error: str | None = None, message: str | None = None) -> Any:
        """Bring a status report to its webhook."""
        form = {"MessageSid": sid, "AccountSid": ACCOUNT_SID, "MessageStatus": status} | (
            {"ErrorCode": error} if error else {}
        )
        query = f"?message={message}" if message else ""
        return self.post(f"/webhooks/twilio/status{query}", form)
