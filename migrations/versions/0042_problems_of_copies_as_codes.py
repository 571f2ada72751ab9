"""problems of copies as codes

Those whose text was always the same get their codes; any other is read as it is.

Revision ID: 0042
Revises: 0041
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None

CODES = {
    "Making the copy was broken off each time it was tried; the original can be downloaded.": "broken_off",
    "Making the copy took too long.": "took_too_long",
    "The copy would be larger than is allowed.": "copy_too_large",
    "Decoding the file takes more memory than is allowed.": "too_much_memory",
    "The original is not there.": "no_original",
    "The file is not a JPEG picture.": "no_jpeg",
    "The end of this photo is missing; what came of it is shown.": "end_missing",
    "The file is neither an H.265 stream nor an MP4 file.": "unknown_video_format",
    "The video is neither H.264 nor H.265.": "unknown_codec",
    "The video holds no picture.": "no_picture",
}
ERROR: sa.ColumnClause[str] = sa.column("derived_error", sa.Text())


def _phrase(code: str) -> str:
    return json.dumps({"arguments": {}, "code": code}, separators=(",", ":"))


def upgrade() -> None:
    _replace({text: _phrase(code) for text, code in CODES.items()})


def downgrade() -> None:
    _replace({_phrase(code): text for text, code in CODES.items()})


def _replace(changes: dict[str, str]) -> None:
    """Write other words in one pass over the files."""
    new = sa.case(*((old == ERROR, text) for old, text in changes.items()))
    files = sa.table("uploads", ERROR)
    op.execute(sa.update(files).where(ERROR.in_(list(changes))).values(derived_error=new))
