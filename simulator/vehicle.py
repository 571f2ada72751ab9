"""A virtual vehicle: who it is, what it holds, what goes wrong with it. Shared by its SMS and its camera side."""

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from simulator.metadata import MetadataAnswer, metadata_answer_of

DEFAULTS: dict[int, str] = {
    113: "0",
    150: "0",
    151: "0",
    152: "0",
    3003: "",
    3004: "",
    66000: "3",
    66001: "50",
    66002: "0",
    66003: "30",
    66006: "0",
    66007: "600",
    66009: "5",
    66010: "5",
    66020: "0",
    66022: "0",
    66023: "0",
    66024: "0",
    66025: "2",
    66040: "0",
    66041: "0",
    66042: "0",
}
CAMERA_READY = {151: "18", 150: "1"}
MOST_VEHICLES = 89  # phone numbers +1 202 555 0111 to 0199, reserved for examples


@dataclass
class Faults:
    """What goes wrong, by request. Counts are used up; switches stay until they are set back."""

    drop_at: int | None = None  # drop the line before this packet, once
    corrupt_at: int | None = None  # send this packet wrong, once
    silent_metadata: bool = False
    no_time: bool = False  # the time that it gives to its files is 0
    no_trigger: bool = False  # its JSON metadata has no fm_trigger
    raw_metadata: bool = False  # it answers a path by 26 bytes of an unknown layout, as a DSM camera does
    stray_frame_rate: bool = False  # version 2 with LEN 13 and one byte more
    slow: int = 0  # bytes per second; 0: as fast as the line
    no_sd: bool = False
    front_missing: bool = False
    rear_missing: bool = False
    capture_fails: bool = False
    wrong_time_zone: int = 0  # minutes that the camera's clock is ahead while 66024 is 0
    unreachable_server: bool = False
    sms_lost: int = 0  # so many SMS to the vehicle vanish
    reply_lost: int = 0  # so many replies vanish
    reply_late: float = 0.0  # seconds that each reply takes longer
    reply_twice: bool = False


@dataclass
class Vehicle:
    """One tracker with its camera."""

    imei: str
    phone: str
    name: str = ""
    model: str = "FMC125"
    sms_login: str = ""
    sms_password: str = ""
    time_zone: str = "UTC"
    firmware: str = "03.28.03.Rev.05"
    camera_firmware: str = "1.9.3"
    protocol: int = 5  # of its INIT; from 6 on it offers its files by path
    metadata_version: int = 4  # 0: never answers
    new_value_form: bool = True  # setparam answers "New value …", else "Param ID:… Value:…"
    crc_restarts: bool = True  # after a RESUME the CRC chain begins at 0, else it goes on
    ignition: bool = True
    server: tuple[str, int] | None = None  # configured in the device
    parameters: dict[int, str] = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    files: dict[str, "CapturedFile"] = field(default_factory=dict)  # by identifier, until acknowledged
    connected: bool = False
    reconfiguring_until: float = 0.0
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    # what was acknowledged, and what was sent whole without hearing of it, for tests to compare
    sent: list[dict[str, Any]] = field(default_factory=list)
    unheard: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.parameters = DEFAULTS | {3003: self.sms_login, 3004: self.sms_password} | self.parameters

    def value(self, number: int) -> str:
        """Give a parameter's value."""
        return self.parameters.get(number, "")

    def now(self) -> float:
        """Give the camera's clock, in Unix seconds, wrong by its fault."""
        return time.time() + self.clock_ahead

    @property
    def clock_ahead(self) -> int:
        """Give the seconds that the camera's clock is ahead: a wrong zone, as far as 66024 does not take it back."""
        wrong = self.faults.wrong_time_zone
        return (wrong + int(self.value(66024) or 0)) * 60 if wrong else 0

    def has_camera(self, source: int) -> bool:
        """Say whether the camera (1 front, 2 rear) is there."""
        return not (self.faults.front_missing if source == 1 else self.faults.rear_missing)

    def as_device(self) -> dict[str, str]:
        """Give the vehicle as the product's API adds devices."""
        return {
            "imei": self.imei,
            "phone": self.phone,
            "name": self.name,
            "model": self.model,
            "sms_login": self.sms_login,
            "sms_password": self.sms_password,
            "time_zone": self.time_zone,
        }


@dataclass
class CapturedFile:
    """A file that waits to be sent."""

    identifier: str
    data: bytes
    timestamp: int  # Unix milliseconds
    trigger: int = 0
    duration: int = 0
    frame_rate: int = 30


def from_json(given: dict[str, Any]) -> Vehicle:
    """Make a vehicle as people write it down: parameters by number as text, `server` as {domain, port}."""
    item = dict(given)
    item["parameters"] = {int(number): str(value) for number, value in item.get("parameters", {}).items()}
    if server := item.get("server"):
        item["server"] = (server["domain"], int(server["port"]))
    if "faults" in item:
        item["faults"] = Faults(**item["faults"])
    return Vehicle(**item)


def settings_for(kind: MetadataAnswer) -> dict[str, Any]:
    """Give the settings with which a vehicle says so much of its files, as `from_json` takes them."""
    faults = {
        MetadataAnswer.NOTHING: "silent_metadata",
        MetadataAnswer.NO_TIME: "no_time",
        MetadataAnswer.NO_TRIGGER: "no_trigger",
        MetadataAnswer.RAW: "raw_metadata",
    }
    settings: dict[str, Any] = {"faults": {faults[kind]: True}} if kind in faults else {}
    return settings | ({"protocol": 6} if kind.by_path else {})


def default_fleet(count: int = 3) -> list[Vehicle]:
    """Make the three vehicles that `make run` adds, and as many more as are asked for, up to MOST_VEHICLES."""
    return [*_named_vehicles(), *(_further_vehicle(number) for number in range(3, count))][:count]


def _further_vehicle(number: int) -> Vehicle:
    """Make a vehicle after the third. Of ten of them one gives no time, one answers nothing, and so on."""
    body = f"35630704245{number:03d}"
    digits = [int(digit) for digit in body]
    check = -(sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10
    name, phone = f"Van {11 + number}", f"+120255501{11 + number}"
    given = {
        "imei": f"{body}{check}",
        "phone": phone,
        "name": name,
        "sms_login": "fleet",
        "sms_password": f"cam{11 + number}",
        "parameters": CAMERA_READY,
    }
    return from_json(given | settings_for(metadata_answer_of(number - 2)))


def _named_vehicles() -> list[Vehicle]:
    """Make the first three: new, old and odd firmware."""
    ready = dict(CAMERA_READY)
    return [
        Vehicle(
            "352094082736916",
            "+12025550111",
            "Van 11",
            sms_login="fleet",
            sms_password="cam11",
            time_zone="Europe/Vilnius",
        ),
        Vehicle(
            "352094082042885",
            "+12025550112",
            "Truck 12",
            model="FMB125",
            sms_login="fleet",
            sms_password="cam12",
            firmware="03.27.06.Rev.360",
            camera_firmware="2.2.1",
            metadata_version=1,
            new_value_form=False,
            crc_restarts=False,
            parameters=ready | {113: "1"},
            time_zone="America/New_York",
        ),
        Vehicle(
            "356307042441013",
            "+12025550113",
            "Bus 13",
            model="FMC225",
            sms_login="fleet",
            sms_password="cam13",
            firmware="03.27.13.Rev.362",
            metadata_version=2,
            parameters=ready,
            time_zone="UTC",
        ),
    ]
