"""`python -m receiver`: joins the receiver to the product. The only file that knows both."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from typing import Any  # noqa: E402

from flask import Flask  # noqa: E402
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest  # noqa: E402
from sqlalchemy import text  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from app import create_app  # noqa: E402
from provisioning import logs, uploads  # noqa: E402
from provisioning.config import Config, ConfigError, load  # noqa: E402
from provisioning.models import db, utcnow  # noqa: E402
from receiver import session  # noqa: E402
from receiver.server import Admission, Server, SessionFacts, Settings  # noqa: E402
from receiver.supervisor import Binding, Supervisor  # noqa: E402

IDENTIFIERS = {
    "front_photo": "%photof", "rear_photo": "%photor", "front_video": "%videof", "rear_video": "%videor",
}  # fmt: skip


class DatabaseProduct:
    """The product as the receiver sees it: one short unit of work for each call."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def admit(self, imei: str) -> Admission:
        """Look the device up, each time: an unknown one may have been added a moment ago."""
        with self._app.app_context():
            return Admission.KNOWN if uploads.known_device(imei) is not None else Admission.UNKNOWN

    def session(self, facts: SessionFacts) -> None:
        """Store a session's beginning or end."""
        with self._app.app_context():
            uploads.note_session(facts, utcnow())

    def progress(self, records: Sequence[dict[str, Any]]) -> None:
        """Store how far files have come."""
        with self._app.app_context():
            uploads.progress(records, utcnow())

    def stored(self, record: dict[str, Any]) -> dict[str, Any]:
        """Store and link a finished file."""
        with self._app.app_context():
            return uploads.register(record, utcnow())

    def expired(self, idents: Sequence[str]) -> None:
        """Take files that were given up."""
        with self._app.app_context():
            uploads.expired(idents, utcnow())


def settings(config: Config) -> Settings:
    """Give the server's settings from the configuration."""
    return Settings(
        limits=session.Limits(
            order=tuple(IDENTIFIERS[name] for name in config.receiver_file_order),
            max_packets=config.receiver_max_file_mib * 1024,
            init=config.receiver_init_timeout,
            metadata=config.receiver_metadata_timeout,
            answer=config.receiver_answer_timeout,
        ),
        quarantine_unknown=config.receiver_unknown_devices == "quarantine",
        max_connections=config.receiver_max_connections,
        max_per_address=config.receiver_max_connections_per_address,
    )


def health(app: Flask, server: Server, config: Config) -> Callable[..., Any]:
    """Make the WSGI app of /healthz, /readyz and /metrics."""
    registry = CollectorRegistry()
    connections = Gauge("dualcam_receiver_connections", "Open connections", registry=registry)
    connections.set_function(lambda: len(server.connections))
    for name, help_text in (
        ("files", "Files stored"),
        ("bytes", "Bytes received"),
        ("crc_errors", "CRC errors"),
    ):
        counter = Counter(f"dualcam_receiver_{name}", help_text, registry=registry)
        server.counters[name] = counter.inc

    def ready() -> str | None:
        try:
            with app.app_context():
                db.session.execute(text("SELECT 1"))
        except SQLAlchemyError as error:
            return f"database: {type(error).__name__}"
        return None if uploads.media_folder(config).is_dir() else "store: the media folder is missing"

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            start("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
            return [generate_latest(registry)]
        if path not in ("/healthz", "/readyz"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        problem = ready() if path == "/readyz" else None
        start("503 Service Unavailable" if problem else "200 OK", [("Content-Type", "text/plain")])
        return [(problem or "ok").encode() + b"\n"]

    return answer


def main() -> int:
    """Run the receiver's workers until told to stop."""
    logs.configure()
    try:
        config = load()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2

    def make() -> tuple[Server, Callable[..., Any]]:
        app = create_app(config)
        server = Server(settings(config), uploads.store(config), DatabaseProduct(app), utcnow)
        return server, health(app, server, config)

    binding = Binding(
        config.receiver_host, config.receiver_port, config.receiver_workers, config.receiver_http_host,
        config.receiver_http_port, config.receiver_max_connections, config.receiver_tls_cert, config.receiver_tls_key,
    )  # fmt: skip
    sys.argv = sys.argv[:1]
    Supervisor(binding, make).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
