"""The states of a session, those in which a file was asked for, and the ends that a device's status names. Pure."""

from enum import Enum

from receiver.endings import Reason

STATUSES = {
    0x00: Reason.FINISHED,
    0x01: Reason.GAVE_UP,
    0x02: Reason.GPRS_NOT_CLOSED,
    0x03: Reason.SOCKET_NOT_CLOSED,
    0x04: Reason.BROKEN_OFF,
    0x05: Reason.ANSWER_INVALID,
    0x06: Reason.RESUME_INVALID,
    0x11: Reason.NO_FILE,
}


class SessionState(Enum):
    """What the session waits for."""

    INIT = "INIT"
    ADMISSION = "admission"
    PATH = "PATH"
    METADATA = "METADATA"
    START = "START"
    STORAGE = "storage"
    SYNC = "SYNC"
    DATA = "DATA"
    COMMIT = "commit"
    CLOSED = "closed"


# in these states a file was asked for
ASKED = (SessionState.PATH, SessionState.METADATA, SessionState.START, SessionState.SYNC, SessionState.DATA)
# the codes of ends that are a file's own fault, which may come again in the next session
FAILED = ("device_status", "bad_crc", "sync", "short_packet", "too_much", "file_changed", "out_of_order")
