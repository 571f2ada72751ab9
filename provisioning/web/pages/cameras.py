"""Settings, Cameras: the address that vehicles are told, whether they reach it, and how long its certificate lasts."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from provisioning.core.config import current_config
from provisioning.devices import camera_access, camera_server
from provisioning.models import utcnow


def attach(blueprint: Blueprint) -> None:
    """Add the addresses of this module."""
    blueprint.add_url_rule("/settings/cameras", "cameras", show)


def show() -> ResponseReturnValue:
    """Show how cameras reach this service; all of it is set on the server."""
    config, now = current_config(), utcnow()
    cert = config.receiver_tls_cert
    return render_template(
        "settings/cameras.html", config=config, own=camera_server.own_server(config), now=now,
        connections=camera_access.connections(now), unreachable=camera_access.unreachable(), most=camera_access.MOST,
        certificate=camera_access.certificate(cert) if cert else None,
    )  # fmt: skip
