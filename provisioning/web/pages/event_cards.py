"""What a card of an event shows: one picture of each camera, and what the event consists of, in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from provisioning.media import event_list
from provisioning.models import Event, Upload
from provisioning.web.pages import words


@dataclass(frozen=True, slots=True)
class EventCard:
    """An event with the file that stands for each of its cameras, front before rear; `content`: "2 clips, 1 photo".

    `seconds`: of its longest clip, where they are known.
    """

    event: Event
    pictures: tuple[Upload, ...]
    content: str
    seconds: int | None


def cards(events: Sequence[Event]) -> list[EventCard]:
    """Give the cards of events, in their order: two statements for any number of events."""
    files = event_list.files_of(events)
    return [
        EventCard(event, _pictures(shown), words.files_content(shown), clip_seconds(shown))
        for event in events
        for shown in (files[event.id],)
    ]


def clip_seconds(files: Sequence[Upload]) -> int | None:
    """Give how long the longest clip among files is; None where none says it."""
    return max((file.duration for file in files if file.file_type == "video" and file.duration), default=None)


def _pictures(files: Sequence[Upload]) -> tuple[Upload, ...]:
    """Choose the file of each camera that says most: with a picture before without, a clip before a photo."""
    chosen: dict[str, Upload] = {}
    for file in files:
        known = chosen.get(file.source)
        if known is None or _rank(file) > _rank(known):
            chosen[file.source] = file
    return tuple(chosen[source] for source in sorted(chosen))


def _rank(file: Upload) -> tuple[bool, bool]:
    return (file.thumbnail_state == "ready", file.file_type == "video")
