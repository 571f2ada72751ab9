"""Builds the Flask app that every process needs: configuration, database, SMS gateway; no pages and no API.

`app` makes that of the web process and of the command line out of it.
"""

import os
import warnings
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask

from provisioning.core.config import Config, ConfigError
from provisioning.devices import health_store
from provisioning.models import db
from provisioning.sms import factory as sms_gateways
from provisioning.tracker.parameters import host_problem, with_camera_server

ROOT = Path(__file__).parent.parent
PRIVATE = 0o077  # files of ours hold pictures, places and password hashes: for the user that runs us alone


def make(config: Config) -> Flask:
    """Make the app from the configuration. Raises ConfigError naming all that is wrong."""
    os.umask(PRIVATE)
    _check_camera_server(config)
    app = Flask("app", root_path=str(ROOT), static_folder=None)
    configure(app, config)
    if not config.encryption_keys:
        warnings.warn(
            "ENCRYPTION_KEYS is not set: SMS passwords are encrypted with a key derived from SECRET_KEY.",
            stacklevel=2,
        )
    _make_folders(config)
    db.init_app(app)
    health_store.init_app(app)
    return app


def configure(app: Flask, config: Config) -> None:
    """Set what follows from the configuration alone.

    May be done again with another configuration of the same database while nobody uses the app.
    """
    app.extensions["dualcam_config"] = config
    app.config.update(_flask_settings(config))
    sms_gateways.init_app(app, config)


def _check_camera_server(config: Config) -> None:
    """Refuse at the start what no SMS could name. Raises ConfigError."""
    errors: dict[str, list[str]] = {}
    try:
        with_camera_server(config.camera_domain_parameter, config.camera_port_parameter)
    except ValueError as error:
        errors["CAMERA_DOMAIN_PARAMETER"] = [f"With CAMERA_PORT_PARAMETER: {error}."]
    if config.camera_server_domain and (problem := host_problem(config.camera_server_domain)):
        errors["CAMERA_SERVER_DOMAIN"] = [problem]
    for server in config.camera_servers_allowed:
        if problem := host_problem(server.partition(":")[0]):
            errors.setdefault("CAMERA_SERVERS_ALLOWED", []).append(f"{server!r}: {problem}")
    if errors:
        raise ConfigError(errors)


def _flask_settings(config: Config) -> dict:
    # errors of the database are logged: without the values, among them phone numbers and texts
    engine: dict = {"pool_pre_ping": True, "hide_parameters": True}
    # the worker's jobs and senders are some thirty
    engine |= {"pool_size": 20, "max_overflow": 20, "pool_timeout": 10}
    if config.database_url.startswith("postgresql"):
        # a database that has gone away must be an error within seconds, not a hang
        engine["connect_args"] = {
            "connect_timeout": 5,
            "options": "-c statement_timeout=30000",
            "tcp_user_timeout": 15_000,
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        }
    https = urlsplit(config.public_url).scheme == "https"
    return {
        "SECRET_KEY": config.secret_key,
        # browsers take a cookie of such a name only over HTTPS, and from no neighbouring host
        "SESSION_COOKIE_NAME": "__Host-session" if https else "session",
        "SQLALCHEMY_DATABASE_URI": config.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_REFRESH_EACH_REQUEST": False,  # an answer that comes late would undo signing out
        "SESSION_COOKIE_SECURE": https,
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=config.session_hours),
        "MAX_CONTENT_LENGTH": 1024 * 1024,  # no request of ours is larger; files come by the receiver
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session: a form left open over lunch still works
        # pages and JSON only: no event stream, no media, no range of a file. Static files compress themselves
        "COMPRESS_MIMETYPES": ["text/html", "application/json"],
        "COMPRESS_ALGORITHM": ["br", "gzip"],
        "COMPRESS_STREAMS": False,
        "COMPRESS_EVALUATE_CONDITIONAL_REQUEST": False,
    }


def _make_folders(config: Config) -> None:
    if config.database_url.startswith("sqlite:///"):
        Path(config.database_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
