"""Decides whether a device may send files: it is known or kept in quarantine, and has not sent enough today.

The product knows the devices. While its database is away, those that were known a short time ago are known still,
and the files of all others are kept within the limits of the quarantine.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from receiver.backend.known_devices import KnownDevices
from receiver.backend.log_quota import LogQuota
from receiver.backend.port import Admission, Product
from receiver.net.daily_limits import DailyLimits
from receiver.net.settings import Settings
from receiver.spool.sidecar import SidecarRecord

log = structlog.get_logger("receiver")


@dataclass(frozen=True, slots=True)
class AdmissionDecision:
    """Whether a device may send, as what, and whether the product itself has said so."""

    allowed: bool
    admission: str  # known | quarantine
    from_product: bool


class AdmissionControl:
    """The decisions of one process."""

    def __init__(
        self, settings: Settings, product: Product, log_quota: LogQuota, now: Callable[[], datetime]
    ) -> None:
        self._settings, self._product, self._log_quota, self._now = settings, product, log_quota, now
        self._known_devices = KnownDevices()
        self._daily_limits = DailyLimits(settings.files_per_day, settings.bytes_per_day)

    def decide(self, imei: str) -> AdmissionDecision:
        """Decide about a device that has just connected."""
        try:
            known = self._product.admit(imei) is Admission.KNOWN
        except Exception:
            # while the database is away it is not known which devices are registered: files of devices that are not in
            # the cache are kept under the caps of the quarantine
            if self._log_quota.allows("database away"):
                log.warning("database away", imei=imei, exc_info=True)
            is_cached = self._known_devices.has(imei, time.monotonic())
            return AdmissionDecision(True, "known" if is_cached else "quarantine", from_product=False)
        self._known_devices.note(imei, known, time.monotonic())
        if not known and self._settings.quarantine_unknown:
            return AdmissionDecision(True, "quarantine", from_product=True)
        return AdmissionDecision(known, "known", from_product=True)

    def may_send(self, imei: str, more: int) -> bool:
        """Say whether a known device may send so many bytes more today."""
        return self._daily_limits.allows(imei, more, self._now(), lambda: self._sent_today(imei))

    def count(self, record: SidecarRecord) -> None:
        """Count a stored file for the day's limits of its device."""
        self._daily_limits.add(record["imei"], record["size"], self._now())

    def _sent_today(self, imei: str) -> tuple[int, int] | None:
        try:
            return self._product.sent_today(imei)
        except Exception:
            if self._log_quota.allows("database away"):
                log.warning("database away", imei=imei, exc_info=True)
            return None
