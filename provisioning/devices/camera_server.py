"""Where cameras send their files: this service as cameras reach it, and what is known of a device's own setting."""

from collections.abc import Mapping
from typing import Any

from provisioning.core.config import Config
from provisioning.devices import status_table
from provisioning.models import Device
from provisioning.phrase import Phrase
from provisioning.tracker.language import CameraServer


def own_server(config: Config) -> CameraServer | None:
    """Give where cameras reach this service; None where no setting says so."""
    if not config.camera_server_domain:
        return None
    return CameraServer(config.camera_server_domain, config.camera_server_port)


def own_address(config: Config) -> str:
    """Give where cameras reach this service, in words."""
    own = own_server(config)
    return f"{own.domain}:{own.port}" if own else "this service's address"


def sends_here(device: Device, config: Config) -> bool:
    """Say whether the device's own setting brings files here: as was said, unless it confirmed another server."""
    return device.camera_server_configured and not _holds_other_server(device, config)


def is_known_to_be_ours(device: Device, config: Config) -> bool:
    """Say whether the device's own setting is known to be this service.

    Somebody said so, or a file that came by a trigger proved it, and the device has not confirmed another server.
    """
    if _holds_other_server(device, config):
        return False
    proof = status_table.get(device.id, status_table.SERVER_PROVED)
    return device.camera_server_configured or (proof is not None and proof.value == own_address(config))


def advice(device: Device | None, parameters: Mapping[Any, Any], config: Config) -> Phrase | None:
    """Give how to set the device's own camera server to this service.

    None where that is known: somebody said so, a file that came by a trigger proved it, or these parameters set it.
    """
    own = own_server(config)
    ids = (config.camera_domain_parameter, config.camera_port_parameter)
    if own and tuple(str(parameters.get(number)) for number in ids) == (own.domain, str(own.port)):
        return None
    if device and is_known_to_be_ours(device, config):
        return None
    arguments: dict[str, Any] = {"address": f"{own.domain}:{own.port}" if own else None}
    if own and None not in ids:
        arguments |= {"domain_id": ids[0], "domain": own.domain, "port_id": ids[1], "port": own.port}
    return Phrase("set_camera_server", arguments)


def _holds_other_server(device: Device, config: Config) -> bool:
    ids = (config.camera_domain_parameter, config.camera_port_parameter)
    if not any(ids):
        return False
    held = status_table.confirmed(device.id, [number for number in ids if number is not None])
    ours = (config.camera_server_domain, str(config.camera_server_port))
    return any(held.get(number or 0, wanted) != wanted for number, wanted in zip(ids, ours, strict=True))
