"""Waiting for SQLite's write lock, which another process holds: it may take a while, and stops nobody else."""

import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from provisioning.core.config import Config
from provisioning.models import Cursor, db
from provisioning.models import sqlite as patient

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# as web and worker: a greenlet wants to write, another one goes on
PROCESS = """
from gevent import monkey
monkey.patch_all()
import sys, gevent
from app import create_app
from provisioning.models import Cursor, db

app = create_app()

def write():
    with app.app_context():
        db.session.add(Cursor(name="written", value="x"))
        db.session.commit()
        return True

print("ready", flush=True)
sys.stdin.readline()
writer = gevent.spawn(write)
for _ in range(5):
    gevent.sleep(0.01)
print("the others go on" if not writer.ready() else "the writer was alone", flush=True)
print(writer.get(), flush=True)
"""


def holder(url: str) -> sqlite3.Connection:
    """Another process that holds the write lock of a database."""
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    return other


@pytest.mark.long
def test_a_wait_for_the_lock_of_the_database_stops_no_other_greenlet(config: Config, tmp_path: Path) -> None:
    environment = os.environ | {
        "DATABASE_URL": config.database_url,
        "MEDIA_URL": f"file://{tmp_path}/media", "MEDIA_SPOOL": str(tmp_path / "spool"),
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROCESS], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    with process:
        assert process.stdout.readline() == "ready\n"
        other = holder(config.database_url)
        process.stdin.write("\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        other.execute("ROLLBACK")
        other.close()
        assert (answer, process.stdout.readline()) == ("the others go on\n", "True\n")


@pytest.mark.parametrize("way", ["explicit", "one", "many"])
def test_a_writer_gets_its_turn_when_the_lock_is_free(app: Flask, config: Config, way: str) -> None:
    other = holder(config.database_url)
    freed = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
    freed.start()
    values = [{"name": str(n), "value": "x"} for n in range({"one": 1}.get(way, 3))]
    if way == "explicit":
        db.session.connection().exec_driver_sql("BEGIN IMMEDIATE")
    db.session.execute(Cursor.__table__.insert(), values)
    db.session.commit()
    freed.join()
    assert db.session.scalar(text("SELECT count(*) FROM cursors")) == len(values)
    other.close()


def test_a_lock_that_never_comes_free_is_an_error(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "BUSY_MS", 50)
    other = holder(config.database_url)
    with pytest.raises(OperationalError, match="locked"):
        db.session.execute(text("DELETE FROM cursors"))
    db.session.rollback()
    other.close()
    db.session.execute(text("DELETE FROM cursors"))
    db.session.rollback()
