"""Submits commands: checks, composes and queues them. Nothing is sent here.

Called by the API, the pages and the checklist inside their transaction; they commit, and the worker finds what is due.
The sending itself is in `dispatch`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from provisioning.commands import command_words, duplicates
from provisioning.core import encryption
from provisioning.core.config import Config, current_config
from provisioning.core.errors import Conflict, Forbidden, Invalid
from provisioning.core.sms_capabilities import demand_gateway
from provisioning.devices import (
    cabin_rule,
    camera_server,
    credential_pairs,
    credentials,
    durations,
    measured_times,
    status_table,
    transfer_times,
)
from provisioning.devices.durations import Wanted
from provisioning.models import OPEN, Command, Device, State, command_state, db, locks, new_id, timestamps
from provisioning.phrase import Phrase
from provisioning.roles import LEAST, Permission, Role
from provisioning.tracker import language
from provisioning.tracker.language import CamReq, SetParam, SmsEnvelope, TypedCommand, UnsendableText
from provisioning.tracker.parameters import (
    CATALOGUE,
    CREDENTIALS,
    TRACKER_SERVER,
    Parameter,
    complete,
    id_of,
    with_camera_server,
)
from provisioning.translation import gettext

SERVICE = "service"
NOBODY = SmsEnvelope("login", "pass1", language.credential_style(None))  # for a plan without a device


@dataclasses.dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for a command: the name that is shown with it, and the role that decides what may be sent."""

    label: str
    role: Role


def catalogue() -> Mapping[int, Parameter]:
    """Give the parameter catalogue, with the camera server's ids where the settings name them."""
    config = current_config()
    if config.camera_domain_parameter is None and config.camera_port_parameter is None:
        return CATALOGUE
    return with_camera_server(config.camera_domain_parameter, config.camera_port_parameter)


def preview(device: Device | None, asked: TypedCommand) -> tuple[language.Sms, ...]:
    """Compose the SMS of a command as they would be sent; without a device, with five-letter credentials.

    Raises Conflict where the text cannot be sent.
    """
    return compose(asked, credential_pairs.envelope(device) if device else NOBODY)


def ask(
    device: Device, name: str, arguments: Mapping[str, Any], requester: Requester, now: datetime
) -> list[Command]:
    """Check the arguments of a command and queue it, as `submit` does. Raises CommandErrors, ParameterErrors too."""
    return submit(device, typed_from(name, arguments, now), requester, now)


def typed_from(name: str, arguments: Mapping[str, Any], now: datetime) -> TypedCommand:
    """Check the arguments of a command against this service's catalogue. Raises CommandErrors, ParameterErrors."""
    return language.from_arguments(name, arguments, now=int(now.timestamp()), catalogue=catalogue())


def submit(
    device: Device, asked: TypedCommand, requester: Requester, now: datetime, *, batch: str | None = None
) -> list[Command]:
    """Queue a command, one row for each SMS; the caller commits.

    Raises Forbidden (the command needs another role, or another server does), Invalid (server), Conflict (no
    credentials, the same request still open, the same video here), Unavailable.
    """
    demand_permission(asked, requester)
    config = current_config()
    demand_gateway()
    device = locks.lock_device(device.id)
    if device.archived_at is not None:
        raise Conflict(gettext("The vehicle is archived."), code="archived")
    if isinstance(asked, SetParam) and CREDENTIALS & set(asked.parameters):
        return [_set_credentials(device, asked, requester, now)]
    foreign = False
    if isinstance(asked, CamReq):
        cabin_rule.refuse_request(device, asked)
        asked, foreign = with_server(device, asked, requester, config)
        for one in asked.requests():
            duplicates.refuse_duplicate(device, one, foreign)
            if not foreign:
                duplicates.refuse_what_is_here(device, one)
    if isinstance(asked, SetParam):
        cabin_rule.refuse_parameters(device, asked.parameters)
        _refuse_other_server(asked.parameters, requester, config)
    texts = compose(asked, credential_pairs.envelope(device))
    batch = batch or (new_id() if len(texts) > 1 else None)
    rows = [_row(device, sms, requester.label, now, batch=batch, foreign_server=foreign) for sms in texts]
    if isinstance(asked, CamReq) and not foreign and (warning := too_slow(device, asked, config)):
        command_state.set_note(rows[0], warning, now)
    db.session.flush()
    return rows


def demand_permission(asked: TypedCommand, requester: Requester) -> None:
    """Raise Forbidden where the requester may not send the command."""
    if not requester.role.may(asked.permission):
        raise Forbidden(
            gettext(
                "This needs the role %(needed)s; you have the role %(present)s.",
                needed=gettext(LEAST[asked.permission].label),
                present=gettext(requester.role.label),
            )
        )


def too_slow(device: Device, asked: CamReq, config: Config) -> Phrase | None:
    """Say that the files cannot come within the wait at the speed of the last check; None where they can."""
    row = status_table.get(device.id, status_table.SPEED)
    if row is None or not row.value:
        return None
    one = next(asked.requests())  # each request has a wait of its own, and none is longer than the first
    wanted = Wanted(one.file_type, one.duration, len(language.cameras(one.source)))
    size = durations.expected_bytes(wanted, measured_times.of(device))
    return transfer_times.too_long(wanted.camera_seconds, size, float(row.value), config.capture_timeout)


def provision(
    device: Device, parameters: Mapping[Any, Any], requester: Requester, now: datetime, *, raw: bool = False
) -> list[Command]:
    """Check and complete a parameter set and queue its SMS as one batch. Raises ParameterErrors and submit's."""
    return submit(
        device, SetParam(complete(parameters, raw=raw, catalogue=catalogue())), requester, now, batch=new_id()
    )


def cancel(command: Command, now: datetime) -> None:
    """Cancel a command; what was handed over may still happen, and its file is still linked. Raises Conflict."""
    device = locks.lock_device(command.device_id)
    if command.state not in OPEN:
        raise Conflict(
            gettext("The command has already ended (%(state)s).", state=command.state), code="already_ended"
        )
    if command.state == State.QUEUED:
        command_state.move(command, State.CANCELLED, now, note=Phrase("cancelled_unsent"))
    else:
        note = Phrase("cancelled_under_way")
        command_state.move(command, State.CANCELLED, now, note=note)
        command_state.set_note(command, note, now)
    credentials.ended(command, device, now)


def typed(command: Command, now: datetime) -> TypedCommand:
    """Give a row's typed command; credentials in a setparam are decrypted.

    A camreq that names our own server names it as cameras reach it now.
    """
    arguments = command.arguments
    if "encrypted" in arguments:
        clear = {number: encryption.decrypt(value) for number, value in arguments["encrypted"].items()}
        return SetParam({int(number): value for number, value in clear.items()})
    asked = typed_from(command.kind, arguments, now)
    if isinstance(asked, CamReq) and asked.server is not None and not command.foreign_server:
        return dataclasses.replace(asked, server=camera_server.own_server(current_config()))
    return asked


def compose(asked: TypedCommand, envelope: SmsEnvelope) -> tuple[language.Sms, ...]:
    """Compose the SMS of a command for the gateway. Raises Conflict where it must not be sent."""
    try:
        return language.compose(asked, envelope, catalogue())
    except UnsendableText as error:
        code = "unsendable" if envelope.login or envelope.password else "no_sms_credentials"
        raise Conflict(str(error), code=code, phrase=error.phrase) from error


def _row(device: Device, sms: language.Sms, label: str, now: datetime, **more: Any) -> Command:
    seconds = current_config().queue_timeout
    expires_at = timestamps.later(now, seconds)
    return command_state.enqueue(device, sms, now=now, requested_by=label, expires_at=expires_at, **more)


def with_server(device: Device, asked: CamReq, requester: Requester, config: Config) -> tuple[CamReq, bool]:
    """Give a camreq with the server that its files go to, and whether that is another one than ours.

    Raises Forbidden or Invalid where it may not be named.
    """
    own = camera_server.own_server(config)
    if asked.server and asked.server != own:
        if not requester.role.may(Permission.SERVERS):
            raise Forbidden(gettext("Only an admin may send files to another server."), code="forbidden")
        address = f"{asked.server.domain}:{asked.server.port}"
        if not {address, asked.server.domain} & set(config.camera_servers_allowed):
            raise Invalid(
                gettext("This server is not allowed."),
                errors={
                    "server": [
                        gettext("%(server)s does not stand in CAMERA_SERVERS_ALLOWED.", server=address)
                    ]
                },
            )
        return asked, True
    needs = asked.resolution is not None or not camera_server.sends_here(device, config)
    if asked.resolution is not None and own is None:
        raise Invalid(
            gettext("A resolution needs the camera server's address in the request."),
            errors={
                "resolution": [gettext("Set CAMERA_SERVER_DOMAIN, or leave the resolution as configured.")]
            },
        )
    return dataclasses.replace(asked, server=own if needs else None), False


def server_advice(device: Device | None, parameters: Mapping[Any, Any]) -> str | None:
    """Say how to set the device's own camera server to this service; None where that is known."""
    advice = camera_server.advice(device, parameters, current_config())
    return command_words.sentence(advice) if advice else None


def _refuse_other_server(parameters: Mapping[int, Any], requester: Requester, config: Config) -> None:
    """Refuse values that would send a device's files or its own data elsewhere. Raises Forbidden or Invalid."""
    own = camera_server.own_server(config)
    ids = (config.camera_domain_parameter, config.camera_port_parameter)
    default = (own.domain, own.port) if own else ("", 0)
    domain, port = (
        parameters.get(number, value) if number is not None else value
        for number, value in zip(ids, default, strict=True)
    )
    changed = [number for number in ids if number in parameters]
    is_other = bool(changed) and (str(domain), str(port)) != tuple(str(value) for value in default)
    named = [number for number in TRACKER_SERVER if number in parameters]
    if (is_other or named) and not requester.role.may(Permission.SERVERS):
        raise Forbidden(gettext("Only an admin may set the server that a device sends to."), code="forbidden")
    server = f"{domain}:{port}"
    if is_other and not {server, str(domain)} & set(config.camera_servers_allowed):
        text = gettext(
            "%(server)s is not this service and does not stand in CAMERA_SERVERS_ALLOWED.", server=server
        )
        raise Invalid(
            gettext("This server is not allowed."), errors={str(number): [text] for number in changed}
        )


def _set_credentials(device: Device, asked: SetParam, requester: Requester, now: datetime) -> Command:
    """Queue a change of the SMS login and password; both pairs are held until the device proves which one is true."""
    wanted = (str(asked.parameters[id_of("sms_login")]), str(asked.parameters[id_of("sms_password")]))
    credentials.demand_change(device, wanted)
    (sms,) = compose(asked, credential_pairs.envelope(device))
    encrypted = {str(number): encryption.encrypt(str(value)) for number, value in asked.parameters.items()}
    row = _row(device, sms, requester.label, now, arguments={"encrypted": encrypted})
    credentials.asked(device, row, now)
    return row


def read_back(command: Command, device: Device, numbers: Sequence[int], now: datetime) -> list[Command]:
    """Queue the getparam that asks the device for what a setparam did not confirm."""
    asked = language.GetParam(tuple(numbers))
    return [_row(device, sms, SERVICE, now, parent_id=command.id) for sms in preview(device, asked)]
