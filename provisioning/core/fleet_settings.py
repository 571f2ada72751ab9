"""Settings that administrators change on pages: the usual SMS login and country, and how long files are kept."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from provisioning.core import encryption
from provisioning.models import FleetSettings, db, put_all
from provisioning.models.fleet_settings import THE_ROW


def current() -> FleetSettings:
    """Give what is set; a row without any value where nothing ever was."""
    return db.session.get(FleetSettings, THE_ROW) or FleetSettings(id=THE_ROW)


def change(values: Mapping[str, Any], now: datetime) -> None:
    """Set the columns that are given, and commit; `sms_login` and `sms_password` come in clear."""
    secrets = {
        name: encryption.encrypt(values[name]) if values[name] else None
        for name in ("sms_login", "sms_password")
        if name in values
    }
    put_all(FleetSettings, [{"id": THE_ROW, **values, **secrets, "updated_at": now}], "id")
    db.session.commit()


def usual_credentials() -> dict[str, str]:
    """Give the usual SMS login and password in clear, by the names of a device's fields; nothing where none is set.

    Raises Undecryptable where the key that encrypted them is gone.
    """
    row = current()
    if not row.sms_login or not row.sms_password:
        return {}
    return {
        "sms_login": encryption.decrypt(row.sms_login),
        "sms_password": encryption.decrypt(row.sms_password),
    }
