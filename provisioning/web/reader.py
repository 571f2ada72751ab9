"""Who reads the page of this request, as far as pages follow what the person chose: a language and a time zone."""

from flask import has_request_context
from flask_login import current_user
from sqlalchemy.exc import SQLAlchemyError

from provisioning.models import User, db


def person() -> User | None:
    """Give who is signed in; None where nobody is, or where the database is away."""
    if not has_request_context():
        return None
    try:
        return current_user.user if current_user.is_authenticated else None
    except SQLAlchemyError:  # the page of an error is shown while the database is away, too
        db.session.rollback()
        return None


def time_zone() -> str:
    """Give the zone that the person chose; UTC where none is."""
    user = person()
    return (user.time_zone if user else None) or "UTC"
