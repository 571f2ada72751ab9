"""Reads and checks the tags that a person or a token is limited to. `models.visibility` holds requests to them."""

from collections.abc import Sequence

from provisioning.core.errors import Conflict, Invalid
from provisioning.models import ApiToken, Role, User, WallLink, visibility
from provisioning.tracker.normalization import clean_line
from provisioning.translation import gettext

LENGTH = 40  # of a tag
MOST = 20


def of(row: User | ApiToken | WallLink) -> visibility.Tags | None:
    """Give the tags that somebody is limited to; None: the whole fleet."""
    return None if row.tags is None else frozenset(row.tags)


def checked(tags: Sequence[str] | None, role: Role) -> list[str] | None:
    """Give tags as they are stored.

    Raises Invalid naming `tags`, and Conflict for an administrator, who always sees the whole fleet.
    """
    if tags is None:
        return None
    found = sorted({tag for one in tags if (tag := clean_line(one))})
    if role is Role.ADMIN:
        sentence = gettext("An administrator sees the whole fleet: give another role, or no tags.")
        raise Conflict(sentence, code="sees_whole_fleet", errors={"tags": [sentence]})
    problem = None
    if not found:
        problem = gettext("Give one tag at least.")
    elif len(found) > MOST or any(len(tag) > LENGTH or "," in tag for tag in found):
        problem = gettext(
            "Give at most %(number)s tags, each of at most %(length)s characters and without a comma.",
            number=MOST,
            length=LENGTH,
        )
    if problem:
        raise Invalid(gettext("The tags cannot be taken."), errors={"tags": [problem]})
    return found
