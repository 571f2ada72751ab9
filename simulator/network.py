"""The phone network between an SMS gateway and the virtual vehicles: delivers, loses, delays, repeats."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from simulator import device
from simulator.camera import POSTPONED_SECONDS, Camera
from simulator.vehicle import Vehicle

DELIVERY_SECONDS = 1.0
REPLY_SECONDS = 3.0
CAPTURE_SECONDS = 4.0


class Network:
    """All vehicles by phone number. `inbound` is called for every reply: vehicle's number, text."""

    def __init__(self, vehicles: list[Vehicle], scale: float, memory: Path | None = None) -> None:
        self.scale = scale
        self._memory, self._remembering = memory, threading.Lock()
        if memory is not None and memory.exists():
            held = json.loads(memory.read_text())
            for vehicle in vehicles:
                vehicle.parameters |= {int(k): v for k, v in held.get(vehicle.imei, {}).items()}
        self.vehicles = {vehicle.phone: vehicle for vehicle in vehicles}
        self.inbound: Callable[[str, str], object] = lambda phone, text: None
        self._pool = ThreadPoolExecutor(32, thread_name_prefix="vehicle")
        self._cameras: dict[str, threading.Lock] = {}
        self._postponed: set[str] = set()  # IMEIs of vehicles that will connect again

    def by_imei(self, imei: str) -> Vehicle | None:
        """Give a vehicle by its IMEI."""
        return next((v for v in self.vehicles.values() if v.imei == imei), None)

    def add(self, vehicle: Vehicle) -> None:
        """Put a vehicle on the road."""
        self.vehicles[vehicle.phone] = vehicle

    def wait(self, seconds: float) -> None:
        """Let simulated time pass."""
        time.sleep(seconds * self.scale)

    def deliver(self, phone: str, text: str, report: Callable[[str, int | None], None]) -> None:
        """Bring an SMS to a vehicle in the background; `report` gets the delivery status and error code."""
        self._pool.submit(self._deliver, phone, text, report)

    def _deliver(self, phone: str, text: str, report: Callable[[str, int | None], None]) -> None:
        report("sent", None)
        self.wait(DELIVERY_SECONDS)
        vehicle = self.vehicles.get(phone)
        if vehicle is None:
            report("undelivered", 30005)
            return
        if vehicle.faults.sms_lost > 0:
            vehicle.faults.sms_lost -= 1
            report("undelivered", 30003)
            return
        report("delivered", None)
        self.wait(REPLY_SECONDS)
        for reply in device.answer(vehicle, text, self.scale, lambda wish: self._capture(vehicle, wish)):
            self.reply(vehicle, reply)
        self.remember()

    def remember(self) -> None:
        """Write down what the trackers' own memory would keep over a restart: their parameters."""
        if self._memory is None:
            return
        with self._remembering:
            held = {vehicle.imei: dict(vehicle.parameters) for vehicle in self.vehicles.values()}
            part = self._memory.with_suffix(".part")
            part.write_text(json.dumps(held))
            part.replace(self._memory)

    def reply(self, vehicle: Vehicle, text: str) -> None:
        """Send a text from a vehicle to the sender of its commands, with the faults of its line."""
        faults = vehicle.faults
        if faults.reply_lost > 0:
            faults.reply_lost -= 1
            return
        if faults.reply_late:
            time.sleep(faults.reply_late)
        self.inbound(vehicle.phone, text)
        if faults.reply_twice:
            self.inbound(vehicle.phone, text)

    def trigger(self, vehicle: Vehicle, trigger: int, file_type: int, sources: list[int]) -> None:
        """Have a vehicle take files by itself, as at an event (or periodically), and send them."""
        seconds = 0
        if file_type == 0:
            seconds = int(vehicle.value(66009)) + int(vehicle.value(66010))
        moment = vehicle.now() - int(vehicle.value(66009)) * (not file_type)
        resolution = int(vehicle.value(66000) or 3)
        self._capture(
            vehicle, device.Wish(file_type, sources, moment, seconds, resolution, vehicle.server, trigger)
        )

    def _capture(self, vehicle: Vehicle, wish: device.Wish) -> None:
        self._pool.submit(self._take_and_send, vehicle, wish)

    def _take_and_send(self, vehicle: Vehicle, wish: device.Wish) -> None:
        lock = self._cameras.setdefault(vehicle.imei, threading.Lock())
        with lock:
            if not any(
                device.IDENTIFIERS[wish.file_type, source] in vehicle.files for source in wish.sources
            ):
                made = device.capture(vehicle, wish)
                self.wait(CAPTURE_SECONDS)
                with vehicle.lock:
                    vehicle.files.update({file.identifier: file for file in made})
                for file in made if not wish.trigger else ():
                    self.reply(vehicle, f"Preparing to send file from timestamp {file.timestamp // 1000}")
            tell = (lambda text: None) if wish.trigger else (lambda text: self.reply(vehicle, text))
            if wish.server is None or not wish.server[0]:
                tell("Error: connect to server")
                return
            sent = Camera(vehicle, wish.server, self.scale).run(tell)
        if not sent:
            self._postpone(vehicle, wish.server)

    def _postpone(self, vehicle: Vehicle, server: tuple[str, int]) -> None:
        """Have a vehicle connect again later, one time at once whatever asked for it."""
        if vehicle.imei in self._postponed:
            return
        self._postponed.add(vehicle.imei)
        timer = threading.Timer(POSTPONED_SECONDS * self.scale, self._try_again, (vehicle, server))
        timer.daemon = True
        timer.start()

    def _try_again(self, vehicle: Vehicle, server: tuple[str, int]) -> None:
        """Connect after the postponement, silently, while files are still there; postpone again where that fails."""
        with self._cameras.setdefault(vehicle.imei, threading.Lock()):
            self._postponed.discard(vehicle.imei)
            sent = not vehicle.files or Camera(vehicle, server, self.scale).run()
        if not sent:
            self._postpone(vehicle, server)

    def stop(self) -> None:
        """End the background work."""
        self._pool.shutdown(wait=False, cancel_futures=True)
