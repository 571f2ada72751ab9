"""Entry of the receiver process, `python -m receiver`: connects the receiver to the product. Only this module and
`database_product` know both.
"""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from typing import Any  # noqa: E402

from flask import Flask  # noqa: E402
from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest  # noqa: E402
from sqlalchemy import text  # noqa: E402
from sqlalchemy.exc import SQLAlchemyError  # noqa: E402

from provisioning import base_app  # noqa: E402
from provisioning.core import logging_setup  # noqa: E402
from provisioning.core.config import Config, ConfigError, load  # noqa: E402
from provisioning.media import storage  # noqa: E402
from provisioning.models import db, utcnow  # noqa: E402
from provisioning.web.client_address import may_look  # noqa: E402
from receiver.database_product import DatabaseProduct  # noqa: E402
from receiver.net.proxy_tls import Preamble  # noqa: E402
from receiver.net.server import Server  # noqa: E402
from receiver.net.settings import Settings  # noqa: E402
from receiver.supervisor import Binding, Supervisor  # noqa: E402
from receiver.wire.session_limits import SessionLimits  # noqa: E402

IDENTIFIERS = {
    "front_photo": "%photof",
    "rear_photo": "%photor",
    "front_video": "%videof",
    "rear_video": "%videor",
}


def settings(config: Config) -> Settings:
    """Give the server's settings from the configuration."""
    return Settings(
        limits=SessionLimits(
            order=tuple(IDENTIFIERS[name] for name in config.receiver_file_order),
            max_size=config.receiver_max_file_mib * 2**20,
            bad_packets=config.receiver_bad_packets,
            bad_seconds=config.receiver_bad_seconds,
            init=config.receiver_init_timeout,
            metadata=config.receiver_metadata_timeout,
            answer=config.receiver_answer_timeout,
            progress=config.receiver_progress_timeout,
            go_backs=config.receiver_go_backs,
            offers=config.receiver_files_per_session,
        ),
        quarantine_unknown=config.receiver_unknown_devices == "quarantine",
        max_connections=config.receiver_max_connections,
        max_per_device=config.receiver_max_connections_per_device,
        max_per_address=config.receiver_max_connections_per_address,
        min_bytes_per_minute=config.receiver_min_bytes_per_minute,
        lines_per_minute=config.receiver_lines_per_minute,
        files_per_day=config.receiver_files_per_day,
        bytes_per_day=config.receiver_mib_per_day * 2**20,
    )


def health(app: Flask, server: Server, config: Config) -> Callable[..., Any]:
    """Make the WSGI app of /healthz, /readyz and /metrics."""
    registry = _metrics(server)

    def answer(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        path = environ["PATH_INFO"]
        if path in ("/metrics", "/readyz") and not may_look(environ, config.metrics_networks):
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Open to this machine and to METRICS_NETWORKS.\n"]
        if path == "/metrics":
            start("200 OK", [("Content-Type", "text/plain; version=0.0.4")])
            return [generate_latest(registry)]
        if path not in ("/healthz", "/readyz"):
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"not found\n"]
        problem = _problem(app, server) if path == "/readyz" else None
        start("503 Service Unavailable" if problem else "200 OK", [("Content-Type", "text/plain")])
        return [(problem or "ok").encode() + b"\n"]

    return answer


def _metrics(server: Server) -> CollectorRegistry:
    """Make the metrics of this worker, and count in them what its reporter hands over."""
    registry = CollectorRegistry()
    gauges: dict[str, tuple[str, Callable[[], float]]] = {
        "connections": ("Open connections", lambda: len(server.connections)),
        "reads": ("Reads from cameras' connections since the start", lambda: server.reads),
        "refused_files": ("Stored files that cannot be handed over", lambda: len(server.reporter.refused)),
    }
    for name, (help_text, measure) in gauges.items():
        Gauge(f"dualcam_receiver_{name}", help_text, registry=registry).set_function(measure)
    counters = {"files": "Files stored", "bytes": "Bytes received", "crc_errors": "CRC errors"}
    for name, help_text in counters.items():
        counter = Counter(f"dualcam_receiver_{name}", help_text, registry=registry)
        server.reporter.counters[name] = counter.inc
    return registry


def _problem(app: Flask, server: Server) -> str | None:
    """Say why this worker cannot take files; None where it can."""
    try:
        with app.app_context():
            db.session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        return f"database: {type(error).__name__}"
    problem = server.store.ready()
    return f"store: {problem}" if problem else None


def main() -> int:
    """Run the receiver's workers until told to stop."""
    logging_setup.configure()
    try:
        config = load()
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2

    def make() -> tuple[Server, Callable[..., Any]]:
        app = base_app.make(config)
        front = Preamble(
            config.receiver_proxies,
            config.receiver_tls_cert,
            config.receiver_tls_key,
            config.receiver_tls_required,
            networks=config.receiver_networks,
        )
        product = DatabaseProduct(app, threads=config.database_url.startswith("sqlite"))
        server = Server(settings(config), storage.store(config), product, utcnow, front)
        return server, health(app, server, config)

    binding = Binding(
        config.receiver_host,
        config.receiver_port,
        config.receiver_workers,
        config.receiver_http_host,
        config.receiver_http_port,
        config.receiver_max_connections,
        config.receiver_worker_timeout,
    )
    sys.argv = sys.argv[:1]
    Supervisor(binding, make).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
