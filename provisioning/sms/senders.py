"""Polls for commands that are due and hands the SMS of several devices to the gateway at once.

A thread for each SMS under way (a greenlet, in the worker), since the gateway may take seconds to answer. `dispatch`
does the work; a device that another worker is at gives nothing to do.
"""

import threading
import time
from collections.abc import Callable
from datetime import datetime

from flask import Flask, current_app

from provisioning.core import jobs
from provisioning.models import db
from provisioning.sms import dispatch, due_commands

SENDERS = 8  # SMS under way at once, for different devices
FINISH_SECONDS = (
    8.0  # for the answers of the gateway, before the worker ends; some supervisors kill after ten
)


class Senders:
    """The SMS that this process has under way."""

    def __init__(self, count: int = SENDERS) -> None:
        self._count, self._free = count, threading.Semaphore(count)
        self._is_finishing = False
        self._under_way: set[int] = set()  # devices
        self._resting = jobs.Resting[int]()
        self._errors: list[Exception] = []

    def send_due(self, clock: Callable[[], datetime]) -> None:
        """Begin to send what is due, as soon as a sender is free for each.

        Raises Unavailable where no gateway is configured, RowsFailed where devices have failed since the last call.
        """
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        for device_id in due_commands.due_devices(clock(), self._under_way | self._resting.rows()):
            self._free.acquire()
            if self._is_finishing:
                self._free.release()
                return
            self._under_way.add(device_id)
            threading.Thread(target=self._send, args=(app, device_id, clock), daemon=True).start()
        if self._errors:
            errors, self._errors = self._errors, []
            raise jobs.RowsFailed(errors)

    def finish(self, seconds: float = FINISH_SECONDS) -> bool:
        """Begin nothing more, and wait for the SMS under way; say whether all have their outcome.

        For the others `recovery` finds out later whether they went out.
        """
        self._is_finishing = True
        deadline = time.monotonic() + seconds
        return all(
            self._free.acquire(timeout=max(0.0, deadline - time.monotonic())) for _ in range(self._count)
        )

    def _send(self, app: Flask, device_id: int, clock: Callable[[], datetime]) -> None:
        with app.app_context():
            try:
                dispatch.send_next(device_id, clock)
            except Exception as error:  # noqa: BLE001 - whatever fails for one device fails alone
                db.session.rollback()
                jobs.log_failure(error, "an SMS could not be sent; it is tried again", device=device_id)
                self._resting.add(device_id)
                self._errors.append(error)
            finally:
                self._under_way.discard(device_id)
                self._free.release()
