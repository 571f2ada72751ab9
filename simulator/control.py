"""The control API, for people who try things out and for tests: vehicles, their faults, texts, messages.

JSON on loopback under /control; docs/simulator.md has the table.
"""

import hashlib
from dataclasses import asdict, fields
from typing import Any

from flask import Blueprint, Response, abort, jsonify, request

from simulator.network import Network
from simulator.sms_gateway import CarriedMessage, GatewayFaults, GatewayStandIn
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


class Control:
    """The routes of the control API, over the vehicles of a network and its gateway."""

    def __init__(self, network: Network, gateway: GatewayStandIn) -> None:
        self._network, self._gateway = network, gateway

    def blueprint(self) -> Blueprint:
        """Give the HTTP side."""
        api = Blueprint("control", __name__, url_prefix="/control")
        api.add_url_rule("/vehicles", "vehicles", self.vehicles)
        api.add_url_rule("/vehicles", "add", self.add, methods=["POST"])
        api.add_url_rule("/vehicles/<imei>", "vehicle", self.vehicle)
        api.add_url_rule("/vehicles/<imei>", "change", self.change, methods=["PATCH"])
        api.add_url_rule("/vehicles/<imei>/faults", "faults", self.faults, methods=["PATCH"])
        api.add_url_rule("/vehicles/<imei>/capture", "capture", self.capture, methods=["POST"])
        api.add_url_rule("/gateway/faults", "gateway_faults", self.gateway_faults, methods=["PATCH"])
        api.add_url_rule("/sms", "sms", self.sms, methods=["POST"])
        api.add_url_rule("/messages", "messages", self.messages)
        return api

    def vehicles(self) -> Response:
        """List the vehicles."""
        return jsonify({"items": [show(vehicle) for vehicle in self._network.vehicles.values()]})

    def add(self) -> Response:
        """Add a vehicle."""
        vehicle = from_json(request.get_json())
        self._network.add(vehicle)
        return jsonify(show(vehicle))

    def vehicle(self, imei: str) -> Response:
        """Show one vehicle."""
        return jsonify(show(self._find(imei)))

    def change(self, imei: str) -> Response:
        """Change what a vehicle is and holds; what is not given stays."""
        found, given = self._find(imei), request.get_json()
        for name in SETTINGS:
            if name in given:
                setattr(found, name, given[name])
        if "server" in given:
            server = given["server"]
            found.server = (server["domain"], int(server["port"])) if server else None
        for number, value in given.get("parameters", {}).items():
            found.parameters[int(number)] = str(value)
        return jsonify(show(found))

    def faults(self, imei: str) -> Response:
        """Set faults of a vehicle."""
        found = self._find(imei)
        _set(found.faults, request.get_json(), Faults)
        return jsonify(show(found))

    def capture(self, imei: str) -> Response:
        """Let a vehicle take a photo or a video by itself, as a trigger does."""
        found, given = self._find(imei), request.get_json()
        kind, sources = KINDS[given.get("file_type", "photo")], SOURCES[given.get("source", "both")]
        self._network.trigger(found, int(given.get("trigger", 9)), kind, sources)
        return jsonify(show(found))

    def gateway_faults(self) -> Response:
        """Set faults of the gateway."""
        _set(self._gateway.faults, request.get_json(), GatewayFaults)
        return jsonify(asdict(self._gateway.faults))

    def sms(self) -> Response:
        """Bring the service a text, from whatever number."""
        given = request.get_json()
        return jsonify({"id": self._gateway.take(given["from"], given["text"]).ident})

    def messages(self) -> Response:
        """List the messages that the gateway carried."""
        return jsonify({"items": [_show_message(message) for message in self._gateway.messages.values()]})

    def _find(self, imei: str) -> Vehicle:
        found = self._network.by_imei(imei)
        if found is None:
            abort(404)
        return found


def _set(target: Any, given: dict[str, Any], kind: type) -> None:
    known = {field.name for field in fields(kind)}
    for name, value in given.items():
        if name not in known:
            abort(400, f"There is no fault {name}; there are {', '.join(sorted(known))}.")
        setattr(target, name, value)


def _show_message(message: CarriedMessage) -> dict[str, Any]:
    return {
        "id": message.ident,
        "direction": message.direction,
        "from": message.sender,
        "to": message.recipient,
        "body": message.body,
        "status": message.status,
        "history": message.history,
        "error": message.error,
        "reference": message.reference,
    }


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
        "sha256": hashlib.sha256(data).hexdigest(),
    }
