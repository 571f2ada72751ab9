"""Device parameters, pure: the catalogue, the gate for sets of them, warnings, and words for values.

No clock, files, sockets, Flask or SQL. Called by commands, forms, the API, the status table and the
checklist. A new parameter is one row in `catalogue`.
"""

from provisioning.parameters.alphabet import outside_gsm7, septets
from provisioning.parameters.catalogue import CATALOGUE, CREDENTIALS, RECONFIGURING, with_camera_server
from provisioning.parameters.cautions import BY_ITSELF, cautions
from provisioning.parameters.firmware import firmware_at_least
from provisioning.parameters.parameter import Parameter
from provisioning.parameters.validation import REQUIRED, ParameterErrors, complete, validate
from provisioning.parameters.values import host_problem
from provisioning.parameters.words import SECRET_SHOWN, as_integer, describe, mask_names

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
    "cautions",
    "complete",
    "describe",
    "firmware_at_least",
    "host_problem",
    "mask_names",
    "outside_gsm7",
    "septets",
    "validate",
    "with_camera_server",
]
