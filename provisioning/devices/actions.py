"""What a person can do about a fault: a kind, for pages and programs, and a label that says what will happen. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provisioning.translation import N_, gettext


class ActionKind(StrEnum):
    """What mends a vehicle, for pages and programs."""

    ANSWER = "answer"  # answer the question of the check that is open
    CHECK = "check"  # begin a check
    SET_MODE = "set_mode"  # send what DualCam needs, then check
    SET_CLOCK = "set_clock"  # send the right time zone, then check
    RESTART_CAMERA = "restart_camera"
    REPAIR = "repair"  # send what differs again
    CHANGE_NUMBER = "change_number"  # correct phone number or IMEI
    SET_SERVER = "set_server"  # how the vehicle's own camera server is set
    SET_TRACKER_SERVER = "set_tracker_server"  # how the server of the tracker's data is set


@dataclass(frozen=True, slots=True)
class Action:
    """What a person can do; `arguments`: what the address of the place that does it says beside the place."""

    kind: ActionKind
    sentence: str
    arguments: Mapping[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Say what the button does."""
        return gettext(self.sentence)


ANSWER = Action(ActionKind.ANSWER, N_("Answer the question"))
CHECK = Action(ActionKind.CHECK, N_("Check"))
SET_MODE = Action(ActionKind.SET_MODE, N_("Set it and check again"))
REPAIR = Action(ActionKind.REPAIR, N_("Repair"))
CHANGE_NUMBER = Action(ActionKind.CHANGE_NUMBER, N_("Change number"))
CARD_IS_IN = Action(ActionKind.CHECK, N_("Card is in: check again"))
SET_CLOCK = Action(ActionKind.SET_CLOCK, N_("Set the time zone and check again"))
SET_SERVER = Action(ActionKind.SET_SERVER, N_("How to set it"))


def restart(camera: str, sentence: str = N_("Restart the camera")) -> Action:
    """Give the action that restarts a camera: front, rear or both."""
    return Action(ActionKind.RESTART_CAMERA, sentence, {"camera": camera})
