"""Runs `schemathesis run` with every check against the web process of the Procfile, on loopback and SQLite.

Usage, from the root: PYTHONPATH=. python tests/openapi_run.py [EXAMPLES [OPTIONS OF SCHEMATHESIS]]
An operation gets 100 examples by default.
Nothing is sent: no worker runs, and nobody listens at the gateway's address.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import ROOT, migrate
from stack import Stack
from test_openapi import fill

from app import create_app
from provisioning.core.config import load
from provisioning.models import Role, db
from provisioning.web import auth


def run(examples: int, options: list[str]) -> int:
    """Run it once; give the exit code of schemathesis."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stack = Stack(
            folder, f"sqlite:///{folder}/test.db", API_REQUESTS_PER_MINUTE="1000000",
            TWILIO_API_BASE_URL="http://127.0.0.1:9",
        )  # fmt: skip
        token = _prepare(stack, folder)
        try:
            stack.start("web")
            return subprocess.call(
                [
                    str(Path(sys.executable).parent / "schemathesis"), "run",
                    f"http://127.0.0.1:{stack.web_port}/api/v1/openapi.json", "--checks", "all",
                    # a device that was just added has no check yet: its address answers 404 not_run
                    "--exclude-checks", "ensure_resource_availability",
                    "--max-examples", str(examples), "--header", f"Authorization: Bearer {token}", *options,
                ],
                cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT / "tests")},  # where its hooks find their modules
            )  # fmt: skip
        finally:
            stack.close()


def _prepare(stack: Stack, folder: Path) -> str:
    """Make the database with a device, a command, a file and a text; give a token."""
    url = stack.environment["DATABASE_URL"]
    migrate(url)
    config = dataclasses.replace(
        load(), database_url=url,
        media_url=stack.environment["MEDIA_URL"], media_spool=folder / "spool",
        twilio_account_sid=stack.environment["TWILIO_ACCOUNT_SID"],
        twilio_auth_token=stack.environment["TWILIO_AUTH_TOKEN"], twilio_from=stack.environment["TWILIO_FROM"],
    )  # fmt: skip
    app = create_app(config)
    with app.app_context():
        fill()
        token = auth.create_token("schemathesis", Role.ADMIN)
        db.engine.dispose()
    return token


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2:]))
