"""What cameras say of their files, and how many of a fleet say less than others. For every fleet; imports nothing."""

from enum import StrEnum


class MetadataAnswer(StrEnum):
    """What a camera says of a file when it is asked by 0x000A."""

    ALL = "all"  # binary, with a time and a trigger
    NOTHING = "nothing"  # it never answers
    NO_TIME = "no time"  # binary, with timestamp 0
    PATH = "path"  # by path: JSON with a time and a trigger
    NO_TRIGGER = "no trigger"  # by path: JSON without fm_trigger
    RAW = "raw"  # by path: RAW_METADATA

    @property
    def by_path(self) -> bool:
        """Whether the camera offers its files by path."""
        return self in (MetadataAnswer.PATH, MetadataAnswer.NO_TRIGGER, MetadataAnswer.RAW)

    @property
    def has_time(self) -> bool:
        """Whether the server gets to know when a file was made."""
        return self in (MetadataAnswer.ALL, MetadataAnswer.PATH, MetadataAnswer.NO_TRIGGER)


IN_TEN = {
    1: MetadataAnswer.NOTHING,
    2: MetadataAnswer.NO_TIME,
    3: MetadataAnswer.NO_TRIGGER,
    4: MetadataAnswer.RAW,
    5: MetadataAnswer.PATH,
}
# as long as a DSM camera's, whose layout is not known: neither JSON nor a binary form that is
RAW_METADATA = bytes(range(1, 27))


def metadata_answer_of(number: int) -> MetadataAnswer:
    """Give what the number-th camera of a fleet says of its files: the same mixture in each ten."""
    return IN_TEN.get(number % 10, MetadataAnswer.ALL)
