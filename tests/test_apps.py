"""The app and the databases that tests share are the same for each test as those that were made for it."""

import dataclasses
from typing import Any

import apps
import databases
import described_answers
import psycopg
import pytest
from flask import Flask

from app import create_app
from provisioning.core.config import Config

HOOKS = ("before_request_funcs", "after_request_funcs", "teardown_request_funcs", "error_handler_spec")


def described(app: Flask) -> dict[str, Any]:
    """Give what may differ between two apps, without addresses of objects."""
    hooks = {
        name: str({key: count for key, value in getattr(app, name).items() if (count := _filled(value))})
        for name in HOOKS
    }
    extensions = {
        name: value if isinstance(value, (str, Config)) else type(value).__name__
        for name, value in app.extensions.items()
    }
    rules = sorted(map(str, app.url_map.iter_rules()))
    settings = dict(app.config)
    settings.pop("API_SPEC_OPTIONS")  # the OpenAPI document is built in it, once
    return {"hooks": hooks, "settings": settings, "extensions": extensions, "rules": rules}


def _filled(value: Any) -> int:
    """Count what is there; Flask keeps an empty entry for each code of an error that it looked a handler up for."""
    return sum(bool(one) for one in (value.values() if isinstance(value, dict) else value))


def test_an_app_that_was_used_is_as_one_that_is_made_anew(app: Flask, config: Config) -> None:
    app.test_client().get("/api/v1/openapi.json")
    app.config["WTF_CSRF_ENABLED"] = False
    app.extensions["dualcam_gateway"] = None
    app.extensions["dualcam_limiter"].storage.incr("caller", 60)
    app.extensions["dualcam_media"] = "another store"
    other = dataclasses.replace(config, session_hours=3)
    fresh = create_app(other)
    fresh.testing = True
    described_answers.attach(fresh)
    lent = apps.lend(other)
    assert lent is app
    assert described(lent) == described(fresh)
    assert lent.extensions["dualcam_limiter"].storage.get("caller") == 0
    assert lent.extensions["dualcam_gateway"]._config == other


@pytest.mark.parametrize("rows", [2, 5000], ids=["some rows", "many rows"])
def test_a_postgresql_database_that_was_used_is_as_one_that_is_made_anew(rows: int) -> None:
    added = "INSERT INTO changes (topic, at) SELECT 'tests', now() FROM generate_series(1, %s) RETURNING id"
    with databases.postgres() as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(added, [rows])
        connection.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET lock_timeout = '1ms'")  # type: ignore[arg-type]
        left = psycopg.connect(url)
        left.execute("LOCK TABLE changes")
    with databases.postgres() as again, psycopg.connect(again, autocommit=True) as connection:
        assert again == url
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (0,)
        assert connection.execute("SHOW lock_timeout").fetchone() == ("0",)
        assert connection.execute(added, [1]).fetchone() == (1,)
    left.close()


@pytest.mark.on_sqlite
def test_a_test_in_which_the_database_has_no_part_runs_on_sqlite_alone(database_url: str) -> None:
    assert database_url.startswith("sqlite:")
