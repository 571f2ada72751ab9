"""The parameters of devices, pure: catalogue, validation, warnings, labels of values.

No clock, files, sockets, Flask or SQL. Called by commands, forms, the API, the status table and the
checklist. A new parameter is one row in `catalogue`.
"""

from provisioning.tracker.parameters.catalogue import (
    CATALOGUE,
    CREDENTIALS,
    RECONFIGURING,
    with_camera_server,
)
from provisioning.tracker.parameters.firmware import firmware_at_least
from provisioning.tracker.parameters.gsm7 import outside_gsm7, septets
from provisioning.tracker.parameters.labels import SECRET_SHOWN, as_integer, describe, mask_names, same
from provisioning.tracker.parameters.parameter import Parameter
from provisioning.tracker.parameters.validation import REQUIRED, ParameterErrors, complete, validate
from provisioning.tracker.parameters.values import host_problem
from provisioning.tracker.parameters.warnings import BY_ITSELF, find_warnings

__all__ = [
    "BY_ITSELF",
    "CATALOGUE",
    "CREDENTIALS",
    "RECONFIGURING",
    "REQUIRED",
    "SECRET_SHOWN",
    "Parameter",
    "ParameterErrors",
    "as_integer",
    "complete",
    "describe",
    "find_warnings",
    "firmware_at_least",
    "host_problem",
    "mask_names",
    "outside_gsm7",
    "same",
    "septets",
    "validate",
    "with_camera_server",
]
