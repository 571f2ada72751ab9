"""Builds the app of the web process and of the command line: pages, API, errors, commands."""

from flask import Flask
from flask_compress import Compress
from flask_migrate import Migrate

from provisioning import base_app, cli
from provisioning.core.config import Config, load
from provisioning.models import db
from provisioning.web import access, api, assets, auth, language, monitoring, pages, responses, webhooks
from provisioning.web.client_address import ForwardedFor
from provisioning.web.csrf import MaskedCSRFProtect

csrf = MaskedCSRFProtect()
migrate = Migrate()
compress = Compress()


def create_app(config: Config | None = None) -> Flask:
    """Make the app from `config`, or from the environment. Raises ConfigError naming all that is wrong."""
    config = config or load()
    app = base_app.make(config)
    migrate.init_app(app, db, directory=str(base_app.ROOT / "migrations"), render_as_batch=True)
    app.before_request(responses.bound_forms)  # before anything reads a form
    csrf.init_app(app)
    compress.init_app(app)
    auth.init_app(app)
    language.init_app(app)
    if config.web_proxies:
        app.wsgi_app = ForwardedFor(app.wsgi_app, config.web_proxies)  # type: ignore[method-assign]
    csrf.exempt(webhooks.blueprint)
    app.register_blueprint(webhooks.blueprint)
    app.register_blueprint(monitoring.blueprint)
    assets.init_app(app)
    api.init_app(app)
    pages.init_app(app)
    cli.init_app(app)
    access.check_table(app)
    return app
