"""Presets: named, versioned parameter sets. A change makes a new version; old versions stay."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from provisioning.commands import submission
from provisioning.core.errors import Conflict, NotFound
from provisioning.models import Profile, db
from provisioning.tracker.parameters import complete
from provisioning.translation import gettext

VERSION = re.compile(r"[0-9]{1,9}")  # what a database's integer holds


def save(name: str, description: str, parameters: Mapping[Any, Any], by: str, now: datetime) -> Profile:
    """Keep a parameter set under a name, as a new version unless nothing changed. Commits.

    Raises ParameterErrors by parameter id.
    """
    checked = {
        str(number): value for number, value in complete(parameters, catalogue=submission.catalogue()).items()
    }
    latest = db.session.scalar(
        select(Profile).where(Profile.name == name).order_by(Profile.version.desc()).limit(1)
    )
    if latest is not None and latest.parameters == checked and latest.description == description:
        return latest
    profile = Profile(
        name=name,
        version=latest.version + 1 if latest else 1,
        description=description,
        parameters=checked,
        created_by=by,
        created_at=now,
    )
    db.session.add(profile)
    try:
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        raise Conflict(
            gettext("Somebody else changed this profile at this moment; look at it, then try again.")
        ) from error
    return profile


def find(reference: str) -> Profile:
    """Give a profile by "name" (its newest version) or "name@version". Raises NotFound."""
    name, _, version = reference.rpartition("@")
    if not name or not VERSION.fullmatch(version):
        name, version = reference, ""
    query = select(Profile).where(Profile.name == name)
    query = (
        query.where(Profile.version == int(version)) if version else query.order_by(Profile.version.desc())
    )
    profile = db.session.scalar(query.limit(1))
    if profile is None:
        raise NotFound(gettext("There is no profile %(name)s.", name=repr(reference[:120])))
    return profile


def newest() -> Sequence[Profile]:
    """Give the newest version of every profile, by name."""
    latest = (
        select(Profile.name, func.max(Profile.version).label("version")).group_by(Profile.name).subquery()
    )
    return db.session.scalars(
        select(Profile)
        .join(latest, (Profile.name == latest.c.name) & (Profile.version == latest.c.version))
        .order_by(Profile.name)
    ).all()
