"""The configuration: all settings, read from the environment once and checked.

`load()` gives a frozen Config or raises ConfigError, which names every wrong variable at once. Each secret
may come as NAME or as NAME_FILE (a file that holds it). docs/operations.md lists the variables for people.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from environs import EnvError
from flask import current_app

from provisioning.core import sms_http_config, variables
from provisioning.core.config_checks import LISTENING, NETWORKS, check, listening_host, with_driver
from provisioning.core.environment import Environment, VariableReader, warn_of_ignored
from provisioning.core.prices import Price, read_price
from provisioning.core.sms_http_config import HttpSmsConfig


class ConfigError(Exception):
    """The environment is wrong; `errors` maps each variable's name to what is wrong with it."""

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        lines = [f"  {name}: {' '.join(texts)}" for name, texts in sorted(errors.items())]
        super().__init__("The configuration is wrong:\n" + "\n".join(lines))


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, checked. Times are in seconds unless the name says otherwise."""

    # where things are
    database_url: str
    media_url: str
    media_spool: Path
    media_delivery: str
    photo_max_megapixels: float
    video_max_side: int
    video_cpu_seconds: int
    retention_days_uploads: int | None  # None: an administrator decides, on a page
    retention_days_messages: int
    retention_days_commands: int
    retention_days_records: int
    retention_days_checks: int
    retention_days_profiles: int
    retention_days_audit: int
    # secrets and the web
    secret_key: str
    encryption_keys: tuple[str, ...]
    public_url: str
    smtp_url: str | None
    smtp_from: str
    web_host: str
    port: int
    web_workers: int
    web_proxies: tuple[IPv4Network | IPv6Network, ...]
    metrics_networks: tuple[IPv4Network | IPv6Network, ...]
    session_hours: int
    api_requests_per_minute: int
    # what is sent to devices
    camera_server_domain: str | None
    camera_server_port: int
    camera_servers_allowed: tuple[str, ...]
    camera_domain_parameter: int | None
    camera_port_parameter: int | None
    # the receiver
    receiver_host: str
    receiver_port: int
    receiver_workers: int
    receiver_worker_timeout: int
    receiver_http_host: str
    receiver_http_port: int
    receiver_tls_cert: Path | None
    receiver_tls_key: Path | None
    receiver_tls_required: bool
    receiver_proxies: tuple[IPv4Network | IPv6Network, ...]
    receiver_networks: tuple[IPv4Network | IPv6Network, ...]
    receiver_unknown_devices: str
    receiver_file_order: tuple[str, ...]
    receiver_max_file_mib: int
    receiver_max_connections: int
    receiver_max_connections_per_device: int
    receiver_max_connections_per_address: int
    receiver_init_timeout: float
    receiver_metadata_timeout: float
    receiver_answer_timeout: float
    receiver_progress_timeout: float
    receiver_min_bytes_per_minute: int
    receiver_bad_packets: int
    receiver_bad_seconds: float
    receiver_go_backs: int
    receiver_files_per_session: int
    receiver_lines_per_minute: int
    receiver_files_per_day: int
    receiver_mib_per_day: int
    receiver_resume_hours_without_metadata: float
    receiver_partial_days: int
    session_days: int
    quarantine_files_per_device: int
    quarantine_mib_per_device: int
    quarantine_mib: int
    quarantine_days: int
    # SMS
    sms_gateway: str | None
    twilio_account_sid: str | None
    twilio_auth_token: str | None
    twilio_from: str | None
    twilio_messaging_service_sid: str | None
    twilio_api_base_url: str | None
    sms_http: HttpSmsConfig | None  # where SMS_GATEWAY is http
    sms_keeps_leading_spaces: bool
    sms_figure_space: bool
    sms_price: Price | None  # of one SMS; None: what the gateway reported of past ones
    sms_per_second: float
    sms_burst: int
    # waits of commands
    sms_reply_timeout: int
    capture_timeout: int
    queue_timeout: int
    reconfiguration_wait: int
    camera_restart_wait: int
    reconcile_interval: int
    check_ask_again: int
    check_slow_answer: int
    # health of vehicles, in days
    silent_days: int
    health_proof_days: int
    # windows of links
    link_certain_seconds: float
    link_probable_seconds: float
    link_window: int
    link_capture_tolerance: float
    event_seconds: float

    @property
    def sms_gateway_name(self) -> str | None:
        """Name the SMS gateway: the chosen one, else Twilio where its account is set, else None."""
        return self.sms_gateway or ("twilio" if self.twilio_account_sid else None)


def load() -> Config:
    """Read and check the environment.

    Returns a Config. Raises ConfigError naming all wrong variables at once.
    """
    env = Environment(eager=False)
    errors: dict[str, list[str]] = {}
    values = variables.read(VariableReader(env, errors))
    try:
        env.seal()
    except EnvError as error:
        for name, texts in getattr(error, "error_messages", {}).items():
            known = errors.setdefault(name, [])
            known.extend(str(text) for text in texts if str(text) not in known)
    check(values, errors)
    if errors:
        raise ConfigError(errors)
    warn_of_ignored()
    return Config(**_derive(values))


def _derive(values: dict[str, Any]) -> dict[str, Any]:
    values = dict(values)
    values["public_url"] = (values["public_url"] or f"http://127.0.0.1:{values['port']}").rstrip("/")
    values["camera_server_port"] = values["camera_server_port"] or values["receiver_port"]
    values["database_url"] = with_driver(values["database_url"])
    is_http = values["sms_gateway"] == "http"
    values["sms_http"] = sms_http_config.build(values["sms_http"], lambda *_: None) if is_http else None
    values["sms_price"] = read_price(values["sms_price"] or "")
    values |= {name: listening_host(values[name]) for name in LISTENING}
    for name in NETWORKS:
        values[name] = tuple(ip_network(text) for text in values[name])
    return values


def current_config() -> Config:
    """Give the running app's Config (needs an application context)."""
    return current_app.extensions["dualcam_config"]
