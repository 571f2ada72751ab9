"""What the stand-ins for SMS gateways share: SMS in memory, the way to the vehicles and back, faults on request."""

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from flask import Blueprint

from simulator.network import Network

WEBHOOK_SECONDS = 15.0
FINAL = frozenset({"delivered", "undelivered", "failed", "canceled", "received"})


@dataclass
class CarriedMessage:
    """One SMS as the gateway knows it; status and error in Twilio's words, as the phone network reports them."""

    ident: str
    direction: str
    sender: str
    recipient: str
    body: str
    status: str
    created: datetime
    callback: str | None = None
    service: str | None = None
    reference: str | None = None
    error: int | None = None
    history: list[str] = field(default_factory=list)
    sent: datetime | None = None


@dataclass
class GatewayFaults:
    """What goes wrong at the gateway, by request."""

    answer_late: float = 0.0  # seconds before create answers
    lose_answers: int = 0  # so many creates answer 500 although the message goes out
    answer_html: int = 0  # so many creates answer with a page, and nothing goes out
    refuse: dict[str, Any] = field(default_factory=dict)  # number → error code of create
    undelivered: dict[str, int] = field(default_factory=dict)  # number → error code of delivery
    no_balance: bool = False
    no_callbacks: bool = False
    no_webhooks: bool = False
    webhook_late: float = 0.0


@dataclass(frozen=True, slots=True)
class Account:
    """What a stand-in and the service that uses it know of one another; not every gateway has all of it."""

    number: str
    token: str = field(repr=False)
    ident: str = ""
    webhook_secret: str = field(default="", repr=False)


class GatewayStandIn(ABC):
    """The SMS of one gateway, and their way over the phone network. A stand-in says how each is reported.

    `webhook` is the address of inbound texts; None: nothing is brought to it.
    """

    name: ClassVar[str]  # as SMS_GATEWAY names its gateway
    real_setting: ClassVar[str]  # the variable that is set where the gateway itself is used
    needs: ClassVar[tuple[str, ...]]  # fields of the account that may not be empty

    def __init__(self, account: Account, webhook: str | None, network: Network) -> None:
        self.number, self.token = account.number, account.token
        self.webhook, self.network, self.faults = webhook, network, GatewayFaults()
        self.messages: dict[str, CarriedMessage] = {}
        self.lock = threading.Lock()
        network.inbound = self.take

    def add(self, message: CarriedMessage) -> CarriedMessage:
        """Remember an SMS."""
        message.history.append(message.status)
        with self.lock:
            self.messages[message.ident] = message
        return message

    def carry(self, message: CarriedMessage) -> None:
        """Bring an SMS to its phone, in the background."""
        threading.Thread(target=self._carry, args=(message,), daemon=True).start()

    def _carry(self, message: CarriedMessage) -> None:
        self._move(message, "queued", None)
        if message.status == "canceled":
            return
        code = self.faults.undelivered.get(message.recipient)
        if code is not None:
            self._move(message, "undelivered", code)
            return
        self.network.deliver(
            message.recipient, message.body, lambda status, error: self._move(message, status, error)
        )

    def _move(self, message: CarriedMessage, status: str, error: int | None) -> None:
        if message.status in FINAL:
            return
        message.status, message.error = status, error
        message.history.append(status)
        if status == "sent":
            message.sent = datetime.now(UTC)
        if not self.faults.no_callbacks:
            self.report(message)

    def take(self, phone: str, text: str) -> CarriedMessage:
        """Take a text from a phone and bring it to the product's webhook."""
        now = datetime.now(UTC)
        message = CarriedMessage(
            self.new_ident("in"), "inbound", phone, self.number, text, "received", now, sent=now
        )
        self.add(message)
        if not self.faults.no_webhooks:
            if self.faults.webhook_late:
                time.sleep(self.faults.webhook_late)
            self.bring(message)
        return message

    @classmethod
    @abstractmethod
    def settings(cls, address: str, account: Account) -> dict[str, str]:
        """Give the settings with which a service uses this stand-in at an address such as http://127.0.0.1:8900."""

    @abstractmethod
    def blueprint(self) -> Blueprint:
        """Give the HTTP side."""

    @abstractmethod
    def new_ident(self, direction: str) -> str:
        """Make the id of an SMS that goes "out" or comes "in"."""

    @abstractmethod
    def report(self, message: CarriedMessage) -> None:
        """Post the status of an SMS to the product's webhook."""

    @abstractmethod
    def bring(self, message: CarriedMessage) -> None:
        """Post a text to the product's webhook."""
