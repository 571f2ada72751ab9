"""Every command that can be sent, by name, and the way from arguments to a command.

The commands that take no argument, or only a camera, are declared here. Source: vendor's DualCam SMS commands and FMB
SMS/GPRS command pages.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from marshmallow import ValidationError

from provisioning.roles import Permission
from provisioning.tracker.language.arguments import CommandErrors, flat
from provisioning.tracker.language.camera_request import CamReq
from provisioning.tracker.language.command import Effect, ForOneCamera, OneCamera, TypedCommand
from provisioning.tracker.language.parameter_commands import GetParam, SetParam
from provisioning.tracker.parameters import CATALOGUE, Parameter
from provisioning.translation import N_


@dataclass(frozen=True)
class CamGetSdFormat(
    ForOneCamera,
    TypedCommand,
    name="camget_sdformat",
    effect=Effect.ERASES,
    permission=Permission.SET_UP,
    labels={
        "front": N_("Format the SD card of the front camera"),
        "rear": N_("Format the SD card of the rear camera"),
    },
    arguments=OneCamera,
):
    """Erase the SD card of one camera."""


@dataclass(frozen=True)
class CamGetRestart(
    ForOneCamera,
    TypedCommand,
    name="camget_restart",
    effect=Effect.INTERRUPTS,
    permission=Permission.SET_UP,
    labels={"front": N_("Restart the front camera"), "rear": N_("Restart the rear camera")},
    arguments=OneCamera,
):
    """Restart one camera."""


@dataclass(frozen=True)
class CamGetVer(
    TypedCommand,
    name="camgetver",
    effect=Effect.READS,
    permission=Permission.ASK,
    labels={"": N_("Ask both cameras for their version")},
):
    """Ask both cameras for their firmware version."""


@dataclass(frozen=True)
class GetVer(
    TypedCommand,
    name="getver",
    effect=Effect.READS,
    permission=Permission.ASK,
    labels={"": N_("Ask for firmware and IMEI")},
):
    """Ask the tracker for firmware, hardware and IMEI."""


@dataclass(frozen=True)
class GetInfo(
    TypedCommand,
    name="getinfo",
    effect=Effect.READS,
    permission=Permission.ASK,
    labels={"": N_("Ask for clock and uptime")},
):
    """Ask the tracker for its clock, uptime and counters."""


@dataclass(frozen=True)
class GetStatus(
    TypedCommand,
    name="getstatus",
    effect=Effect.READS,
    permission=Permission.ASK,
    labels={"": N_("Ask for the mobile network")},
):
    """Ask the tracker for the state of its mobile network."""


@dataclass(frozen=True)
class GetIo(
    TypedCommand,
    name="getio",
    effect=Effect.READS,
    permission=Permission.ASK,
    labels={"": N_("Ask for inputs and ignition")},
):
    """Ask the tracker for its inputs and outputs."""


@dataclass(frozen=True)
class CpuReset(
    TypedCommand,
    name="cpureset",
    effect=Effect.INTERRUPTS,
    permission=Permission.SET_UP,
    labels={"": N_("Restart the tracker")},
):
    """Restart the tracker."""


_KINDS: tuple[type[TypedCommand], ...] = (
    SetParam,
    GetParam,
    CamReq,
    CamGetSdFormat,
    CamGetRestart,
    CamGetVer,
    GetVer,
    GetInfo,
    GetStatus,
    GetIo,
    CpuReset,
)
COMMANDS: Mapping[str, type[TypedCommand]] = MappingProxyType({kind.name: kind for kind in _KINDS})


def from_arguments(
    name: str, arguments: Mapping[str, Any], *, now: int, catalogue: Mapping[int, Parameter] = CATALOGUE
) -> TypedCommand:
    """Make a command from its name and its JSON arguments (those of the contract, without `command`).

    `now`: Unix seconds. Raises CommandErrors with every fault by argument name, or ParameterErrors for the values of a
    setparam.
    """
    kind = COMMANDS.get(name)
    if kind is None:
        raise CommandErrors({"command": [f"There is no such command. Known: {', '.join(COMMANDS)}."]})
    if not isinstance(arguments, Mapping):
        raise CommandErrors({"arguments": ["Give an object of argument names and values."]})
    schema = kind.arguments(name, now=now, catalogue=catalogue)
    try:
        return kind(**schema.load(arguments))
    except ValidationError as refused:
        raise CommandErrors(flat(refused.messages_dict)) from None
