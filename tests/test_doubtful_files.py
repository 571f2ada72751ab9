"""Files that only looked like the answer to a request."""

import itertools
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update
from upload_rows import add_van, asked, sidecar, take, wish

from provisioning.core.errors import Conflict
from provisioning.media import link_service
from provisioning.models import Command, Device, State, Upload, db, first_id, locks, utcnow


@pytest.fixture
def van(app: Flask) -> Device:
    return add_van()


FALSE, TRUE = "1" * 32, "2" * 32


def looked_like() -> dict[str, str | None]:
    db.session.expire_all()
    return {upload.id: upload.looked_like for upload in db.session.scalars(select(Upload))}


def false_and_true(row: Command) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give a photo that only looks like the answer to a request and, begun later, the one whose time is told."""
    assert row.sending_at is not None
    ms = int(row.sending_at.timestamp() * 1000)
    began = [(row.sending_at + timedelta(seconds=seconds)).isoformat() for seconds in (5, 30, 60)]
    false = sidecar(FALSE, timestamp=ms + 3000, started_at=began[0], received_at=began[1])
    true = sidecar(TRUE, timestamp=ms + 25000, sha256="d" * 64, started_at=began[1], received_at=began[2])
    return false, true


@pytest.mark.parametrize("order", list(itertools.permutations(("false", "true", "time"))))
def test_a_file_that_gave_way_to_the_certain_answer_is_doubtful_in_whatever_order_facts_come(
    van: Device, order: tuple[str, ...]
) -> None:
    row = asked(van)
    false, true = false_and_true(row)
    for fact in order:
        if fact == "time":
            row.result = {"file_timestamps": [true["metadata"]["timestamp"]]}
            db.session.commit()
            link_service.relink(locks.lock_device(van.id), utcnow())
            db.session.commit()
        else:
            take(false if fact == "false" else true)
    assert looked_like() == {FALSE: row.id, TRUE: None}
    assert (row.state, db.session.get_one(Upload, TRUE).command_id) == (State.DONE, row.id)


@pytest.fixture
def doubtful(van: Device) -> Upload:
    row = asked(van)
    false, true = false_and_true(row)
    row.result = {"file_timestamps": [true["metadata"]["timestamp"]]}
    db.session.commit()
    take(false)
    take(true)
    return db.session.get_one(Upload, FALSE)


def test_a_person_takes_the_doubt_of_a_file_back_and_it_stays_so(van: Device, doubtful: Upload) -> None:
    assert doubtful.looked_like
    link_service.fix(doubtful, None, "ops@example.com", utcnow())
    link_service.relink(locks.lock_device(van.id), utcnow())
    assert looked_like() == {FALSE: None, TRUE: None}


def test_a_file_is_not_doubtful_any_more_when_the_answer_turns_out_to_be_another(doubtful: Upload) -> None:
    request = doubtful.looked_like
    link_service.fix(db.session.get_one(Upload, TRUE), None, "ops@example.com", utcnow())
    assert looked_like() == {FALSE: None, TRUE: None}
    assert doubtful.command_id == request


def test_a_file_stays_doubtful_when_only_the_answer_is_too_old_to_be_decided_anew(
    van: Device, doubtful: Upload
) -> None:
    request = doubtful.looked_like
    older = first_id(utcnow() - timedelta(days=30)) + "2" * 20
    db.session.execute(update(Upload).where(Upload.id == TRUE).values(id=older))
    db.session.execute(update(Upload).where(Upload.id == FALSE).values(id="f" * 32))
    db.session.commit()
    link_service.relink(locks.lock_device(van.id), utcnow())
    assert looked_like() == {older: None, "f" * 32: request}


def test_a_doubtful_video_is_no_reason_not_to_fetch_the_true_one(van: Device) -> None:
    moment = int(utcnow().timestamp()) - 600
    take(sidecar(FALSE, identifier="%videof", file_type="video", timestamp=moment * 1000, duration=10))
    with pytest.raises(Conflict):
        wish(van, file_type="video", timestamp=moment, duration=10)
    db.session.execute(update(Upload).values(looked_like="c" * 32))
    db.session.commit()
    assert wish(van, file_type="video", timestamp=moment, duration=10).state == State.QUEUED
