"""TCP sessions of devices."""

from provisioning.media import session_words
from provisioning.models import CameraSession
from provisioning.web.schemas.response_fields import Boolean, Count, ResponseSchema, Text, Time


def _is_known(row: CameraSession) -> bool:
    return row.device_id is not None


def _reason(row: CameraSession) -> str | None:
    return session_words.reason(row.reason) if row.reason else None


class SessionResponse(ResponseSchema):
    """A TCP session."""

    id = Text()
    imei = Text(null=True)
    known = Boolean(_is_known, about="whether it is of a device that was added")
    address = Text()
    started_at = Time()
    ended_at = Time(null=True)
    code = Text(null=True, about="why it ended, for programs")
    reason = Text(_reason, null=True, about="why it ended, for people")
    files = Count()
    bytes = Count("bytes_received")
    crc_errors = Count()
    resumes = Count()
    connections = Count(about="how many connections this row stands for")
