"""Events: files of one moment or of one request that belong together, who has seen them, and whether they are kept."""

from datetime import datetime

from sqlalchemy import ColumnElement, ForeignKey, Index, String, and_, literal_column
from sqlalchemy.orm import Mapped, mapped_column, relationship

from provisioning.models.base import db, partial_index
from provisioning.models.devices import Device

_UNSEEN = "seen_at IS NULL"
_URGENT = "kind IN ('crash', 'tow')"  # somebody has to look at these


class Event(db.Model):  # type: ignore[name-defined]
    """Files that belong together, as `media.event_rules` decides; the files name it in `Upload.event_id`.

    Its id begins with the milliseconds of its time, so that ids sort by the time of events. `at` may come to lie some
    seconds before that, when an earlier file of the same moment arrives later.
    """

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_device_id_id", "device_id", "id"),
        Index("ix_events_kind_id", "kind", "id"),
        partial_index("ix_events_unseen", "id", where=_UNSEEN),
        partial_index("ix_events_needing_a_look", "id", where=f"{_UNSEEN} AND {_URGENT}"),
        partial_index("ix_events_saved", "id", where="saved_at IS NOT NULL"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    device_id: Mapped[int] = mapped_column(ForeignKey("devices.id"))
    kind: Mapped[str] = mapped_column(String(8))  # media.event_rules.EventKind
    at: Mapped[datetime]
    # what its files are: "front", "rear" or "both"; "photo", "video" or "both"
    cameras: Mapped[str] = mapped_column(String(8))  # as the source of a file
    file_types: Mapped[str] = mapped_column(String(5))
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    seen_at: Mapped[datetime | None]  # by whom: EventView
    saved_at: Mapped[datetime | None]  # its files are kept beyond their retention
    saved_by: Mapped[str | None] = mapped_column(String(300))

    device: Mapped[Device] = relationship()


class EventView(db.Model):  # type: ignore[name-defined]
    """Somebody has seen an event, for the first time then."""

    __tablename__ = "event_views"

    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"), primary_key=True)
    who: Mapped[str] = mapped_column(String(300), primary_key=True)
    at: Mapped[datetime]


# unseen, and of a kind that somebody has to look at, as the index says it
NEEDS_A_LOOK: ColumnElement[bool] = and_(
    Event.seen_at.is_(None), Event.kind.in_([literal_column("'crash'"), literal_column("'tow'")])
)
