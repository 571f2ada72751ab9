"""kill -9 of web, worker, receiver and database at random moments while photos and videos are asked for.

Each request is made until it is accepted, with one idempotency key, as a careful client does. In the end: every
accepted command has ended with a reason, every SMS that costs went out once, every file is there once.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from typing import Any

import requests

from simulator.metadata import metadata_answer_of
from simulator.vehicle import settings_for
from trials import evidence
from trials.evidence import Figures, hold
from trials.fleet import imei
from trials.system import Options, System, pause, system

KILLS = 200
VEHICLES = 8
OPEN = {"queued", "sending", "sent", "delivered", "answered", "unknown"}
SETTINGS = {
    "SMS_REPLY_TIMEOUT": "60",
    "CAPTURE_TIMEOUT": "240",  # the simulator's postponed second chance comes after 90 s
    "RECONCILE_INTERVAL": "3",
    "SMS_BURST": "100",
    "API_REQUESTS_PER_MINUTE": "100000",
    "RECEIVER_WORKERS": "2",
    "RECEIVER_ANSWER_TIMEOUT": "5",
    "RECEIVER_METADATA_TIMEOUT": "2",
}


class Vehicle(threading.Thread):
    """One vehicle, of which photos and videos are asked one after the other."""

    def __init__(self, system: System, number: int, seed: int, ends: threading.Event) -> None:
        super().__init__(daemon=True)
        self.system, self.imei, self.ends = system, imei(number), ends
        self.phone, self.rng = f"+1202555{number:04d}", random.Random(f"{seed}/vehicle/{number}")
        self.metadata_answer = metadata_answer_of(number)
        self.accepted: list[str] = []
        self.refused: Counter[str] = Counter()

    def add(self) -> None:
        """Put it on the road and into the product."""
        stack = self.system.stack
        given = {"imei": self.imei, "phone": self.phone, "sms_login": "fleet", "sms_password": "cam12"}
        stack.control(
            "POST",
            "/vehicles",
            given | settings_for(self.metadata_answer) | {"parameters": {"150": "1", "151": "18"}},
        )
        stack.api("POST", "/devices", given | {"model": "FMC125"}, status=201)

    def run(self) -> None:
        """Ask until told to stop."""
        while not self.ends.is_set():
            body: dict[str, Any] = {"command": "camreq", "source": self.rng.choice(["front", "rear", "both"])}
            body["file_type"] = "photo"
            if self.rng.random() < 0.1:
                begin = int(time.time()) - self.rng.randint(10, 100)
                body |= {"file_type": "video", "timestamp": begin, "duration": 1}
            if command := self._ask(body, f"{self.imei}-{len(self.accepted)}-{self.rng.random()}"):
                self.accepted.append(command)
                while not self.ends.is_set() and self._is_open(command):
                    pause(0.3)
            # a path names its file by the second: never two files under one
            pause(self.rng.uniform(0, 0.5) + (1 if self.metadata_answer.by_path else 0))

    def _ask(self, body: dict[str, Any], key: str) -> str | None:
        while not self.ends.is_set():
            status, answer = self._call(
                "POST", f"/devices/{self.imei}/commands", body, {"Idempotency-Key": key}
            )
            if status == 202:
                return str(answer["id"])
            if status and status < 500:
                self.refused[f"{status} {answer.get('code')}"] += 1
                if answer.get("code") != "in_progress":
                    return None
            pause(0.2)
        return None

    def _is_open(self, command: str) -> bool:
        status, answer = self._call("GET", f"/commands/{command}")
        hold(status != 404, "an accepted command is gone:", command)
        return status != 200 or answer["state"] in OPEN

    def _call(self, method: str, path: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:
        """Give status and JSON; status 0 where nobody answered."""
        stack = self.system.stack
        try:
            answer = requests.request(
                method, f"{stack.environment['PUBLIC_URL']}/api/v1{path}", json=body, timeout=40,
                headers={"Authorization": f"Bearer {stack.token}"} | (headers or {}),
            )  # fmt: skip
            return answer.status_code, answer.json()
        except (requests.RequestException, ValueError):
            return 0, {}


def kill_one(system: System, rng: random.Random) -> str:
    """End something at once and start it again a moment later; say what."""
    victims = ["web", "worker", "receiver", "receiver worker", "web worker"]
    victim = rng.choice([*victims, "database"] if system.server else victims)
    if victim == "database":
        assert system.server is not None
        system.kill_database()
        pause(rng.uniform(0, 1))
        system.server.start()
    elif victim.endswith(" worker"):
        for pid in system.workers(victim.split()[0])[:1]:
            os.kill(pid, signal.SIGKILL)
    else:
        system.stack.kill(victim)
        pause(rng.uniform(0, 1))
        system.launch(victim)
    return victim


def run(options: Options) -> Figures:
    """Kill `rounds` times (200). Raises BrokenPromise."""
    rng = random.Random(options.seed)
    ends, killed = threading.Event(), Counter[str]()
    deadline = time.monotonic() + 60 * (options.minutes or 30)
    with system(options, "simulator", "web", "receiver", "worker", **SETTINGS) as sys:
        vehicles = [Vehicle(sys, number, options.seed, ends) for number in range(VEHICLES)]
        for vehicle in vehicles:
            vehicle.add()
            vehicle.start()
        for _ in range(options.rounds or KILLS):
            if time.monotonic() > deadline:
                break
            pause(rng.uniform(0.1, 2.5))
            killed[kill_one(sys, rng)] += 1
        ends.set()
        for name in ("web", "receiver", "worker"):
            sys.stack.wait_ready(name)
        for vehicle in vehicles:
            vehicle.join(60)
        began = time.monotonic()
        seen = settle(sys, vehicles)
        return {"kills": dict(killed), "settled_after_seconds": round(time.monotonic() - began, 1)} | seen


def settle(
    sys: System, vehicles: list[Vehicle], others: evidence.Tally | None = None, seconds: float = 420
) -> Figures:
    """Wait for the end of all that is under way; then hold every promise. Raises BrokenPromise.

    `others`: what other cameras did.
    """
    accepted = [command for vehicle in vehicles for command in vehicle.accepted]
    going = "FROM commands WHERE state IN ('queued','sending','sent','delivered','answered','unknown')"
    try:
        evidence.wait(lambda: sys.database.count(f"SELECT count(*) {going}") == 0, seconds, "commands never end",
                      every=1)  # fmt: skip
    except evidence.BrokenPromise as error:
        left = sys.database.rows(f"SELECT id, kind, state, reply, result, note, expires_at, history {going}")
        raise evidence.BrokenPromise(f"{error}: {left}") from None
    evidence.wait(lambda: not any(found["waiting"] for found in fleet_of(sys, vehicles)), seconds,
                  "cameras keep files for ever", every=1)  # fmt: skip
    commands = sys.database.rows("SELECT id, kind, state, error_code, error FROM commands")
    hold({row.id for row in commands} >= set(accepted), "an accepted command is not in the database")
    for row in commands:
        hold(row.state == "done" or (row.error_code and row.error), "ended without a reason:", row)
    return {
        "accepted": len(accepted),
        "refused": dict(sum((vehicle.refused for vehicle in vehicles), Counter())),
        "ended": dict(Counter(f"{row.state} {row.error_code or ''}".strip() for row in commands)),
    } | messages(sys) | files(sys, vehicles, others or evidence.Tally())  # fmt: skip


def fleet_of(sys: System, vehicles: list[Vehicle]) -> list[dict[str, Any]]:
    """Give the simulator's vehicles of this trial."""
    ours = {vehicle.imei for vehicle in vehicles}
    return [found for found in sys.stack.control("GET", "/vehicles")["items"] if found["imei"] in ours]


_unknown: list[Any] = []


def messages(sys: System) -> Figures:
    """Hold that each camreq went out once at most, and that no message of the gateway stays unknown to us."""
    at_gateway = sys.stack.control("GET", "/messages")["items"]
    if sys.stack.gateway == "http":
        return messages_by_reference(sys, at_gateway)
    wanted = {message["id"]: message for message in at_gateway}

    def known() -> bool:
        rows = sys.database.rows("SELECT gateway_id FROM messages WHERE gateway_id IS NOT NULL")
        unknown = [wanted[sid] for sid in wanted.keys() - {row.gateway_id for row in rows}]
        _unknown[:] = unknown
        return not unknown

    try:
        evidence.wait(known, 200, "messages that the gateway has are not known to us", every=1)
    except evidence.BrokenPromise as error:
        orphans = sys.database.rows(
            "SELECT m.id, m.command_id, m.status, m.body, m.created_at, c.state, c.history"
            " FROM messages m LEFT JOIN commands c ON c.id = m.command_id WHERE m.gateway_id IS NULL"
        )
        raise evidence.BrokenPromise(f"{error}: {_unknown} {orphans}") from None
    requests_out = [m for m in at_gateway if "camreq" in m["body"] and m["direction"] != "inbound"]
    rows = sys.database.rows(
        "SELECT m.gateway_id, m.command_id FROM messages m JOIN commands c ON c.id = m.command_id"
        " WHERE c.kind = 'camreq' AND m.direction = 'out' AND m.gateway_id IS NOT NULL"
    )
    by_command = Counter(row.command_id for row in rows)
    hold(
        all(count == 1 for count in by_command.values()),
        "a request went out twice:",
        by_command.most_common(2),
    )
    hold({m["id"] for m in requests_out} == {row.gateway_id for row in rows},
         "a request that no command knows went out", len(requests_out), len(rows))  # fmt: skip
    return {"camreq_sms": len(requests_out), "sms": len(at_gateway)}


def messages_by_reference(sys: System, at_gateway: list[dict[str, Any]]) -> Figures:
    """Hold the same where the gateway lists nothing: our own id ties its SMS to ours, and it brings texts again."""
    texts = {m["id"].removeprefix("in:") for m in at_gateway if m["direction"] == "inbound"}

    def known() -> bool:
        rows = sys.database.rows("SELECT gateway_id FROM messages WHERE direction = 'in'")
        return texts <= {row.gateway_id for row in rows}

    evidence.wait(known, 200, "texts that the gateway has are not known to us", every=1)
    rows = sys.database.rows("SELECT m.id, m.command_id FROM messages m WHERE m.direction = 'out'")
    commands = {row.id: row.command_id for row in rows}
    requests_out = [
        m["reference"] for m in at_gateway if "camreq" in m["body"] and m["direction"] != "inbound"
    ]
    hold(set(requests_out) <= commands.keys(), "a request that no command knows went out")
    by_command = Counter(commands[reference] for reference in requests_out)
    hold(
        all(count == 1 for count in by_command.values()),
        "a request went out twice:",
        by_command.most_common(2),
    )
    return {"camreq_sms": len(requests_out), "sms": len(at_gateway)}


def files(sys: System, vehicles: list[Vehicle], others: evidence.Tally) -> Figures:
    """Hold that what was acknowledged to cameras is there, once."""
    seen = fleet_of(sys, vehicles)

    def sent(what: str) -> list[evidence.Sent]:
        return [
            evidence.Sent(vehicle["imei"], file["offered_as"], file["timestamp"], file["sha256"])
            for vehicle in seen
            for file in vehicle[what]
        ]

    tally = evidence.Tally(sent("acknowledged"), sent("unheard"))
    return evidence.stored_once(sys.database, sys.media, sys.spool, tally + others)
