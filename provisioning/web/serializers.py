"""How rows look from outside: the JSON of the API, which pages use as well. No rules, no credentials in clear."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from provisioning.commands import command_words
from provisioning.commands.request_preview import Preview
from provisioning.devices import health_view, status_words
from provisioning.devices.health_view import HealthView
from provisioning.media import copy_words, event_list, link_words
from provisioning.models import (
    TRIGGERS,
    ApiToken,
    AuditEntry,
    CameraSession,
    Command,
    Device,
    Event,
    Message,
    Profile,
    Share,
    StatusItem,
    Upload,
    User,
    utcnow,
)
from provisioning.models.timestamps import stamp
from provisioning.web.invitations import Invitation

SHOWN = "•••••"
CONTRACT_SOURCES = ("command", "upload", "record")


def moment(value: datetime | None) -> str | None:
    """Give a time as RFC 3339 in UTC."""
    return stamp(value) if value is not None else None


def devices(rows: Sequence[Device]) -> list[dict[str, Any]]:
    """Show devices; credentials as dots."""
    health = health_view.of(rows, utcnow())
    return [_device(row, health[row.id]) for row in rows]


def device(row: Device) -> dict[str, Any]:
    """Show a device; credentials as dots."""
    return devices([row])[0]


def _health(view: HealthView) -> dict[str, Any]:
    """Show health; `code` and the action's `kind` are listed in docs/api.md."""
    action = {"label": view.action.label, "kind": str(view.action.kind)} if view.action else None
    return {
        "state": str(view.state),
        "code": view.code,
        "reason": view.reason,
        "since": moment(view.since),
        "action": action,
    }


def _device(row: Device, health: HealthView) -> dict[str, Any]:
    return {
        "imei": row.imei,
        "phone": row.phone,
        "name": row.name,
        "model": row.model,
        "sms_login": SHOWN if row.sms_login else None,
        "sms_password": SHOWN if row.sms_password else None,
        "credentials_pending": row.credentials_state is not None,
        "time_zone": row.time_zone,
        "firmware": row.firmware,
        "camera_server_configured": row.camera_server_configured,
        "cabin_private": row.cabin_private,
        "health": _health(health),
        "seen_at": moment(row.seen_at),
        "tags": row.tags,
        "plate": row.plate or "",
        "profile": row.profile.name if row.profile else None,
        "profile_version": row.profile.version if row.profile else None,
        "card_gb": row.card_gb,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "archived_at": moment(row.archived_at),
    }


def audit_entry(row: AuditEntry) -> dict[str, Any]:
    """Show an entry of the log of people."""
    return {
        "id": row.id,
        "at": moment(row.at),
        "who": row.who,
        "address": row.address,
        "action": row.action,
        "object": row.object,
        "imei": row.imei,
        "detail": row.detail or {},
    }


def user(row: User, seen_at: datetime | None) -> dict[str, Any]:
    """Show a person."""
    return {
        "id": str(row.id),
        "email": row.email,
        "name": row.name or "",
        "role": row.role,
        "tags": row.tags,
        "active": row.active,
        "language": row.language,
        "time_zone": row.time_zone,
        "has_password": bool(row.password_hash),
        "invited_until": moment(row.invite_until),
        "seen_at": moment(seen_at),
        "created_at": moment(row.created_at),
    }


def invitation(link: Invitation) -> dict[str, Any]:
    """Show the link of an invitation."""
    return {
        "url": link.url,
        "expires_at": moment(link.expires_at),
        "mailed": link.is_mailed,
        "problem": link.problem or None,
    }


def token(row: ApiToken) -> dict[str, Any]:
    """Show a token, which itself is kept nowhere."""
    return {
        "id": str(row.id),
        "name": row.name,
        "role": row.role,
        "tags": row.tags,
        "made_by": row.made_by or "",
        "last_used_at": moment(row.last_used_at),
        "expires_at": moment(row.expires_at),
        "created_at": moment(row.created_at),
    }


def status_item(row: StatusItem) -> dict[str, Any]:
    """Show a status item; `source` names where it is known from, or `seen_in` a message or session."""
    told = {row.source_kind: row.source_id} if row.source_kind else None
    return {
        "item": row.item,
        "value": command_words.status_value(row),
        "asked": row.asked,
        "verdict": row.verdict,
        "note": status_words.note(row.note) if row.note else None,
        "since": moment(row.since),
        "checked_at": moment(row.checked_at),
        "source": told if row.source_kind in CONTRACT_SOURCES else None,
        "seen_in": told if row.source_kind not in CONTRACT_SOURCES else None,
    }


def command(row: Command, uploads: Sequence[Upload], batch: Sequence[str] = ()) -> dict[str, Any]:
    """Show a command with its uploads."""
    error = None
    if row.error_code:
        error = {
            "code": row.error_code,
            "message": command_words.said(row.error),
            "retry": bool(row.error_retry),
        }
    return {
        "id": row.id,
        "imei": row.device.imei,
        "command": row.kind,
        "arguments": {} if "encrypted" in row.arguments else row.arguments,
        "state": row.shown_state,
        "text": row.text,
        "length": row.length,
        "reply": row.reply,
        "result": _result(row.result),
        "match": row.match,
        "error": error,
        "note": command_words.said(row.note),
        "late": row.late,
        "uploads": [upload(item) for item in uploads],
        "history": [step | {"note": command_words.said(step["note"])} for step in row.history],
        "requested_by": row.requested_by,
        "parent": row.parent_id,
        "batch": list(batch) or None,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "expires_at": moment(row.expires_at),
    }


def _result(result: dict[str, Any] | None) -> dict[str, Any] | None:
    """Show what is known by a command's answer; each reply with its sentence."""
    if result is None or "replies" not in result:
        return result
    replies = [reply | {"sentence": command_words.reply_sentence(reply)} for reply in result["replies"]]
    return result | {"replies": replies}


def preview(found: Preview, blocking: dict[str, Any] | None) -> dict[str, Any]:
    """Show what a command would do; `blocking` is the command that has to end first, as it is shown."""
    price, ready = found.price, found.ready_in
    return {
        "messages": [{"text": sms.masked, "length": sms.length} for sms in found.messages],
        "sms": len(found.messages),
        "price": {"amount": float(price.amount), "currency": price.currency} if price else None,
        "megabytes": round(found.size / 1e6, 2),
        "ready_in": {"seconds": ready.seconds, "low": ready.low, "high": ready.high, "basis": ready.basis},
        "warnings": [{"code": warning.code, "text": warning.text} for warning in found.warnings],
        "blocked_by": blocking,
        "already_here": upload(found.already_here) if found.already_here else None,
    }


def events(rows: Sequence[Event]) -> list[dict[str, Any]]:
    """Show events with their files, and who has seen them."""
    files, names = event_list.files_of(rows), event_list.seen_by(rows)
    return [_event(row, files.get(row.id, []), names.get(row.id, [])) for row in rows]


def event(row: Event) -> dict[str, Any]:
    """Show an event with its files, and who has seen it."""
    return events([row])[0]


def _event(row: Event, files: Sequence[Upload], names: Sequence[str]) -> dict[str, Any]:
    place = None
    if row.latitude is not None:
        place = {"latitude": row.latitude, "longitude": row.longitude}
    return {
        "id": row.id,
        "imei": row.device.imei,
        "kind": row.kind,
        "at": moment(row.at),
        "uploads": [upload(file) for file in files],
        "seen_by": list(names),
        "seen_at": moment(row.seen_at),
        "saved": row.saved_at is not None,
        "saved_by": row.saved_by,
        "place": place,
    }


def share(row: Share) -> dict[str, Any]:
    """Show a share; its address is known to nobody but who made it."""
    return {
        "id": row.id,
        "event": row.object_id,
        "created_by": row.created_by,
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "ended_at": moment(row.ended_at),
        "password": row.password_hash is not None,
        "views": row.views,
        "viewed_at": moment(row.viewed_at),
    }


def upload(row: Upload) -> dict[str, Any]:
    """Show an upload; `link` says which command made it, why, and how sure that is."""
    return {
        "id": row.id,
        "imei": row.imei,
        "file_type": row.file_type,
        "source": row.source,
        "trigger": row.trigger,
        "trigger_name": TRIGGERS.get(row.trigger, f"number {row.trigger}")
        if row.trigger is not None
        else None,
        "timestamp": moment(row.timestamp),
        "trigger_timestamp": moment(row.trigger_timestamp),
        "duration": row.duration,
        "frame_rate": row.frame_rate,
        "camera_time_zone": row.camera_time_zone,
        "latitude": row.latitude,
        "longitude": row.longitude,
        "state": row.state,
        "size": row.size,
        "packets": row.packets,
        "received_packets": row.received_packets,
        "sha256": row.sha256,
        "crc_errors": row.crc_errors,
        "resumes": row.resumes,
        "event": row.event_id,
        "started_at": moment(row.started_at),
        "received_at": moment(row.received_at),
        "address": row.address,
        "other_network": row.other_network,
        "link": {
            "command": row.command_id,
            "reason": link_words.reason(row.link_reason) if row.link_reason else None,
            "certainty": row.link_certainty,
            "record": row.record_id,
            "looked_like": row.looked_like,
        },
        "doubtful": row.looked_like is not None,
        "thumbnail": row.thumbnail_state,
        "video": row.video_state,
        "playback": {"frame_rate": row.playback_frame_rate, "assumed": row.playback_assumed}
        if row.playback_frame_rate
        else None,
        "problem": copy_words.problem(row.derived_error) if row.derived_error else None,
    }


def message(row: Message) -> dict[str, Any]:
    """Show an SMS; its text never holds credentials."""
    return {
        "id": row.id,
        "direction": row.direction,
        "imei": row.device.imei if row.device else None,
        "command": row.command_id,
        "from": row.sender,
        "to": row.recipient,
        "text": row.body,
        "status": row.status,
        "error_code": row.error_code,
        "claimed": row.claimed,
        "note": command_words.said(row.note),
        "created_at": moment(row.created_at),
    }


def session(row: CameraSession) -> dict[str, Any]:
    """Show a TCP session."""
    return {
        "id": row.id,
        "imei": row.imei,
        "known": row.device_id is not None,
        "address": row.address,
        "started_at": moment(row.started_at),
        "ended_at": moment(row.ended_at),
        "code": row.code,
        "reason": row.reason,
        "files": row.files,
        "bytes": row.bytes_received,
        "crc_errors": row.crc_errors,
        "resumes": row.resumes,
        "connections": row.connections,
    }


def profile(row: Profile) -> dict[str, Any]:
    """Show one version of a profile."""
    return {
        "name": row.name,
        "version": row.version,
        "description": row.description,
        "parameters": row.parameters,
        "created_by": row.created_by,
        "created_at": moment(row.created_at),
    }
