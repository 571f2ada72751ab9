"""The app for tests: made once for each database, then given to one test after the other as if it was made anew.

Making one (routes, the OpenAPI document) and warming it up (statements, templates) costs more processor time than most
tests. What a test may change of it is put back here; a test compares it with an app that was made anew.
"""

import threading
from pathlib import Path
from typing import Any

import described_answers
import machine
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from app import create_app
from provisioning.base_app import configure
from provisioning.core import change_feed
from provisioning.core.config import Config
from provisioning.models import db

KEPT_CONNECTIONS = 2
_made: dict[str, tuple[Flask, dict[str, Any], dict[str, Any]]] = {}  # by the URL of its database


def lend(config: Config) -> Flask:
    """Give the app on this configuration's database, for one test at a time."""
    if config.database_url not in _made:
        app = create_app(config)
        app.testing = True
        app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(_templates()))
        described_answers.attach(app)
        _made[config.database_url] = app, dict(app.extensions), dict(app.config)
    app, extensions, settings = _made[config.database_url]
    for now, before in ((app.extensions, extensions), (app.config, settings)):
        now.clear()
        now.update(before)
    app.extensions["dualcam_limiter"].storage.reset()
    configure(app, config)
    return app


def _templates() -> Path:
    """Give the folder of compiled templates, which all processes of a run share."""
    folder = machine.folder() / "templates"
    folder.mkdir(exist_ok=True)
    return folder


def take_back() -> None:
    """Take back the app, whose context is pushed: without its session, and without what the next test cannot use.

    An idle connection to PostgreSQL is kept: a new one costs the server 7 ms, and again for its cold caches.
    """
    # the file of SQLite is replaced for the next test: a thread that reads it then would bring back its rows
    for thread in threading.enumerate():
        if thread.name == change_feed.POLLER:
            thread.join(10)
    db.session.remove()
    pool = db.engine.pool
    if db.engine.dialect.name == "sqlite" or pool.checkedout() or pool.checkedin() > KEPT_CONNECTIONS:
        db.engine.dispose()
