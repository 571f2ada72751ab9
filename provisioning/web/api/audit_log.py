"""The log of who did and saw what."""

from typing import Any

from provisioning.core import audit
from provisioning.models import AuditEntry
from provisioning.web.api import openapi, shared
from provisioning.web.schemas.audit_log import AuditEntryResponse, AuditFilter
from provisioning.web.schemas.lists import Page, page_of

blueprint = openapi.Blueprint("audit", __name__, description="Who did and saw what")


@blueprint.get("/audit")
@blueprint.arguments(AuditFilter, location="query")
@blueprint.response(200, page_of(AuditEntryResponse))
def list_entries(given: dict[str, Any]) -> Page:
    """List entries, newest first."""
    wanted = audit.EntryFilter(
        given.get("who", ""), given.get("object", ""), given.get("since"), given.get("until")
    )
    return shared.page(audit.select_entries(wanted), AuditEntry.id, given)
