"""The control API, for people who try things out and for tests: vehicles, their faults, texts, messages.

JSON on loopback under /control; docs/simulator.md has the table.
"""

from dataclasses import asdict, fields
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from simulator.network import Network
from simulator.sms_gateway import GatewayFaults, GatewayStandIn
from simulator.vehicle import Faults, Vehicle, from_json

SETTINGS = (
    "ignition",
    "protocol",
    "metadata_version",
    "firmware",
    "camera_firmware",
    "new_value_form",
    "crc_restarts",
    "model",
    "name",
)
KINDS = {"video": 0, "photo": 1}
SOURCES = {"front": [1], "rear": [2], "both": [1, 2]}


def blueprint(network: Network, gateway: GatewayStandIn) -> Blueprint:
    """Make the control API."""
    api = Blueprint("control", __name__, url_prefix="/control")

    @api.get("/vehicles")
    def vehicles() -> Response:
        return jsonify({"items": [show(vehicle) for vehicle in network.vehicles.values()]})

    @api.post("/vehicles")
    def add() -> Response:
        vehicle = from_json(request.get_json())
        network.add(vehicle)
        return jsonify(show(vehicle))

    @api.get("/vehicles/<imei>")
    def vehicle(imei: str) -> Response:
        return jsonify(show(_find(imei)))

    @api.patch("/vehicles/<imei>")
    def change(imei: str) -> Response:
        found, given = _find(imei), request.get_json()
        for name in SETTINGS:
            if name in given:
                setattr(found, name, given[name])
        if "server" in given:
            server = given["server"]
            found.server = (server["domain"], int(server["port"])) if server else None
        for number, value in given.get("parameters", {}).items():
            found.parameters[int(number)] = str(value)
        return jsonify(show(found))

    @api.patch("/vehicles/<imei>/faults")
    def faults(imei: str) -> Response:
        found = _find(imei)
        _set(found.faults, request.get_json(), Faults)
        return jsonify(show(found))

    @api.post("/vehicles/<imei>/capture")
    def capture(imei: str) -> Response:
        found, given = _find(imei), request.get_json()
        kind, sources = KINDS[given.get("file_type", "photo")], SOURCES[given.get("source", "both")]
        network.trigger(found, int(given.get("trigger", 9)), kind, sources)
        return jsonify(show(found))

    @api.patch("/gateway/faults")
    def gateway_faults() -> Response:
        _set(gateway.faults, request.get_json(), GatewayFaults)
        return jsonify(asdict(gateway.faults))

    @api.post("/sms")
    def sms() -> Response:
        given = request.get_json()
        return jsonify({"id": gateway.take(given["from"], given["text"]).ident})

    @api.get("/messages")
    def messages() -> Response:
        return jsonify(
            {
                "items": [
                    {
                        "id": m.ident,
                        "direction": m.direction,
                        "from": m.sender,
                        "to": m.recipient,
                        "body": m.body,
                        "status": m.status,
                        "history": m.history,
                        "error": m.error,
                        "reference": m.reference,
                    }
                    for m in gateway.messages.values()
                ]
            }
        )

    def _find(imei: str) -> Vehicle:
        found = network.by_imei(imei)
        if found is None:
            abort(404)
        return found

    return api


def _set(target: Any, given: dict[str, Any], kind: type) -> None:
    known = {field.name for field in fields(kind)}
    for name, value in given.items():
        if name not in known:
            abort(400, f"There is no fault {name}; there are {', '.join(sorted(known))}.")
        setattr(target, name, value)


def show(vehicle: Vehicle) -> dict[str, Any]:
    """Show a vehicle: what it holds, what was acknowledged, and what it sent whole without hearing of it."""
    return vehicle.as_device() | {
        "firmware": vehicle.firmware,
        "ignition": vehicle.ignition,
        "protocol": vehicle.protocol,
        "metadata_version": vehicle.metadata_version,
        "parameters": {str(number): value for number, value in vehicle.parameters.items()},
        "faults": asdict(vehicle.faults),
        "waiting": sorted(vehicle.files),
        "connected": vehicle.connected,
        "acknowledged": [_show_sent(file) for file in vehicle.sent],
        "unheard": [_show_sent(file) for file in vehicle.unheard],
    }


def _show_sent(file: dict[str, Any]) -> dict[str, Any]:
    data = file["data"]
    return {
        "identifier": file["identifier"],
        "offered_as": file["offered_as"],
        "timestamp": file["timestamp"],
        "size": len(data),
        "sha256": _sha256(data),
    }


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()
