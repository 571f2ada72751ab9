"""The parameters of devices, pure: catalogue, validation, warnings, labels of values.

No clock, files, sockets, Flask or SQL. Called by commands, forms, the API, the status table and the
checklist. A new parameter is one row in `catalogue`; rules speak of it by its key.
"""

from provisioning.tracker.parameters.catalogue import CATALOGUE, with_camera_server
from provisioning.tracker.parameters.firmware import firmware_at_least
from provisioning.tracker.parameters.gsm7 import outside_gsm7, septets
from provisioning.tracker.parameters.labels import (
    SECRET_SHOWN,
    as_integer,
    describe,
    mask_names,
    named_settings,
    same,
    setting,
    titled,
)
from provisioning.tracker.parameters.lookup import (
    CREDENTIALS,
    READ_BACK,
    RECONFIGURING,
    REQUIRED,
    REQUIRED_IN_WORDS,
    SENDS_BY_ITSELF,
    TRACKER_SERVER,
    by_key,
    id_of,
    status_item,
)
from provisioning.tracker.parameters.parameter import Parameter
from provisioning.tracker.parameters.validation import ParameterErrors, complete, validate
from provisioning.tracker.parameters.values import host_problem
from provisioning.tracker.parameters.warnings import ParameterWarning, WarningCode, find_warnings, texts_by_id

__all__ = [
    "CATALOGUE",
    "CREDENTIALS",
    "READ_BACK",
    "RECONFIGURING",
    "REQUIRED",
    "REQUIRED_IN_WORDS",
    "SECRET_SHOWN",
    "SENDS_BY_ITSELF",
    "TRACKER_SERVER",
    "Parameter",
    "ParameterErrors",
    "ParameterWarning",
    "WarningCode",
    "as_integer",
    "by_key",
    "complete",
    "describe",
    "find_warnings",
    "firmware_at_least",
    "host_problem",
    "id_of",
    "mask_names",
    "named_settings",
    "outside_gsm7",
    "same",
    "septets",
    "setting",
    "status_item",
    "texts_by_id",
    "titled",
    "validate",
    "with_camera_server",
]
