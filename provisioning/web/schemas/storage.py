"""For how long files are kept."""

from marshmallow import Schema, ValidationError

from provisioning.tracker.input_fields import WholeNumber
from provisioning.translation import N_, gettext
from provisioning.web.schemas.request_fields import Strict

DAYS = N_("Give a number of days from %(low)s to %(high)s.")


def kept_days_schema(least: int) -> Schema:
    """Make the schema of the days for which photos and clips are kept: 0 for ever, else `least` at least."""

    def check(value: int) -> None:
        if value and value < least:
            raise ValidationError(
                gettext("At least %(number)s days, or 0 to keep them for ever.", number=least)
            )

    days = {name: WholeNumber(0, 36_500, DAYS, required=True, validate=check) for name in ("photo", "video")}
    return Strict.from_dict(days)()  # type: ignore[arg-type]
