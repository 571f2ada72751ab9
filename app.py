"""Builds the Flask app: configuration, database, blueprints, errors, command line. Entry points import it."""

import warnings
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask
from flask_migrate import Migrate
from flask_wtf.csrf import CSRFProtect

from provisioning import api, auth, cli, gateway, health, pages, queue, webhooks
from provisioning.config import Config, load
from provisioning.models import db

csrf = CSRFProtect()
migrate = Migrate()


def create_app(config: Config | None = None) -> Flask:
    """Make the app from `config`, or from the environment. Raises ConfigError naming all that is wrong."""
    config = config or load()
    app = Flask("app", root_path=str(Path(__file__).parent))
    app.extensions["dualcam_config"] = config
    app.config.update(_flask_settings(config))
    if not config.encryption_keys:
        warnings.warn(
            "ENCRYPTION_KEYS is not set: SMS passwords are encrypted with a key derived from SECRET_KEY.",
            stacklevel=2,
        )
    _make_folders(config)
    db.init_app(app)
    migrate.init_app(app, db, directory=str(Path(__file__).parent / "migrations"), render_as_batch=True)
    csrf.init_app(app)
    auth.init_app(app)
    gateway.init_app(app, config)
    queue.init_app(app, config.queue_url)
    csrf.exempt(webhooks.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(health.blueprint)
    api.init_app(app)
    pages.init_app(app)
    cli.init_app(app)
    return app


def _flask_settings(config: Config) -> dict:
    engine: dict = {"pool_pre_ping": True}
    if config.database_url.startswith("postgresql"):
        # a database that has gone away must be an error within seconds, not a hang
        engine["connect_args"] = {
            "connect_timeout": 5, "options": "-c statement_timeout=30000", "tcp_user_timeout": 15_000,
            "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3,
        }  # fmt: skip
        engine |= {"pool_size": 20, "max_overflow": 20, "pool_timeout": 10}
    return {
        "SECRET_KEY": config.secret_key,
        "SQLALCHEMY_DATABASE_URI": config.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": engine,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": urlsplit(config.public_url).scheme == "https",
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=config.session_hours),
        "MAX_CONTENT_LENGTH": 1024 * 1024,  # no request of ours is larger; files come by the receiver
        "WTF_CSRF_TIME_LIMIT": None,  # as long as the session: a form left open over lunch still works
    }


def _make_folders(config: Config) -> None:
    for url in (config.database_url, config.queue_url):
        if url.startswith("sqlite:///"):
            Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
