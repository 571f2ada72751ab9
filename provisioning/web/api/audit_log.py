"""The log of who did and saw what."""

from typing import Any

from provisioning.core import audit
from provisioning.models import AuditEntry
from provisioning.web import serializers
from provisioning.web.api import openapi, shared
from provisioning.web.schemas.audit_log import AuditFilter

blueprint = openapi.Blueprint("audit", __name__, description="Who did and saw what")


@blueprint.get("/audit")
@blueprint.arguments(AuditFilter, location="query")
@blueprint.response(200, openapi.page(openapi.AUDIT_ENTRY))
def list_entries(given: dict[str, Any]) -> dict[str, Any]:
    """List entries, newest first."""
    wanted = audit.EntryFilter(
        given.get("who", ""), given.get("object", ""), given.get("since"), given.get("until")
    )
    return shared.page(
        audit.select_entries(wanted),
        AuditEntry.id,
        given,
        lambda rows: [serializers.audit_entry(row) for row in rows],
    )
