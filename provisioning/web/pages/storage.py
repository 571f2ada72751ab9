"""Settings, Storage: what is used, how fast it grows, and for how many days photos and clips are kept."""

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from provisioning.core import fleet_settings
from provisioning.core.config import current_config
from provisioning.core.errors import Conflict, ServiceError
from provisioning.media import kept_days, storage_use
from provisioning.media.kept_days import KeptDays
from provisioning.models import utcnow
from provisioning.translation import gettext
from provisioning.web import audit_notes
from provisioning.web.pages import forms
from provisioning.web.schemas.storage import kept_days_schema


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/storage", "storage", show)
    blueprint.add_url_rule("/settings/storage", "keep_days", keep_days, methods=["POST"])


def show() -> ResponseReturnValue:
    """Show what is stored; with other days in the address, what they would remove."""
    try:
        return _page(asked=_read(request.args) if request.args else None)
    except ServiceError as error:
        return _page(error=error), error.status


def keep_days() -> ResponseReturnValue:
    """Keep photos and clips for other numbers of days; the worker removes what is older within an hour."""

    def work() -> str:
        if kept_days.on_server(current_config()):
            raise Conflict(
                gettext("It is set on the server, by %(setting)s.", setting="RETENTION_DAYS_UPLOADS")
            )
        days = _read(request.form)
        values = {"photo_days": days.photo, "video_days": days.video}
        fleet_settings.change(values, utcnow())
        audit_notes.settings("storage", values)
        return url_for("pages.storage")

    return forms.once(work, lambda error: (_page(error=error), error.status))


def _read(given: forms.Given) -> KeptDays:
    schema = kept_days_schema(kept_days.least_days(current_config()))
    # an empty field is shown as "for ever"
    values = forms.load_from(
        schema, {name: text.strip() or "0" for name, text in given.items()}, "photo", "video"
    )
    return KeptDays(values["photo"], values["video"])


def _page(*, asked: KeptDays | None = None, error: ServiceError | None = None) -> str:
    config, use = current_config(), storage_use.in_use()
    return render_template(
        "settings/storage.html", config=config, use=use, minutes=storage_use.COUNT_MINUTES,
        disk=storage_use.disk(config, use.a_day if use.is_of_a_day else 0), kept=kept_days.kept_days(),
        on_server=kept_days.on_server(config) is not None, least=kept_days.least_days(config), asked=asked,
        removed=storage_use.would_remove(asked, utcnow()) if asked else None,
        first=storage_use.first_due(asked, utcnow()) if asked else None, error=error,
        errors=error.errors if error else {}, given=request.values,
    )  # fmt: skip
