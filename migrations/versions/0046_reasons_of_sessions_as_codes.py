"""reasons of sessions as codes with arguments

Those whose sentence was always the same get their codes; a sentence that holds a figure of its moment is read as it
is. A table of sessions may be large: it is read once.

Revision ID: 0046
Revises: 0045
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

WORDS = {
    "unknown_device": "No device has this IMEI; add it first.",
    "day_full": "The device has sent as much as one may in a day; the camera keeps the rest.",
    "nothing_left": "Nothing is left to send.",
    "not_continued": "The device did not go on after its file was acknowledged.",
    "enough": "Enough for one session; the device may come again.",
    "silent": "The device was silent while we waited for %(state)s.",
    "answer_not_read": "The device did not read our answer.",
    "too_slow": "Only %(bytes)s bytes came in a minute.",
    "wrong_message": "The device sent %(message)s while we waited for %(state)s.",
    "before_init": "The device sent %(message)s before its INIT.",
    "unasked": "The device keeps sending messages that were not asked for.",
    "start_repeated": "The device repeats its START and sends nothing.",
    "imei_changed": "The device changed its IMEI within a session.",
    "file_changed": "The device announced another size for the same file.",
    "too_large": "The device announced %(size)s bytes; the limit is %(limit)s.",
    "went_back": "The device keeps going back to earlier packets.",
    "too_much": "The device sent more than it announced.",
    "short_packet": "The packet at byte %(offset)s is too short.",
    "no_good_packet": "No packet with a right CRC for %(seconds)s s.",
    "bad_packets": "%(packets)s packets in a row with a wrong CRC.",
    "finished": "Status 0x00: the device says that it has finished.",
    "gave_up": "Status 0x01: the device gave up after its reconnections.",
    "gprs_not_closed": "Status 0x02: the device failed to close its GPRS link.",
    "socket_not_closed": "Status 0x03: the device failed to close its socket.",
    "broken_off": "Status 0x04: the device broke the transfer off.",
    "answer_invalid": "Status 0x05: the device took our answer to its INIT for invalid.",
    "resume_invalid": "Status 0x06: the device took our RESUME for invalid.",
    "no_file": "Status 0x11: the camera is not configured, or the file is not available.",
    "other_status": "Status %(status)s: the device ended the transfer.",
    "bad_imei": "The device sent an IMEI of more than 15 digits, or none.",
    "bad_path": "The device offered a path that is not plain ASCII, or an identifier.",
    "bad_length": "The device sent %(message)s with a length of %(length)s (%(low)s to %(high)s).",
    "unknown_command": "The device sent the unknown command %(command)s.",
    "no_camera": "This is not the camera protocol: a frame begins with 0x00.",
    "http": "This is HTTP, from a browser or a scanner, and not the camera protocol.",
    "tls": "This is TLS, and no certificate is set for this port (RECEIVER_TLS_CERT).",
    "mqtt": "This is MQTT, and not the camera protocol.",
    "tracker_data": "The tracker's own data (AVL) came to the camera port: parameters 2004 and 2005 name it.",
    "closed": "The device closed the connection.",
    "broken": "The connection broke (%(cause)s).",
    "taken_over": "A newer connection of this device went on with the file.",
    "handed_over": "The device went on with the file at another receiver.",
    "held_elsewhere": "Another receiver went on with this file.",
    "crowded_address": "Too many connections from this address.",
    "crowded_server": "Too many connections; this one had sent no INIT.",
    "crowded_device": "The device opened too many connections.",
    "foreign_network": "The address is in none of the networks that devices may connect from.",
    "restarted": "The receiver restarts.",
    "restarted_safely": "The receiver restarts; the file is safe.",
    "internal": "An internal error ended the session; the log has the details.",
    "no_greeting": "The connection did not complete its PROXY header and TLS handshake.",
    "no_words": "The load balancer closed the connection without a PROXY header.",
    "proxy_cut_off": "The load balancer closed the connection within its PROXY header.",
    "no_proxy_header": "The load balancer sent no PROXY header.",
    "proxy_version": "The PROXY header is of a version that nobody knows, or too long.",
    "proxy_too_short": "The PROXY header is too short for its addresses.",
    "proxy_without_end": "The PROXY line has no end.",
    "proxy_unreadable": "The PROXY line cannot be read.",
    "without_tls": "The device spoke without TLS, which is mandatory here.",
    "handshake_failed": "The TLS handshake failed: %(cause)s.",
    "no_certificate": "The TLS certificate cannot be read.",
    "busy": "An older connection of this device does not let go of its file.",
    "not_kept": "The file cannot be kept: %(cause)s.",
    "not_written": "The file cannot be written: %(cause)s.",
    "not_stored": "The file cannot be stored: %(cause)s.",
    "partial_unreadable": "The partial file cannot be read: %(cause)s.",
    "partial_lost": "The partial file is shorter than its sidecar says.",
    "store_away": "The media store cannot be used: %(cause)s",
    "device_quarantine_full": "This unknown device has sent as much as one may.",
    "quarantine_full": "Unknown devices have sent as much as they may in all.",
    "receiver_ended": "The receiver that had it was ended; how the connection ended is not known.",
}
REASON: sa.ColumnClause[str] = sa.column("reason", sa.Text())
SESSIONS = sa.table("sessions", REASON)


def upgrade() -> None:
    """Write codes for sentences without gaps."""
    _replace({words: _phrase(code) for code, words in WORDS.items() if "%" not in words})


def downgrade() -> None:
    """Write the sentences again."""
    phrases = sa.select(REASON).where(REASON.like('{"arguments":%')).distinct()
    held = op.get_bind().execute(phrases).scalars().all()
    _replace({text: _sentence(json.loads(text)) for text in held})


def _phrase(code: str) -> str:
    return json.dumps({"arguments": {}, "code": code}, separators=(",", ":"))


def _sentence(phrase) -> str:  # type: ignore[no-untyped-def]
    given = phrase["arguments"]
    return str(given["text"]) if phrase["code"] == "text" else WORDS[phrase["code"]] % given


def _replace(changes: dict[str, str]) -> None:
    """Write other words, for some hundred of them in one pass over the sessions."""
    items = list(changes.items())
    for at in range(0, len(items), 500):
        some = dict(items[at : at + 500])
        new = sa.case(*((old == REASON, text) for old, text in some.items()))
        op.execute(sa.update(SESSIONS).where(REASON.in_(list(some))).values(reason=new))
