"""What `make run` says before it starts anything: bin/run, read as a module."""

import importlib.machinery
import importlib.util
import socket
from pathlib import Path
from types import ModuleType

import pytest

from provisioning.core.config import load

PROGRAM = Path(__file__).resolve().parent.parent / "bin" / "run"
NAMES = ("PORT", "RECEIVER_PORT", "RECEIVER_HTTP_PORT", "SIMULATOR_PORT")


@pytest.fixture
def run() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("dualcam_run", str(PROGRAM))
    spec = importlib.util.spec_from_loader("dualcam_run", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_port_in_use_is_named_with_the_setting_that_moves_it(run: ModuleType, name: str) -> None:
    with socket.socket() as taken, socket.socket() as free:
        for one in (taken, free):
            one.bind(("127.0.0.1", 0))
        taken.listen()
        env = {other: str(free.getsockname()[1]) for other in NAMES} | {name: str(taken.getsockname()[1])}
        with pytest.raises(SystemExit, match=rf"Port {env[name]} is in use.* set {name} ") as stopped:
            run.check_ports(env, simulate=True)
    assert str(stopped.value).endswith("to another port.")


def test_without_the_simulator_its_port_may_be_in_use(run: ModuleType) -> None:
    with socket.socket() as taken, socket.socket() as free:
        for one in (taken, free):
            one.bind(("127.0.0.1", 0))
        taken.listen()
        env = {name: str(free.getsockname()[1]) for name in NAMES}
        run.check_ports(env | {"SIMULATOR_PORT": str(taken.getsockname()[1])}, simulate=False)


def test_the_simulator_listens_where_its_setting_says(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, simulate = environment(run, monkeypatch)
    assert simulate
    assert env["TWILIO_API_BASE_URL"] == "http://127.0.0.1:18900"
    assert "--port 18900 " in run.simulator_command(env)


def environment(run: ModuleType, monkeypatch: pytest.MonkeyPatch, **more: str) -> tuple[dict[str, str], bool]:
    """Give the processes' environment on a machine where only these are set."""
    for name in (*NAMES, "TWILIO_ACCOUNT_SID", "TWILIO_ACCOUNT_SID_FILE", "SMS_GATEWAY", "SMS_HTTP_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"SIMULATOR_PORT": "18900"} | more).items():
        monkeypatch.setenv(name, value)
    secrets = ("SECRET_KEY", "ENCRYPTION_KEYS", "SIMULATOR_ACCOUNT_SID", "SIMULATOR_AUTH_TOKEN")
    return run.environment(dict.fromkeys(secrets, "made once, and long enough"))


def test_the_simulator_stands_in_for_the_gateway_that_is_chosen(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, simulate = environment(run, monkeypatch, SMS_GATEWAY="http")
    assert simulate
    assert "--gateway http " in run.simulator_command(env)
    assert "/webhooks/http/inbound" in run.simulator_command(env)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    found = load().sms_http
    assert found is not None
    assert found.url == "http://127.0.0.1:18900/sms/messages"


def test_a_gateway_that_the_simulator_does_not_know_is_used_itself_and_this_is_said(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    env, simulate = environment(run, monkeypatch, SMS_GATEWAY="pigeon", PORT="8000", RECEIVER_PORT="7160")
    assert not simulate
    assert "no stand-in for the SMS gateway 'pigeon'" in "\n".join(run.greeting(env, None, simulate))


@pytest.mark.parametrize("name", ["SMS_HTTP_URL", "SMS_HTTP_URL_FILE", "TWILIO_ACCOUNT_SID"])
def test_where_a_gateway_is_set_none_is_simulated(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    env, simulate = environment(run, monkeypatch, **{name: "set"})
    assert not simulate
    assert "TWILIO_FROM" not in env
