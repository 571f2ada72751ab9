"""The stand-in for Twilio against Twilio's own description, through prism's validating proxy.

Runs where the description lies beside the checkout (../shared/twilio/messages.json); elsewhere there is nothing
to compare with, and no test is collected.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import ACCOUNT_SID, AUTH_TOKEN, ROOT, SENDER, free_port, wait_until
from flask import Flask
from gateway_double import Phone

DESCRIPTION = ROOT.parent / "shared" / "twilio" / "messages.json"
PRISM = ROOT / "tests" / "contract" / "node_modules" / ".bin" / "prism"


def without_uri_format(node: Any) -> Any:
    """Twilio's own examples have relative addresses where the description says `format: uri`."""
    if isinstance(node, dict):
        return {k: without_uri_format(v) for k, v in node.items() if not (k == "format" and v == "uri")}
    return [without_uri_format(item) for item in node] if isinstance(node, list) else node


if DESCRIPTION.exists():

    @pytest.fixture
    def proxy(app: Flask, tmp_path: Path) -> Iterator[str]:
        phone = Phone(app)
        description = tmp_path / "messages.json"
        description.write_text(json.dumps(without_uri_format(json.loads(DESCRIPTION.read_text()))))
        port = free_port()
        upstream = f"http://127.0.0.1:{phone.server.server_port}"
        command = [PRISM, "proxy", "--errors", "-h", "127.0.0.1", "-p", str(port), description, upstream]
        with (tmp_path / "prism.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}/2010-04-01/Accounts/{ACCOUNT_SID}"
        try:
            wait_until(lambda: _answers(url), seconds=60)
            yield url
        finally:
            process.terminate()
            process.wait(20)
            phone.close()

    def _answers(url: str) -> bool:
        try:
            return (
                requests.get(f"{url}/Messages.json", auth=(ACCOUNT_SID, AUTH_TOKEN), timeout=5).status_code
                < 500
            )
        except requests.ConnectionError:
            return False

    @pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
    def test_requests_and_answers_agree_with_twilios_description(proxy: str) -> None:
        with requests.Session() as session:
            session.auth = (ACCOUNT_SID, AUTH_TOKEN)
            form = {"To": "+12025550111", "From": SENDER, "Body": "fleet cam11 getver", "ValidityPeriod": "600",
                    "StatusCallback": "http://dualcam.test/webhooks/twilio/status?message=1"}  # fmt: skip
            made = session.post(f"{proxy}/Messages.json", data=form)
            assert (made.status_code, made.json()["status"]) == (201, "queued")
            assert "sl-violations" not in made.headers
            sid = made.json()["sid"]
            for answer in (
                session.get(f"{proxy}/Messages/{sid}.json"),
                session.get(f"{proxy}/Messages.json", params={"To": "+12025550111", "PageSize": "1"}),
                session.get(f"{proxy}/Messages.json", params={"DateSent>": "2026-01-01T00:00:00Z"}),
            ):
                assert answer.status_code == 200, answer.text
                assert "sl-violations" not in answer.headers
            refused = session.post(f"{proxy}/Messages.json", data=form | {"To": "none"})
            assert (refused.status_code, refused.json()["code"]) == (400, 21211)
            assert session.get(f"{proxy}/Messages/SM{'0' * 32}.json").json()["code"] == 20404
            assert session.delete(f"{proxy}/Messages/{sid}.json").status_code == 204
            assert (
                requests.get(f"{proxy}/Messages.json", auth=(ACCOUNT_SID, "wrong"), timeout=5).status_code
                == 401
            )
