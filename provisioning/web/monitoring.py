"""The health endpoints of the web process: /healthz, /readyz and /metrics."""

from datetime import datetime

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from provisioning.core.config import current_config
from provisioning.core.errors import Forbidden
from provisioning.media import storage
from provisioning.models import (
    OPEN,
    UNSTORED,
    Command,
    Cursor,
    Device,
    JobState,
    Upload,
    UploadState,
    db,
    utcnow,
)
from provisioning.web import auth
from provisioning.web.client_address import may_look
from receiver.store.media_store import MediaError

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def alive() -> Response:
    """Say that the process lives."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.before_request
def check_who_looks() -> Response | None:
    """Show how the service does only to operators: this machine, METRICS_NETWORKS, or a token for the whole fleet.

    /healthz says only that the process lives, and is open, for balancers.
    """
    if request.endpoint == "health.alive" or may_look(request.environ, current_config().metrics_networks):
        return None
    if "Authorization" not in request.headers:
        text = "Open to this machine, to METRICS_NETWORKS, and to requests with an API token.\n"
        return Response(text, status=403, mimetype="text/plain")
    try:
        auth.authenticate_bearer(request, utcnow())
        auth.demand_whole_fleet()
    except Forbidden as error:
        return Response(f"{error.message}\n", status=403, mimetype="text/plain")
    except auth.Unauthenticated as error:
        answer = Response(f"{error.message}\n", status=401, mimetype="text/plain")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return None


@blueprint.get("/readyz")
def ready() -> Response:
    """Say whether database and store answer; name what does not.

    Failing periodic jobs are listed below and make no process unready: all else works.
    """
    problems = [problem for check in (_database, _store) if (problem := check())]
    is_there = not problems or not problems[0].startswith("database")
    lines = [*(problems or ["ok"]), *(_failing_jobs() if is_there else [])]
    return Response("\n".join(lines) + "\n", status=503 if problems else 200, mimetype="text/plain")


def _database() -> str | None:
    try:
        db.session.execute(text("SELECT 1 FROM devices WHERE 1 = 0"))
    except SQLAlchemyError as error:
        db.session.rollback()
        return f"database: {type(error).__name__}"
    return None


def _store() -> str | None:
    try:
        problem = storage.media().ready()
    except MediaError as error:
        problem = str(error)
    return f"store: {problem}" if problem else None


def _failing_jobs() -> list[str]:
    """Say which periodic jobs have been failing, and since when."""
    failing = db.session.scalars(
        select(JobState).where(JobState.failing_since.is_not(None)).order_by(JobState.name)
    ).all()
    return [
        f"job {job.name}: failing since {job.failing_since:%Y-%m-%dT%H:%M:%SZ}: {job.error}"
        for job in failing
    ]


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
    Gauge("dualcam_worker_age_seconds", "Since a worker last said that it lives", registry=registry).set(age)
    _job_figures(registry)
    return Response(generate_latest(registry), mimetype="text/plain; version=0.0.4")


def _job_figures(registry: CollectorRegistry) -> None:
    failures = Counter(
        "dualcam_job_failures", "Runs and rows of a job that failed", ["job"], registry=registry
    )
    since = Gauge(
        "dualcam_job_failing_since_seconds",
        "Unix time since when a job fails; 0: it does not",
        ["job"],
        registry=registry,
    )
    age = Gauge("dualcam_job_age_seconds", "Since a job last ended", ["job"], registry=registry)
    now = utcnow()
    for job in db.session.scalars(select(JobState)):
        failures.labels(job.name).inc(job.failures)
        since.labels(job.name).set(job.failing_since.timestamp() if job.failing_since else 0)
        if job.ended_at is not None:
            age.labels(job.name).set((now - job.ended_at).total_seconds())


def _gauge(registry: CollectorRegistry, name: str, text: str, query: object) -> None:
    Gauge(name, text, registry=registry).set(db.session.scalar(query) or 0)  # type: ignore[call-overload]
