"""The whole product as real processes: what the Procfile names, plus the simulator, on ports of their own.

Used by the end-to-end and the kill tests. Only processes started here are ever ended, by their id.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import databases
import machine
import requests
from conftest import ACCOUNT_SID, AUTH_TOKEN, ROOT, SENDER, free_port, wait_until
from honcho.environ import parse_procfile

from provisioning.models import Role
from provisioning.web import auth, users
from simulator.gateways import STAND_INS
from simulator.sms_gateway import Account

TIME_SCALE = 0.05  # of the simulator: a second of a vehicle in ours
WEBHOOK_SECRET = "only-for-tests-webhook-secret"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


class Stack:
    """Web, receiver, worker and simulator in a temporary folder; REST and control calls against them."""

    def __init__(
        self, folder: Path, database_url: str, *, time_scale: float = TIME_SCALE, **settings: str
    ) -> None:
        self.folder = folder
        self.web_port, self.receiver_port, self.health_port, self.simulator_port = (
            free_port() for _ in range(4)
        )
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {
            "PATH": PATH,
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "SECRET_KEY": "only for tests: not a secret of anybody",
            "ENCRYPTION_KEYS": "only for tests: no key of anybody",
            "DATABASE_URL": database_url,
            "MEDIA_URL": f"file://{folder}/media",
            "MEDIA_SPOOL": str(folder / "spool"),
            "PUBLIC_URL": f"http://127.0.0.1:{self.web_port}",
            "PORT": str(self.web_port),
            "WEB_HOST": "127.0.0.1",
            "RECEIVER_HOST": "127.0.0.1",
            "RECEIVER_PORT": str(self.receiver_port),
            "RECEIVER_HTTP_PORT": str(self.health_port),
            "CAMERA_SERVER_DOMAIN": "127.0.0.1",
            "SMS_PER_SECOND": "50",
            "RECONCILE_INTERVAL": "2",
            "CHECK_ASK_AGAIN": "30",
            "CHECK_SLOW_ANSWER": "8",
            # longer than the simulator's 30 s and 40 s at its time scale
            "RECONFIGURATION_WAIT": "3",
            "CAMERA_RESTART_WAIT": "4",
        }
        self.gateway = settings.get("SMS_GATEWAY", "twilio")
        self.environment |= self._gateway_settings() | settings
        self.commands = parse_procfile((ROOT / "Procfile").read_text()).processes | {
            "simulator": f"{shlex.quote(sys.executable)} -m simulator run --gateway {self.gateway}"
            f" --port {self.simulator_port} --number {SENDER}"
            f" --webhook {self.environment['PUBLIC_URL']}/webhooks/{self.gateway}/inbound"
            f" --receiver 127.0.0.1:{self.receiver_port} --time-scale {time_scale}"
        }
        self.token = ""

    def _gateway_settings(self) -> dict[str, str]:
        """Give the settings of the simulated gateway that SMS_GATEWAY names."""
        account = Account(SENDER, AUTH_TOKEN, ACCOUNT_SID, WEBHOOK_SECRET)
        settings = STAND_INS[self.gateway].settings(f"http://127.0.0.1:{self.simulator_port}", account)
        return settings | {"SIMULATOR_AUTH_TOKEN": AUTH_TOKEN}

    def start(self, *names: str) -> None:
        """Start processes by name, each the leader of its own group, output into a file of its own."""
        for name in names:
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    ["/bin/sh", "-c", f"exec {self.commands[name]}"],
                    cwd=ROOT, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )  # fmt: skip
            machine.keep_until_the_end(self.processes[name].pid)
        for name in names:
            self.wait_ready(name)

    def wait_ready(self, name: str) -> None:
        """Wait until a process answers its health check (the worker has none)."""
        url = {
            "web": f"http://127.0.0.1:{self.web_port}/healthz",
            "receiver": f"http://127.0.0.1:{self.health_port}/healthz",
            "simulator": f"http://127.0.0.1:{self.simulator_port}/control/vehicles",
        }.get(name)
        if url:
            wait_until(lambda: self._answers(url) or self._ended(name), seconds=120)

    def _answers(self, url: str) -> bool:
        try:
            return requests.get(url, timeout=5).ok
        except requests.RequestException:
            return False

    def _ended(self, name: str) -> bool:
        if self.processes[name].poll() is not None:
            raise AssertionError(f"{name} ended:\n{self.log(name)[-3000:]}")
        return False

    def log(self, name: str) -> str:
        """Give what a process has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def kill(self, name: str) -> None:
        """End a process and its children at once, as kill -9 or a power cut would."""
        self._signal(name, signal.SIGKILL)

    def stop(self, name: str) -> int:
        """Ask a process to end, give its exit code."""
        process = self.processes[name]
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(15)
        except subprocess.TimeoutExpired:
            self._signal(name, signal.SIGKILL)
            return process.wait()

    def _signal(self, name: str, number: signal.Signals) -> None:
        process = self.processes[name]
        if process.poll() is None:
            os.killpg(process.pid, number)
        process.wait()

    def release(self) -> None:
        """Migrate the database and make an admin's token, by the commands that production uses."""
        self._run(self.commands["release"])
        self.token = self._run("flask tokens create tests --role admin").strip()

    def prepare(self) -> None:
        """Give what `release` gives, in this process: each of its commands costs three seconds of processor time."""
        url = self.environment["DATABASE_URL"]
        path = Path(url.removeprefix("sqlite:///"))
        if url.startswith("sqlite:") and not path.exists():
            databases.copy_sqlite(path)
        self.token = databases.within(url, lambda: auth.create_token("tests", Role.ADMIN))

    def add_user(self, email: str, password: str, role: str) -> None:
        """Make somebody who can sign in."""
        url = self.environment["DATABASE_URL"]
        databases.within(url, lambda: users.create(email, Role(role), password))

    def _run(self, command: str, given: str | None = None) -> str:
        done = subprocess.run(
            shlex.split(command), cwd=ROOT, env=self.environment, input=given, text=True, check=True,
            capture_output=True,
        )  # fmt: skip
        return done.stdout

    def api(
        self, method: str, path: str, body: Any = None, *, status: int | None = None, **options: Any
    ) -> Any:
        """Call the REST API; give the JSON (or the bytes) and check the status where one is named."""
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        answer = requests.request(
            method,
            f"{self.environment['PUBLIC_URL']}/api/v1{path}",
            json=body,
            headers=headers,
            timeout=30,
            **options,
        )
        if status is not None:
            assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if "json" in answer.headers.get("Content-Type", "") else answer.content

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's control API."""
        answer = requests.request(
            method, f"http://127.0.0.1:{self.simulator_port}/control{path}", json=body, timeout=30
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json()

    def ended(self, command: str, seconds: float = 180) -> dict[str, Any]:
        """Wait until a command has ended and give it."""
        open_states = {"queued", "sending", "sent", "delivered", "answered", "unknown"}
        last: dict[str, Any] = {}

        def look() -> bool:
            try:
                last.update(self.api("GET", f"/commands/{command}", status=200))
            except requests.RequestException:
                return False  # the web process may be away for a moment in kill tests
            return last["state"] not in open_states

        try:
            wait_until(look, seconds)
        except AssertionError:
            raise AssertionError(f"{last}\n{self.log('worker')[-2000:]}") from None
        return last

    def close(self) -> None:
        """End all that was started here, together."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for name in self.processes:
            self.stop(name)


@contextmanager
def running(
    folder: Path,
    database_url: str,
    *,
    as_in_production: bool = False,
    time_scale: float = TIME_SCALE,
    **settings: str,
) -> Iterator[Stack]:
    """Run the whole product on a migrated database (or a SQLite file that is not there yet); end it afterwards."""
    stack = Stack(folder, database_url, time_scale=time_scale, **settings)
    try:
        stack.release() if as_in_production else stack.prepare()
        stack.start("simulator", "web", "receiver", "worker")
        yield stack
    finally:
        stack.close()
