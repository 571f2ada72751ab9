"""The tables: migrations, times, locks and what the database itself forbids."""

import ast
import re
from datetime import datetime, timedelta, timezone
from typing import Any

import flask_migrate
import pytest
from conftest import ROOT
from flask import Flask
from sqlalchemy import Connection, event, inspect, select, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError, StatementError

from provisioning.models import (
    TRANSITIONS,
    ApiToken,
    CameraSession,
    ChecklistRun,
    Command,
    Device,
    Message,
    Role,
    State,
    User,
    db,
    new_id,
    utcnow,
)
from provisioning.web import auth, users


def add_device(**values: object) -> Device:
    device = Device(**({"imei": "352094082736916", "phone": "+12025550111"} | values))
    db.session.add(device)
    db.session.commit()
    return device


def add_command(device: Device, **values: object) -> Command:
    command = Command(device_id=device.id, kind="getver", arguments={}, text="getver", length=6, **values)
    db.session.add(command)
    db.session.commit()
    return command


def test_models_and_migrations_agree(app: Flask) -> None:
    flask_migrate.check(directory=str(ROOT / "migrations"))


def test_migrations_go_down_and_up_again(app: Flask) -> None:
    db.session.remove()
    flask_migrate.downgrade(directory=str(ROOT / "migrations"), revision="base")
    assert set(inspect(db.engine).get_table_names()) == {"alembic_version"}
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    assert "devices" in inspect(db.engine).get_table_names()


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_statement_of_a_migration_may_take_as_long_as_it_needs(app: Flask) -> None:
    """An index of a table of millions of rows takes longer than the 30 s that other statements may take."""
    shown: list[tuple[str, str]] = []

    def look(connection: Connection, *given: Any) -> None:
        if given[1].lstrip().startswith("CREATE INDEX ix_uploads_all_doubtful"):
            ask = connection.connection.cursor().execute
            shown.append(
                tuple(ask(f"SHOW {name}").fetchone()[0] for name in ("statement_timeout", "lock_timeout"))
            )

    event.listen(db.engine, "before_cursor_execute", look)
    db.session.remove()
    flask_migrate.downgrade(revision="0040", directory=str(ROOT / "migrations"))
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    event.remove(db.engine, "before_cursor_execute", look)
    assert shown == [("0", "30s")]
    assert db.session.scalar(text("SHOW statement_timeout")) == "30s"


def test_who_is_limited_to_tags_is_shut_out_by_a_version_without_limits(app: Flask) -> None:
    for name, tags in (("limited", ["north"]), ("whole", None)):
        users.create(f"{name}@example.com", Role.VIEWER, "a long enough password", tags)
        auth.create_token(name, Role.VIEWER, tags=tags)
    db.session.remove()
    flask_migrate.downgrade(revision="0023", directory=str(ROOT / "migrations"))
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    assert db.session.scalars(select(User.email).where(User.active)).all() == ["whole@example.com"]
    assert db.session.scalars(select(ApiToken.name).where(ApiToken.revoked_at.is_(None))).all() == ["whole"]


def test_devices_whose_change_of_credentials_was_stuck_are_freed(app: Flask) -> None:
    cases = [("sent", False, None), ("sent", True, "undecided"), ("trying_current", True, "undecided")]
    rows: list[Command] = []
    for number, (phase, handed_over, _) in enumerate(cases):
        device = add_device(
            imei=f"35209408273691{number}", phone=f"+1202555011{number}", credentials_state=phase,
            pending_login="x", pending_password="y",
        )  # fmt: skip
        row = add_command(device, state=State.CANCELLED, sending_at=utcnow() if handed_over else None)
        row.kind, row.arguments = "setparam", {"encrypted": {"3003": "x", "3004": "y"}}
        rows.append(row)
    db.session.commit()
    flask_migrate.downgrade(revision="0015", directory=str(ROOT / "migrations"))
    flask_migrate.upgrade(directory=str(ROOT / "migrations"))
    db.session.expire_all()
    for row, (_, handed_over, freed) in zip(rows, cases, strict=True):
        device = row.device
        assert (device.credentials_state, device.pending_login is None) == (freed, freed is None)
        assert device.credentials_change == (row.id if handed_over else None)


def test_times_come_back_aware_in_utc(app: Flask) -> None:
    given = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    device = add_device(created_at=given)
    db.session.expire_all()
    assert device.created_at == given
    assert device.created_at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(app: Flask) -> None:
    with pytest.raises(StatementError, match="without a zone"):
        add_device(created_at=datetime(2026, 1, 2))


def test_one_sms_in_flight_per_device(app: Flask) -> None:
    device = add_device()
    add_command(device, in_flight=True)
    add_command(device)
    with pytest.raises(IntegrityError):
        add_command(device, in_flight=True)


def test_one_capture_per_device(app: Flask) -> None:
    device = add_device()
    add_command(device, capturing=True)
    with pytest.raises(IntegrityError):
        add_command(device, capturing=True)


def test_an_archived_device_frees_imei_and_phone(app: Flask) -> None:
    add_device(archived_at=utcnow())
    add_device()
    with pytest.raises(IntegrityError):
        add_device(phone="+12025550112")


def test_a_released_savepoint_does_not_commit(app: Flask) -> None:
    with db.session.begin_nested():
        db.session.add(Device(imei="352094082736916", phone="+12025550111"))
    db.session.rollback()
    assert db.session.scalar(select(Device)) is None


def words_of(package: str) -> set[str]:
    """Give every constant of a package's code that is one lower-case word, as all codes are, and many more are."""
    return {
        node.value
        for path in (ROOT / package).rglob("*.py")
        if path.name not in ("config.py", "config_checks.py", "variables.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", node.value)
    }


def test_every_code_fits_the_columns_that_keep_codes() -> None:
    product, receiver = words_of("provisioning"), words_of("receiver")
    assert {"gateway_unreachable", "no_reply", "not_sent", "value_differs", "camera_not_present"} <= product
    assert {"bad_crc", "unknown_device"} <= receiver
    kept = (Command.error_code, Message.error_code, ChecklistRun.verdict)
    assert max(map(len, product)) <= min(column.type.length for column in kept)
    assert max(map(len, receiver)) <= CameraSession.code.type.length


def test_a_message_keeps_our_longest_code_on_every_database(app: Flask) -> None:
    code = max(words_of("provisioning"), key=len)
    values = {
        "direction": "out",
        "gateway": "twilio",
        "sender": "",
        "recipient": "",
        "body": "",
        "status": "failed",
    }
    db.session.add(Message(error_code=code, **values))
    db.session.commit()
    assert db.session.scalar(select(Message.error_code)) == code


def test_ids_sort_by_time() -> None:
    ids = [new_id() for _ in range(3)]
    assert all(len(value) == 32 for value in ids)
    assert new_id()[:12] >= ids[0][:12]


def test_every_state_has_a_row_in_the_table() -> None:
    assert set(TRANSITIONS) == set(State)


def test_an_error_of_the_database_names_no_value(app: Flask) -> None:
    """Errors are logged with their traceback; values are phone numbers, texts and e-mail addresses."""
    with pytest.raises(SQLAlchemyError) as caught:
        db.session.execute(text("SELECT 1 FROM nowhere WHERE phone = :phone"), {"phone": "+12025550111"})
    assert "+12025550111" not in str(caught.value)
