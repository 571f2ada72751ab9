"""reasons of links as codes with arguments

Revision ID: 0039
Revises: 0038
"""

import json
import re

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

REASON: sa.ColumnClause[str] = sa.column("link_reason", sa.Text())
UPLOADS = sa.table("uploads", REASON)
TRIGGERS = (
    "server request", "DIN1", "DIN2", "crash", "towing", "idling", "geofence", "unplug", "green driving", "periodic",
    "DIN3", "DIN4",
)  # fmt: skip
NAMES = "|".join(TRIGGERS)
# each text as a pattern, and the code that says it; a named part is an argument
CODES = (
    (r"its time is that of the request \((?P<seconds>\d+) s apart\)", "time_is_same"),
    (r"its time is near that of the request \((?P<seconds>\d+) s apart\)", "time_is_near"),
    ("its time fits the request if the camera's time zone is taken off", "time_fits_without_zone"),
    ("the only request that fits", "only_one_fits"),
    ("the first of several requests that fit, by order", "first_that_fits"),
    ("no metadata; the only request that fits", "only_one_fits_without_metadata"),
    ("no metadata, and several requests fit", "several_fit_without_metadata"),
    ("no metadata, and triggers or periodic photos are on: it may be one of those", "may_be_by_itself"),
    ("no request fits", "none_fits"),
    ("captured before we asked", "captured_before"),
    (
        "it looked like the answer to a request, but the file that certainly is the answer came as well",
        "looked_like_answer",
    ),
    (rf"taken by itself: trigger (?:(?P<name>{NAMES})|number (?P<trigger>\d+))", "taken_by_itself"),
    ("linked by (?P<who>.*)", "linked_by"),
    ("unlinked by (?P<who>.*)", "unlinked_by"),
)


def upgrade() -> None:
    """Give each reason its code: all of them say it exactly."""
    _replace(_as_code)


def downgrade() -> None:
    """Write the sentences again."""
    _replace(_as_text)


def _replace(change) -> None:  # type: ignore[no-untyped-def]
    held = op.get_bind().execute(sa.select(REASON).where(REASON.is_not(None)).distinct()).scalars().all()
    for text in held:
        op.execute(sa.update(UPLOADS).where(text == REASON).values(link_reason=change(text)))


def _as_code(text: str) -> str:
    for pattern, code in CODES:
        if found := re.fullmatch(pattern, text):
            given = {name: value for name, value in found.groupdict().items() if value is not None}
            if "name" in given:
                given = {"trigger": str(TRIGGERS.index(given["name"]))}
            arguments = {name: value if name == "who" else int(value) for name, value in given.items()}
            return json.dumps(
                {"arguments": arguments, "code": code}, ensure_ascii=False, separators=(",", ":")
            )
    return text


def _as_text(text: str) -> str:
    if not text.startswith('{"arguments":'):
        return text
    phrase = json.loads(text)
    given = phrase["arguments"]
    if phrase["code"] == "text":
        return str(given["text"])
    if "trigger" in given:
        known = given["trigger"] < len(TRIGGERS)
        name = TRIGGERS[given["trigger"]] if known else f"number {given['trigger']}"
        return f"taken by itself: trigger {name}"
    pattern = next(pattern for pattern, code in CODES if code == phrase["code"])
    filled = re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda found: str(given[found[1]]), pattern)
    return filled.replace("\\", "")
