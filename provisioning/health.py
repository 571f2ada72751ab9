"""/healthz, /readyz and /metrics of the web process."""

from datetime import datetime, timedelta

from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from . import queue, uploads
from .models import OPEN, UNSTORED, Command, Cursor, Device, Upload, UploadState, db, utcnow

blueprint = Blueprint("health", __name__)
WORKER_SILENT = timedelta(minutes=2)


@blueprint.get("/healthz")
def alive() -> Response:
    """Say that the process lives."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
def ready() -> Response:
    """Say whether database, queue and store answer; name what does not."""
    problems = [problem for check in (_database, _queue, _store) if (problem := check())]
    return Response(
        "\n".join(problems or ["ok"]) + "\n", status=503 if problems else 200, mimetype="text/plain"
    )


def _database() -> str | None:
    try:
        db.session.execute(text("SELECT 1 FROM devices WHERE 1 = 0"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return f"database: {type(error).__name__}"
    return None


def _queue() -> str | None:
    try:
        queue.queue().queues[queue.DEVICES].pending_count()
    except Exception as error:  # noqa: BLE001 - each storage has errors of its own
        return f"queue: {type(error).__name__}"
    return None


def _store() -> str | None:
    problem = uploads.media().ready()
    return f"store: {problem}" if problem else None


@blueprint.get("/metrics")
def metrics() -> Response:
    """Give figures from the database, the same whichever worker answers."""
    registry = CollectorRegistry()
    _gauge(
        registry,
        "dualcam_devices",
        "Devices in use",
        select(func.count()).where(Device.archived_at.is_(None)),
    )
    _gauge(
        registry,
        "dualcam_commands_open",
        "Commands under way",
        select(func.count()).where(Command.state.in_(OPEN)),
    )
    # of stored ones there are too many to be counted each time; the receiver counts what it stores
    states = Gauge("dualcam_uploads", "Uploads that are not stored, by state", ["state"], registry=registry)
    waiting = select(Upload.state, func.count()).where(UNSTORED).group_by(Upload.state)
    counts = dict(db.session.execute(waiting).all())
    for state in UploadState:
        if state is not UploadState.STORED:
            states.labels(state).set(counts.get(state, 0))
    _gauge(
        registry,
        "dualcam_uploads_unlinked",
        "Stored files that the worker has still to link",
        select(func.count()).where(Upload.settle_due),
    )
    beat = db.session.get(Cursor, "worker")
    age = (utcnow() - datetime.fromisoformat(beat.value)).total_seconds() if beat else float("inf")
    Gauge("dualcam_worker_age_seconds", "Since a worker last swept", registry=registry).set(age)
    return Response(generate_latest(registry), mimetype="text/plain; version=0.0.4")


def _gauge(registry: CollectorRegistry, name: str, text: str, query: object) -> None:
    Gauge(name, text, registry=registry).set(db.session.scalar(query) or 0)  # type: ignore[call-overload]
