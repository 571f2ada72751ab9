"""Coordinates several machines on one media store: which machine holds a file, and how the next one takes it over.

A lease in the database says who writes a file. A newer session of the device on another machine asks for it; the
older one ends, leaves its part in the store and gives the lease back. Where the database is away nobody is asked:
files that two machines stored are found to be one when they are registered. Called by `server`.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import gevent
import structlog

from receiver.backend.port import Product
from receiver.endings import Reason
from receiver.spool.file_identity import camera_time
from receiver.spool.sidecar import SidecarRecord
from receiver.spool.spool import Spool
from receiver.store.durability import StorageError, new_id
from receiver.store.media_store import MediaError, is_away
from receiver.wire.actions import Offer
from receiver.wire.file_order import BY_PATH
from receiver.wire.protocol import Metadata

log = structlog.get_logger("receiver")
ANSWER_SECONDS = 8.0  # for another machine's session to end and leave its part; then it is passed over
ANSWER_POLL = 0.4
WANTED_POLL = 1.0  # seconds between checks whether a newer session waits for a file

Key = tuple[str, str]  # IMEI and identifier


def machine_name(spool: Path) -> str:
    """Name the machine that a spool belongs to, the same for all its processes and after a restart."""
    path, own = spool / "machine", spool / f"machine.{os.getpid()}"
    if not path.exists():
        own.write_text(os.urandom(8).hex())
        with contextlib.suppress(FileExistsError):
            os.link(own, path)  # whole or not at all: other processes start at this moment too
        own.unlink()
    return f"{socket.gethostname()[:80]}/{path.read_text()}"


def claim_of(identifier: str) -> str:
    """Give what a claim is on: a file, or, as the claims of other processes, all that a device offers by path."""
    return identifier if identifier.startswith("%") else BY_PATH


class LeaseClient:
    """The leases of one process, and the partial files of its machine that no session holds."""

    def __init__(
        self, store: Spool, product: Product, now: Callable[[], datetime], allows: Callable[[str], bool]
    ) -> None:
        self._store, self._product, self._now = store, product, now
        self._allows = allows  # whether one more log line of a kind may be written in this minute
        self._machine = machine_name(store.spool)
        self._tokens: dict[Key, str] = {}
        self._released: list[str] = []
        self._sharing: dict[Key, gevent.Greenlet] = {}  # by claim
        self._passed_over: set[str] = set()  # uploads that could not be shared, named once in the log

    def take(self, imei: str, identifier: str, given_up: Callable[[], bool]) -> None:
        """Take a file into hand; another machine's session is asked to leave it, and waited for.

        Raises StorageError where the asker is `given_up` meanwhile.
        """
        token, deadline, force = new_id(self._now()), time.monotonic() + ANSWER_SECONDS, False
        try:
            while not self._product.lease(imei, identifier, token, self._machine, force):
                if given_up():
                    raise StorageError(Reason.TAKEN_OVER)
                force = time.monotonic() >= deadline
                gevent.sleep(0 if force else ANSWER_POLL)
        except StorageError:
            raise
        except Exception:
            if self._allows("database away"):
                log.warning("database away: no lease", imei=imei, exc_info=True)
            return
        self._tokens[imei, identifier] = token

    def check(self, imei: str, identifier: str) -> None:
        """Make sure that no other machine went on with a file. Raises StorageError."""
        token = self._tokens.get((imei, identifier))
        if token is not None and not self._holds(token):
            raise StorageError(Reason.HELD_ELSEWHERE)

    def _holds(self, token: str) -> bool:
        try:
            return self._product.holds(token)
        except Exception:
            if self._allows("database away"):
                log.warning("database away: lease not checked", exc_info=True)
            return True

    def drop(self, imei: str, identifier: str) -> None:
        """Have a lease given back, after all that is queued for the product at this moment."""
        if token := self._tokens.pop((imei, identifier), None):
            self._released.append(token)

    def released(self) -> list[str]:
        """Give the leases that may be given back now."""
        return list(self._released)

    def give_back(self, tokens: list[str]) -> None:
        """Give leases back; what fails stays to be given back."""
        if tokens:
            self._product.release(tokens)
            self._released = [token for token in self._released if token not in set(tokens)]

    def watch(self, end: Callable[[str, str], object]) -> None:
        """End this process's sessions at files that newer sessions on other machines wait for, for ever."""
        while True:
            gevent.sleep(WANTED_POLL)
            try:
                wanted = self._product.wanted() if self._tokens else set()
            except Exception:
                if self._allows("database away"):
                    log.warning("database away: nobody can ask for a file", exc_info=True)
                continue
            for key, token in list(self._tokens.items()):
                if token in wanted:
                    end(*key)

    def leave(self, record: SidecarRecord) -> None:
        """Make what a session had of a file reachable for every receiver; what fails is tried again later."""
        token = self._tokens.get((record["imei"], record["identifier"]))
        try:
            if not camera_time(record) and token and not self._holds(token):
                self._store.discard(record)  # nothing proves what it is, and somebody is further
            else:
                self._share(record)
        except (MediaError, OSError) as error:
            if self._allows("partial file not shared"):
                log.warning("partial file not shared, will try again", imei=record["imei"], reason=str(error))

    def _share(self, record: SidecarRecord) -> SidecarRecord | None:
        """Share a partial file, as `Spool.share` does; None also where `give_way` ended it.

        Raises MediaError, OSError.
        """
        key = record["imei"], claim_of(record["identifier"])
        self._sharing[key] = sharing = gevent.spawn(self._try_to_share, record)
        try:
            found = sharing.get()
        finally:
            del self._sharing[key]
        if isinstance(found, gevent.GreenletExit):
            return None  # a session of this machine goes on with it
        shared, error = found
        if error is not None:
            raise error
        return shared

    def _try_to_share(self, record: SidecarRecord) -> tuple[SidecarRecord | None, Exception | None]:
        """Bring an error out of the greenlet as a value: gevent would print it too."""
        try:
            return self._store.share(record, self._now()), None
        except (MediaError, OSError) as error:
            return None, error

    def give_way(self, imei: str, identifier: str) -> None:
        """End the sharing of a partial file: a session of this machine goes on with it where it lies."""
        if (sharing := self._sharing.get((imei, claim_of(identifier)))) is not None:
            sharing.kill(block=False)

    def leave_rest(
        self,
        hold: Callable[[str, str], bool],
        let_go: Callable[[str, str], None],
        report: Callable[[SidecarRecord], None],
    ) -> None:
        """Do the same for what killed processes left on this machine, and what could not be shared before.

        Raises MediaError where the store is away for all of them, and whatever the product raises.
        """
        waiting = self._store.unshared()
        self._passed_over &= {record["upload"] for record in waiting}
        for record in waiting:
            imei, identifier = record["imei"], record["identifier"]
            if not hold(imei, identifier):
                continue  # a session of this machine is at it
            try:
                self._settle(record, report)
            except (OSError, MediaError) as error:
                if is_away(self._store.media, error):
                    raise
                if record["upload"] not in self._passed_over:
                    log.error(
                        "partial file cannot be shared, will try again",
                        imei=imei,
                        upload=record["upload"],
                        reason=str(error),
                    )
                self._passed_over.add(record["upload"])
            finally:
                let_go(imei, identifier)

    def _settle(self, record: SidecarRecord, report: Callable[[SidecarRecord], None]) -> None:
        """Share one partial file, or remove it where nobody can go on with it."""
        if not camera_time(record) and self._store.partial.is_too_old(record, self._now()):
            # first: if this fails, the file is found and reported again
            self._product.expired([record["upload"]])
            self._store.discard(record)
        elif self._stored_meanwhile(record):
            self._store.discard(record)
        elif shared := self._share(record):
            report(shared)

    def _stored_meanwhile(self, record: SidecarRecord) -> bool:
        if not (timestamp := camera_time(record)):
            return False
        metadata = Metadata(0, 0, timestamp, None, 0)  # the rest of a sidecar may be of another version
        offer = Offer(record["identifier"], record["by_path"], record["count"], metadata)
        try:
            return self._product.recall(record["imei"], offer) is not None
        except Exception:
            if self._allows("database away"):
                log.warning(
                    "database away: a partial file is shared all the same", imei=record["imei"], exc_info=True
                )
            return False  # a device that offers it again is asked for its last packet only
