"""For schemathesis: formats of the API's document that no JSON Schema can say, and answers without other fields."""

import time
import zoneinfo
from datetime import UTC, datetime
from typing import Any

import described_answers
import schemathesis
from hypothesis import strategies as st
from stdnum import luhn

PROFILE = "City"  # the one that the tests' database has
ZONES = zoneinfo.available_timezones()
EARLIEST = 946_684_800  # 2000-01-01
NOW = int(time.time()) - 180  # a video of up to 120 s is over then


def _with_check_digit(digits: str) -> str:
    return digits + luhn.calc_check_digit(digits)


IMEIS = st.text("0123456789", min_size=14, max_size=14).map(_with_check_digit)
MOMENTS = st.integers(EARLIEST, NOW).map(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat())

schemathesis.openapi.format("imei", IMEIS)
schemathesis.openapi.format("time-zone", st.sampled_from(sorted(ZONES)))
schemathesis.openapi.format("profile", st.just(PROFILE))
schemathesis.openapi.format("past-time", MOMENTS)


@schemathesis.hook
def before_load_schema(context: Any, raw_schema: dict[str, Any]) -> None:
    """Let an answer that has a field which is not described fail."""
    described_answers.close(raw_schema)


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Move a number of Unix seconds that lies ahead into the past: the document says so in words."""
    moment = body.get("timestamp") if isinstance(body, dict) else None
    if isinstance(moment, int | float) and not isinstance(moment, bool) and moment > NOW:
        body["timestamp"] = EARLIEST + int(moment) % (NOW - EARLIEST)
    return body


@schemathesis.hook
def before_call(context: Any, case: Any, **options: Any) -> None:
    """Give no device a private cabin: which values it takes would depend on that, as the docs say in words."""
    if isinstance(case.body, dict) and case.body.get("cabin_private") is True:
        case.body = case.body | {"cabin_private": False}
