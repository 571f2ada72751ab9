"""`python -m simulator`: the command line of the virtual vehicles and of the stand-ins for SMS gateways."""

import json
import signal
import sys
import threading
from pathlib import Path

import click
from flask import Flask
from werkzeug.serving import WSGIRequestHandler, make_server

from simulator import control, media
from simulator.camera import Camera
from simulator.gateways import STAND_INS
from simulator.metadata import MetadataAnswer
from simulator.network import Network
from simulator.sms_gateway import Account, GatewayStandIn
from simulator.vehicle import MOST_VEHICLES, CapturedFile, default_fleet, from_json, settings_for

IDENTIFIERS = click.Choice(["%photof", "%photor", "%videof", "%videor"])
# by the field of the account that they fill
OPTIONS = {
    "ident": "--account-sid, or TWILIO_ACCOUNT_SID",
    "webhook_secret": "--webhook-secret, or SMS_HTTP_WEBHOOK_SECRET",
}
COUNT = click.option(
    "--count",
    type=click.IntRange(1, MOST_VEHICLES),
    default=3,
    show_default=True,
    help="How many; of each ten after the third one never answers 0x000A, one gives time 0, and three go by path.",
)


HELP = """Virtual DualCam vehicles, and stand-ins for SMS gateways.

THE VEHICLES obey SMS commands (login, password and all) with the vendor's reply texts, hold a parameter store, take
photos and videos with a visible clock and the camera's name, and send them over TCP as a camera does: by identifier
(protocol id 5) or by path (6). Faults on request: a line dropped or a packet corrupted at number N, silent metadata,
ignition off, no SD card, a camera missing, a wrong time zone, a slow line, an unreachable server, SMS lost, late or
twice.

THE STAND-IN FOR TWILIO serves its Messages API: create, fetch, list with filters and pages, cancel, delete; it posts
status callbacks and inbound webhooks signed with the auth token, answers Twilio's error codes, and trims leading blanks
from a text, as Twilio does.

THE STAND-IN FOR ANOTHER PROVIDER (--gateway http) takes an SMS as JSON at /sms/messages and posts reports and texts as
JSON, signed over the body. It lists nothing and keeps leading blanks.

`run` starts the vehicles and one stand-in on one port, with a control API under /control for vehicles, faults, texts:

\b
  curl http://127.0.0.1:8900/control/vehicles
  curl -X PATCH http://127.0.0.1:8900/control/vehicles/352094082736916/faults \\
       -H 'Content-Type: application/json' -d '{"drop_at": 5}'

docs/simulator.md has the table of calls. `camera` sends one file and needs no `run`.
"""


@click.group(help=HELP)
def main() -> None:
    """Choose a command."""


class Quiet(WSGIRequestHandler):
    """Serve without a log line for every request."""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing."""


def make_app(network: Network, gateway: GatewayStandIn) -> Flask:
    """Make the HTTP side: the gateway's API and the control API."""
    app = Flask("simulator")
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.register_blueprint(gateway.blueprint())
    app.register_blueprint(control.Control(network, gateway).blueprint())
    return app


@main.command()
@COUNT
def vehicles(count: int) -> None:
    """Print the virtual vehicles as JSON."""
    click.echo(json.dumps([vehicle.as_device() for vehicle in default_fleet(count)], indent=2))


@main.command()
@click.option(
    "--gateway",
    type=click.Choice(list(STAND_INS)),
    default="twilio",
    show_default=True,
    help="Which gateway's API is served.",
)
@click.option(
    "--port",
    "--twilio-port",
    "port",
    default=8900,
    show_default=True,
    help="Port of the gateway's API and of /control.",
)
@click.option("--account-sid", envvar="TWILIO_ACCOUNT_SID", help="Twilio's account. [env TWILIO_ACCOUNT_SID]")
@click.option(
    "--auth-token",
    envvar=["SIMULATOR_AUTH_TOKEN", "TWILIO_AUTH_TOKEN"],
    help="[env SIMULATOR_AUTH_TOKEN, or TWILIO_AUTH_TOKEN or _FILE]",
)
@click.option(
    "--auth-token-file", envvar="TWILIO_AUTH_TOKEN_FILE", type=click.Path(exists=True, dir_okay=False)
)
@click.option("--number", default="+12025550100", show_default=True, help="The account's phone number.")
@click.option(
    "--webhook-secret",
    envvar="SMS_HTTP_WEBHOOK_SECRET",
    help="What signs the webhooks, where the gateway has such a secret. [env SMS_HTTP_WEBHOOK_SECRET]",
)
@click.option(
    "--webhook",
    help="Where texts of the vehicles are posted.  [default: http://127.0.0.1:8000/webhooks/GATEWAY/inbound]",
)
@click.option(
    "--receiver",
    default="127.0.0.1:7160",
    show_default=True,
    help="The camera server set in the vehicles; a request may name another.",
)
@click.option(
    "--vehicles",
    "fleet_file",
    type=click.Path(exists=True, dir_okay=False),
    help="JSON list of vehicles, as POST /control/vehicles takes them.",
)
@COUNT
@click.option(
    "--memory",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file that keeps the vehicles' parameters over a restart, as trackers do.",
)
@click.option(
    "--time-scale", default=1.0, show_default=True, help="0.1 makes every simulated wait ten times shorter."
)
def run(
    gateway: str,
    port: int,
    account_sid: str | None,
    auth_token: str | None,
    auth_token_file: str | None,
    number: str,
    webhook_secret: str | None,
    webhook: str | None,
    receiver: str,
    fleet_file: str | None,
    count: int,
    memory: Path | None,
    time_scale: float,
) -> None:
    """Run the vehicles, the stand-in for an SMS gateway and the control API."""
    if auth_token_file:
        auth_token = Path(auth_token_file).read_text().strip()
    if not auth_token:
        raise click.UsageError("Give --auth-token, or TWILIO_AUTH_TOKEN in the environment.")
    account = Account(number, auth_token, account_sid or "", webhook_secret or "")
    for field in STAND_INS[gateway].needs:
        if not getattr(account, field):
            raise click.UsageError(f"Give {OPTIONS[field]} in the environment.")
    webhook = webhook or f"http://127.0.0.1:8000/webhooks/{gateway}/inbound"
    fleet = default_fleet(count)
    if fleet_file:
        fleet = [from_json(item) for item in json.loads(Path(fleet_file).read_text())]
    host, _, receiver_port = receiver.rpartition(":")
    for vehicle in fleet:
        vehicle.server = vehicle.server or (host, int(receiver_port))
    network = Network(fleet, time_scale, memory)
    stand_in = STAND_INS[gateway](account, webhook, network)
    server = make_server("127.0.0.1", port, make_app(network, stand_in), threaded=True, request_handler=Quiet)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown, daemon=True).start())
    click.echo(f"Stand-in for {gateway}, and control API, on http://127.0.0.1:{port}, {len(fleet)} vehicles")
    server.serve_forever()
    network.stop()


@main.command()
@click.option("--imei", required=True, help="Of the device that sends.")
@click.option("--server", default="127.0.0.1:7160", show_default=True, help="Where the receiver listens.")
@click.option(
    "--identifier",
    type=IDENTIFIERS,
    default="%photof",
    show_default=True,
    help="Photo or video, front or rear.",
)
@click.option(
    "--file", "path", type=click.Path(exists=True, dir_okay=False), help="A file to send; else one is made."
)
@click.option("--metadata-version", default=4, show_default=True, help="0 never answers.")
@click.option(
    "--metadata",
    "metadata_answer",
    type=click.Choice([kind.value for kind in MetadataAnswer]),
    help="What it answers to 0x000A; sets the protocol too. Else --metadata-version and --protocol say it.",
)
@click.option(
    "--protocol",
    type=click.IntRange(0, 65535),
    default=5,
    show_default=True,
    help="Protocol id of the INIT: up to 5 files go by identifier, from 6 on by path, with metadata in JSON.",
)
def camera(
    imei: str,
    server: str,
    identifier: str,
    path: str | None,
    metadata_version: int,
    metadata_answer: str | None,
    protocol: int,
) -> None:
    """Send one file as a camera would."""
    given = {"imei": imei, "phone": "+12025550199", "name": imei, "metadata_version": metadata_version}
    vehicle = from_json(
        given | (settings_for(MetadataAnswer(metadata_answer)) if metadata_answer else {"protocol": protocol})
    )
    now, side = vehicle.now(), "rear" if identifier.endswith("r") else "front"
    if path:
        data = Path(path).read_bytes()
    elif identifier.startswith("%photo"):
        data = media.photo(side, imei, now, 3, 75)
    else:
        data = media.clip(side, imei, now - 5, 5, 30)
    vehicle.files[identifier] = CapturedFile(identifier, data, int(now * 1000), duration=5)
    host, _, port = server.rpartition(":")
    Camera(vehicle, (host, int(port))).connect()
    if vehicle.files:
        click.echo("The server did not take the file.")
        sys.exit(1)
    click.echo(f"Sent {len(data)} bytes, acknowledged.")


if __name__ == "__main__":
    main(prog_name="python -m simulator")
