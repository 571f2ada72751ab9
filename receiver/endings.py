"""Why a connection ends: each reason with its code for programs and its English sentence. Pure.

The log has the sentence; the product stores a reason's key and its arguments, and translates the sentence where it is
shown. Several reasons share one code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


def N_(sentence: str) -> str:
    """Mark a sentence for the catalogues of the product."""
    return sentence


class Reason(Enum):
    """The reasons: code for programs, and the sentence with gaps for the arguments."""

    # the device, by the messages of the protocol
    UNKNOWN_DEVICE = "unknown_device", N_("No device has this IMEI; add it first.")
    DAY_FULL = "day_full", N_("The device has sent as much as one may in a day; the camera keeps the rest.")
    NOTHING_LEFT = "done", N_("Nothing is left to send.")
    NOT_CONTINUED = "done", N_("The device did not go on after its file was acknowledged.")
    ENOUGH = "enough", N_("Enough for one session; the device may come again.")
    SILENT = "timeout", N_("The device was silent while we waited for %(state)s.")
    ANSWER_NOT_READ = "timeout", N_("The device did not read our answer.")
    TOO_SLOW = "too_slow", N_("Only %(bytes)s bytes came in a minute.")
    WRONG_MESSAGE = "out_of_order", N_("The device sent %(message)s while we waited for %(state)s.")
    BEFORE_INIT = "out_of_order", N_("The device sent %(message)s before its INIT.")
    UNASKED = "out_of_order", N_("The device keeps sending messages that were not asked for.")
    START_REPEATED = "out_of_order", N_("The device repeats its START and sends nothing.")
    IMEI_CHANGED = "imei_changed", N_("The device changed its IMEI within a session.")
    FILE_CHANGED = "file_changed", N_("The device announced another size for the same file.")
    TOO_LARGE = "too_large", N_("The device announced %(size)s bytes; the limit is %(limit)s.")
    WENT_BACK = "sync", N_("The device keeps going back to earlier packets.")
    TOO_MUCH = "too_much", N_("The device sent more than it announced.")
    SHORT_PACKET = "short_packet", N_("The packet at byte %(offset)s is too short.")
    NO_GOOD_PACKET = "bad_crc", N_("No packet with a right CRC for %(seconds)s s.")
    BAD_PACKETS = "bad_crc", N_("%(packets)s packets in a row with a wrong CRC.")
    # what the device says itself
    FINISHED = "device_status", N_("Status 0x00: the device says that it has finished.")
    GAVE_UP = "device_status", N_("Status 0x01: the device gave up after its reconnections.")
    GPRS_NOT_CLOSED = "device_status", N_("Status 0x02: the device failed to close its GPRS link.")
    SOCKET_NOT_CLOSED = "device_status", N_("Status 0x03: the device failed to close its socket.")
    BROKEN_OFF = "device_status", N_("Status 0x04: the device broke the transfer off.")
    ANSWER_INVALID = "device_status", N_("Status 0x05: the device took our answer to its INIT for invalid.")
    RESUME_INVALID = "device_status", N_("Status 0x06: the device took our RESUME for invalid.")
    NO_FILE = "device_status", N_("Status 0x11: the camera is not configured, or the file is not available.")
    OTHER_STATUS = "device_status", N_("Status %(status)s: the device ended the transfer.")
    # bytes that cannot be read
    BAD_IMEI = "bad_imei", N_("The device sent an IMEI of more than 15 digits, or none.")
    BAD_PATH = "bad_path", N_("The device offered a path that is not plain ASCII, or an identifier.")
    BAD_LENGTH = (
        "bad_length",
        N_("The device sent %(message)s with a length of %(length)s (%(low)s to %(high)s)."),
    )
    UNKNOWN_COMMAND = "unknown_command", N_("The device sent the unknown command %(command)s.")
    NO_CAMERA = "not_a_camera", N_("This is not the camera protocol: a frame begins with 0x00.")
    HTTP = "not_a_camera", N_("This is HTTP, from a browser or a scanner, and not the camera protocol.")
    TLS = "not_a_camera", N_("This is TLS, and no certificate is set for this port (RECEIVER_TLS_CERT).")
    MQTT = "not_a_camera", N_("This is MQTT, and not the camera protocol.")
    TRACKER_DATA = (
        "tracker_data",
        N_(
            "The tracker's own data came to the camera port: its server's Domain (2004) and Port (2005) name it."
        ),
    )
    # the connection
    CLOSED = "lost", N_("The device closed the connection.")
    BROKEN = "lost", N_("The connection broke (%(cause)s).")
    TAKEN_OVER = "taken_over", N_("A newer connection of this device went on with the file.")
    HANDED_OVER = "handed_over", N_("The device went on with the file at another receiver.")
    HELD_ELSEWHERE = "handed_over", N_("Another receiver went on with this file.")
    CROWDED_ADDRESS = "crowded", N_("Too many connections from this address.")
    CROWDED_SERVER = "crowded", N_("Too many connections; this one had sent no INIT.")
    CROWDED_DEVICE = "crowded", N_("The device opened too many connections.")
    FOREIGN_NETWORK = (
        "foreign_network",
        N_("The address is in none of the networks that devices may connect from."),
    )
    RESTARTED = "stopped", N_("The receiver restarts.")
    RESTARTED_SAFELY = "stopped", N_("The receiver restarts; the file is safe.")
    INTERNAL = "internal", N_("An internal error ended the session; the log has the details.")
    # what precedes the protocol
    NO_GREETING = "no_greeting", N_("The connection did not complete its PROXY header and TLS handshake.")
    NO_WORDS = "no_words", N_("The load balancer closed the connection without a PROXY header.")
    PROXY_CUT_OFF = "proxy", N_("The load balancer closed the connection within its PROXY header.")
    NO_PROXY_HEADER = "proxy", N_("The load balancer sent no PROXY header.")
    PROXY_VERSION = "proxy", N_("The PROXY header is of a version that nobody knows, or too long.")
    PROXY_TOO_SHORT = "proxy", N_("The PROXY header is too short for its addresses.")
    PROXY_WITHOUT_END = "proxy", N_("The PROXY line has no end.")
    PROXY_UNREADABLE = "proxy", N_("The PROXY line cannot be read.")
    WITHOUT_TLS = "tls", N_("The device spoke without TLS, which is mandatory here.")
    HANDSHAKE_FAILED = "tls", N_("The TLS handshake failed: %(cause)s.")
    NO_CERTIFICATE = "tls", N_("The TLS certificate cannot be read.")
    # keeping the file
    BUSY = "busy", N_("An older connection of this device does not let go of its file.")
    NOT_KEPT = "disk", N_("The file cannot be kept: %(cause)s.")
    NOT_WRITTEN = "disk", N_("The file cannot be written: %(cause)s.")
    NOT_STORED = "disk", N_("The file cannot be stored: %(cause)s.")
    PARTIAL_UNREADABLE = "disk", N_("The partial file cannot be read: %(cause)s.")
    PARTIAL_LOST = "partial_lost", N_("The partial file is shorter than its sidecar says.")
    STORE_AWAY = "store_away", N_("The media store cannot be used: %(cause)s")
    DEVICE_QUARANTINE_FULL = "quarantine_full", N_("This unknown device has sent as much as one may.")
    QUARANTINE_FULL = "quarantine_full", N_("Unknown devices have sent as much as they may in all.")

    def __init__(self, code: str, sentence: str) -> None:
        self.code, self.sentence = code, sentence

    @property
    def key(self) -> str:
        """Give the name by which rows keep the reason: it never changes."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Ending:
    """Why one connection ended: the reason, and what stands in the gaps of its sentence."""

    reason: Reason
    arguments: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def code(self) -> str:
        """Give the code for programs."""
        return self.reason.code

    def __str__(self) -> str:
        return self.reason.sentence % self.arguments


class EndingError(Exception):
    """Ends the connection; what is wrong stands in `ending`."""

    def __init__(self, reason: Reason, **arguments: str | int) -> None:
        self.ending = Ending(reason, arguments)
        super().__init__(str(self.ending))

    @property
    def code(self) -> str:
        """Give the code for programs."""
        return self.ending.code
