"""Files that no request can have made: decided many at once, as they would be one device after the other."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select
from upload_rows import IMEI, add_van, asked, sidecar

from provisioning.devices import registry, status_table
from provisioning.media import link_service, registration, settlement
from provisioning.models import Command, Device, Upload, Verdict, db, locks, utcnow


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


ANSWERED = {
    "nothing": {"metadata": None},
    "no time": {"timestamp": 0},
    "no trigger": {"trigger": None},
    "a request": {"trigger": 0},
    "a trigger": {"trigger": 9},
}


def decisions() -> dict[str, tuple[Any, ...]]:
    """Give what is decided of each file, and by what."""
    db.session.expire_all()
    return {
        upload.id: (
            upload.command_id,
            upload.link_reason,
            upload.link_certainty,
            upload.looked_like,
            upload.link_basis,
        )
        for upload in db.session.scalars(select(Upload).order_by(Upload.id))
        if upload.trigger in (None, 0) or not upload.timestamp
    }


def take_all(**changes: Any) -> None:
    files = [
        sidecar(f"{n}" * 32, path=f"{IMEI}/{n}.jpg", sha256=f"{n}" * 64, **(answer | changes))
        for n, answer in enumerate(ANSWERED.values())
    ]
    registration.register(files, utcnow())
    settlement.settle_all(utcnow)


def no_request(van: Device) -> None:
    """Nothing was asked."""


def an_old_request(van: Device) -> None:
    asked(van).sending_at = utcnow() - timedelta(days=1, minutes=1)


def an_old_request_that_found_a_photo_there(van: Device) -> None:
    an_old_request(van)
    db.session.scalars(select(Command)).one().result = {"already_captured": True}


def triggers_that_are_on(van: Device) -> None:
    status_table.note(
        van, "parameter.66022", "8", Verdict.GOOD, now=utcnow(), source_kind="command", source_id="x"
    )


def a_time_zone_and_no_triggers(van: Device) -> None:
    for item, value in (("parameter.66022", "0"), ("parameter.66024", "120")):
        status_table.note(van, item, value, Verdict.GOOD, now=utcnow(), source_kind="command", source_id="x")


@pytest.mark.parametrize(
    "before",
    [no_request, an_old_request, an_old_request_that_found_a_photo_there, triggers_that_are_on,
     a_time_zone_and_no_triggers],
)  # fmt: skip
def test_what_is_decided_at_once_is_what_the_facts_of_the_device_decide(van: Device, before: Any) -> None:
    before(van)
    db.session.commit()
    take_all()
    at_once = decisions()
    assert len(at_once) == 4
    link_service.relink(locks.lock_device(van.id), utcnow())
    db.session.commit()
    assert decisions() == at_once


def test_a_file_that_a_request_may_have_made_is_decided_by_it(van: Device) -> None:
    row = asked(van)
    row.sending_at = utcnow() - timedelta(hours=23)
    db.session.commit()
    registration.register([sidecar()], utcnow())
    settlement.settle_all(utcnow)
    assert db.session.get_one(Upload, "a" * 32).command_id == row.id


@pytest.fixture
def statements(van: Device) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    yield seen
    event.remove(db.engine, "before_cursor_execute", note)


def test_files_of_many_devices_that_tell_little_take_as_few_statements_as_those_of_one(
    van: Device, statements: list[str]
) -> None:
    imeis = [
        f"{body}{check}"
        for body, check in (("35630704244101", 3), ("35209408204288", 5), ("35209408097003", 8))
    ]
    for number, imei in enumerate(imeis):
        registry.add({"imei": imei, "phone": f"+1202555014{number}"}, utcnow())
    counts = []
    for round_number, some in enumerate(([IMEI], imeis)):
        files = [
            sidecar(
                f"{round_number}{number}{kind}" + "0" * 29,
                imei=imei,
                path=f"{imei}/{round_number}{kind}.jpg",
                sha256=f"{kind}" * 64,
                **answer,
            )
            for number, imei in enumerate(some)
            for kind, answer in enumerate(ANSWERED.values())
        ]
        registration.register(files, utcnow())
        statements.clear()
        settlement.settle_all(utcnow)
        counts.append(sum("BEGIN" not in statement for statement in statements))
    assert not db.session.scalars(select(Upload.id).where(Upload.settle_due)).all()
    assert counts[1] <= counts[0]
