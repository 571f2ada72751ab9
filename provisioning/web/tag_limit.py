"""Reads and checks the tags that a person or a token is limited to. `models.visibility` holds requests to them."""

from collections.abc import Sequence

from provisioning.core.errors import Conflict, Invalid
from provisioning.models import ApiToken, Role, User, WallLink, visibility
from provisioning.tracker.normalization import clean_line

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
        sentence = "An administrator sees the whole fleet: give another role, or no tags."
        raise Conflict(sentence, code="sees_whole_fleet", errors={"tags": [sentence]})
    problem = None
    if not found:
        problem = "Give one tag at least."
    elif len(found) > MOST or any(len(tag) > LENGTH or "," in tag for tag in found):
        problem = f"Give at most {MOST} tags, each of at most {LENGTH} characters and without a comma."
    if problem:
        raise Invalid("The tags cannot be taken.", errors={"tags": [problem]})
    return found
