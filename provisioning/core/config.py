"""The configuration: reads and checks the environment once. No other module reads it.

`load()` gives a frozen Config or raises ConfigError, which names every wrong variable at once. Each secret
may come as NAME or as NAME_FILE (a file that holds it). docs/operations.md lists the variables for people.
"""

import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from environs import Env, EnvError
from flask import current_app
from marshmallow.validate import OneOf, Range

from provisioning.core import sms_http_config
from provisioning.core.prices import Price, read_price
from provisioning.core.sms_http_config import HttpSmsConfig
from provisioning.tracker.normalization import clean_text

ROOT = Path(__file__).resolve().parent.parent.parent
DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,53}[A-Za-z0-9])?")  # a device holds at most 55 characters
SENDER = re.compile(r"\+[1-9][0-9]{7,14}")
# names may not look like addresses that are none
HOST = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
LISTENING = ("web_host", "receiver_host", "receiver_http_host")
NETWORKS = (
    "metrics_networks",
    "receiver_networks",
    "receiver_proxies",
    "web_proxies",
)  # settings that are addresses or networks
KEY_MIN, KEY_DISTINCT = 16, 6  # characters of a secret key, and different ones among them
WEAK = f"Too easy to guess: at least {KEY_MIN} characters, not the same few, for example from `openssl rand -hex 32`."
# names that were settings once, until version 1.0
IGNORED = {"QUEUE_URL": "there is no queue besides the database any more. Remove it, and the queue's file."}
FILE_KINDS = ("front_photo", "rear_photo", "front_video", "rear_video")


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
    env = _Environment(eager=False)
    errors: dict[str, list[str]] = {}
    values = _read(_Reader(env, errors))
    try:
        env.seal()
    except EnvError as error:
        for name, texts in getattr(error, "error_messages", {}).items():
            known = errors.setdefault(name, [])
            known.extend(str(text) for text in texts if str(text) not in known)
    _check(values, errors)
    if errors:
        raise ConfigError(errors)
    for name, reason in IGNORED.items():
        if name in os.environ:
            warnings.warn(f"{name} is set and ignored: {reason}", stacklevel=2)
    return Config(**_derive(values))


class _Environment(Env):
    """Gives each variable, or the text of the file that NAME_FILE names, without blanks around it."""

    def _get_value(self, env_key: str, default: Any) -> Any:
        if path := clean_text(os.environ.get(f"{env_key}_FILE", "")):
            try:
                return clean_text(Path(path).read_text())
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"The value of {env_key}_FILE must be a readable file path.") from error
        value = super()._get_value(env_key, default)
        return clean_text(value) if isinstance(value, str) else value


class _Reader:
    """Reads one variable by name and type; an unreadable NAME_FILE is an error of that name, not a crash."""

    def __init__(self, env: Env, errors: dict[str, list[str]]) -> None:
        self.env, self.errors = env, errors

    def _get(self, kind: str, name: str, **options: Any) -> Any:
        try:
            return getattr(self.env, kind)(name, **options)
        except ValueError as error:
            self.errors.setdefault(name, []).append(str(error))
            return None

    def text(self, name: str, default: str | None = None, **options: Any) -> Any:
        return self._get("str", name, default=default, **options) or default

    def required(self, name: str) -> Any:
        value = self._get("str", name, default="")
        if not value and name not in self.errors:
            self.errors[name] = ["Required: set it, or name a file that holds it in " + name + "_FILE."]
        return value

    def integer(self, name: str, default: int | None, low: int, high: int) -> Any:
        return self._get("int", name, default=default, validate=_optional(Range(low, high)))

    def number(self, name: str, default: float, low: float, high: float) -> Any:
        return self._get("float", name, default=default, validate=Range(low, high))

    def flag(self, name: str) -> Any:
        return self._get("bool", name, default=False)

    def words(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        found = self._get("list", name, default=list(default)) or []
        return tuple(word.strip() for word in found if word.strip())

    def path(self, name: str, default: Path | None = None) -> Path | None:
        value = self.text(name)
        return Path(value).absolute() if value else default


def _optional(check: Range) -> Any:
    return lambda value: None if value is None else check(value)


def _read(env: _Reader) -> dict[str, Any]:
    return {**_places(env), **_camera(env), **_receiver(env), **_sms(env)}


def _places(env: _Reader) -> dict[str, Any]:
    var = ROOT / "var"
    return {
        "database_url": env.text("DATABASE_URL", f"sqlite:///{var}/dualcam.db"),
        "media_url": env.text("MEDIA_URL", f"file://{var}/media"),
        "media_spool": env.path("MEDIA_SPOOL", var / "spool"),
        # of files in a bucket: "stream" through the web process, or "redirect" to a link that the store serves
        "media_delivery": env.text("MEDIA_DELIVERY", "stream", validate=OneOf(["stream", "redirect"])),
        # larger pictures stay as they came, without copies: a small file can hold a picture of any size
        "photo_max_megapixels": env.number("PHOTO_MAX_MEGAPIXELS", 40, 0.1, 1000),
        "video_max_side": env.integer("VIDEO_MAX_SIDE", 4096, 16, 16384),
        # processor time of one video's copy, after which the copy ends where it is; 30 s of 1080p take about 25
        "video_cpu_seconds": env.integer("VIDEO_CPU_SECONDS", 60, 10, 300),
        # 0: kept for ever
        "retention_days_uploads": env.integer("RETENTION_DAYS_UPLOADS", None, 0, 36_500),
        "retention_days_messages": env.integer("RETENTION_DAYS_MESSAGES", 0, 0, 36_500),
        "retention_days_commands": env.integer("RETENTION_DAYS_COMMANDS", 0, 0, 36_500),
        # records of the telematics platform: one a minute makes half a million a year and device
        "retention_days_records": env.integer("RETENTION_DAYS_RECORDS", 0, 0, 36_500),
        "retention_days_checks": env.integer("RETENTION_DAYS_CHECKS", 0, 0, 36_500),
        # older versions of profiles
        "retention_days_profiles": env.integer("RETENTION_DAYS_PROFILES", 0, 0, 36_500),
        "retention_days_audit": env.integer("RETENTION_DAYS_AUDIT", 365, 0, 36_500),
        "secret_key": env.required("SECRET_KEY"),
        "encryption_keys": env.words("ENCRYPTION_KEYS"),
        "public_url": env.text("PUBLIC_URL"),
        # invitations are mailed by it
        "smtp_url": env.text("SMTP_URL"),
        "smtp_from": env.text("SMTP_FROM", ""),
        "port": env.integer("PORT", 8000, 1, 65535),
        "web_host": env.text("WEB_HOST", "0.0.0.0"),
        "web_workers": env.integer("WEB_WORKERS", 1, 1, 256),
        # addresses or networks of web proxies, whose X-Forwarded-For tells the client's address
        "web_proxies": env.words("WEB_PROXIES", ()),
        # addresses or networks that may read /metrics and /readyz besides this machine
        "metrics_networks": env.words("METRICS_NETWORKS", ()),
        "session_hours": env.integer("SESSION_HOURS", 24 * 14, 1, 24 * 365),
        "api_requests_per_minute": env.integer("API_REQUESTS_PER_MINUTE", 1200, 1, 1_000_000),
    }


def _camera(env: _Reader) -> dict[str, Any]:
    return {
        "camera_server_domain": env.text("CAMERA_SERVER_DOMAIN"),
        "camera_server_port": env.integer("CAMERA_SERVER_PORT", None, 1, 65535),
        "camera_servers_allowed": env.words("CAMERA_SERVERS_ALLOWED"),
        "camera_domain_parameter": env.integer("CAMERA_DOMAIN_PARAMETER", None, 1, 99_999_999),
        "camera_port_parameter": env.integer("CAMERA_PORT_PARAMETER", None, 1, 99_999_999),
    }


def _receiver(env: _Reader) -> dict[str, Any]:
    return {
        "receiver_host": env.text("RECEIVER_HOST", "0.0.0.0"),
        "receiver_port": env.integer("RECEIVER_PORT", 7160, 1, 65535),
        "receiver_workers": env.integer("RECEIVER_WORKERS", 1, 1, 256),
        # far beyond any pause of a healthy worker, short of what a device waits for
        "receiver_worker_timeout": env.integer("RECEIVER_WORKER_TIMEOUT", 60, 2, 3600),
        "receiver_http_host": env.text("RECEIVER_HTTP_HOST", "127.0.0.1"),
        "receiver_http_port": env.integer("RECEIVER_HTTP_PORT", 7161, 1, 65535),
        "receiver_tls_cert": env.path("RECEIVER_TLS_CERT"),
        "receiver_tls_key": env.path("RECEIVER_TLS_KEY"),
        # with a certificate: "required", or "optional" (the device chooses by its first byte)
        "receiver_tls_required": env.text(
            "RECEIVER_TLS", "required", validate=OneOf(["required", "optional"])
        )
        == "required",
        # addresses or networks of load balancers that send a PROXY header
        "receiver_proxies": env.words("RECEIVER_PROXIES", ()),
        # addresses or networks that devices may connect from: the operator's APN, VPN or NAT; none: from everywhere
        "receiver_networks": env.words("RECEIVER_NETWORKS", ()),
        "receiver_unknown_devices": env.text(
            "RECEIVER_UNKNOWN_DEVICES", "refuse", validate=OneOf(["refuse", "quarantine"])
        ),
        # people wait for photos, and a photo takes seconds where a video takes minutes
        "receiver_file_order": env.words("RECEIVER_FILE_ORDER", FILE_KINDS),
        "receiver_max_file_mib": env.integer("RECEIVER_MAX_FILE_MIB", 64, 1, 4096),
        "receiver_max_connections": env.integer("RECEIVER_MAX_CONNECTIONS", 10_000, 1, 1_000_000),
        # one live, one closing: with fewer a device that lost its line could not come back
        "receiver_max_connections_per_device": env.integer("RECEIVER_MAX_CONNECTIONS_PER_DEVICE", 2, 2, 64),
        "receiver_max_connections_per_address": env.integer(
            "RECEIVER_MAX_CONNECTIONS_PER_ADDRESS", 0, 0, 1_000_000
        ),
        "receiver_init_timeout": env.number("RECEIVER_INIT_TIMEOUT", 30, 0.1, 3600),
        "receiver_metadata_timeout": env.number("RECEIVER_METADATA_TIMEOUT", 10, 0.1, 3600),
        "receiver_answer_timeout": env.number("RECEIVER_ANSWER_TIMEOUT", 20, 0.1, 3600),
        "receiver_progress_timeout": env.number("RECEIVER_PROGRESS_TIMEOUT", 60, 0.1, 3600),
        # a tenth of the slowest useful line; 0: no limit
        "receiver_min_bytes_per_minute": env.integer("RECEIVER_MIN_BYTES_PER_MINUTE", 2048, 0, 10_000_000),
        "receiver_bad_packets": env.integer("RECEIVER_BAD_PACKETS", 30, 0, 10_000),
        "receiver_bad_seconds": env.number("RECEIVER_BAD_SECONDS", 60, 0.1, 3600),
        "receiver_go_backs": env.integer("RECEIVER_GO_BACKS", 100, 0, 10_000),
        "receiver_files_per_session": env.integer("RECEIVER_FILES_PER_SESSION", 250, 1, 100_000),
        # log lines and session rows of one peer; 0: no limit
        "receiver_lines_per_minute": env.integer("RECEIVER_LINES_PER_MINUTE", 60, 0, 1_000_000),
        # of each known device, in a day of UTC; 0: no limit
        "receiver_files_per_day": env.integer("RECEIVER_FILES_PER_DAY", 5000, 0, 10_000_000),
        "receiver_mib_per_day": env.integer("RECEIVER_MIB_PER_DAY", 2048, 0, 100_000_000),
        "receiver_resume_hours_without_metadata": env.number(
            "RECEIVER_RESUME_HOURS_WITHOUT_METADATA", 1, 0, 720
        ),
        "receiver_partial_days": env.integer("RECEIVER_PARTIAL_DAYS", 14, 1, 3650),
        "session_days": env.integer("SESSION_DAYS", 90, 1, 3650),
        "quarantine_files_per_device": env.integer("QUARANTINE_FILES_PER_DEVICE", 20, 1, 100_000),
        "quarantine_mib_per_device": env.integer("QUARANTINE_MIB_PER_DEVICE", 64, 1, 1_000_000),
        "quarantine_mib": env.integer("QUARANTINE_MIB", 1024, 1, 10_000_000),
        "quarantine_days": env.integer("QUARANTINE_DAYS", 14, 1, 3650),
    }


def _sms(env: _Reader) -> dict[str, Any]:
    return {
        "sms_gateway": env.text("SMS_GATEWAY", validate=OneOf(["twilio", "http"])),
        "sms_http": sms_http_config.read(env),
        "twilio_account_sid": env.text("TWILIO_ACCOUNT_SID"),
        "twilio_auth_token": env.text("TWILIO_AUTH_TOKEN"),
        "twilio_from": env.text("TWILIO_FROM"),
        "twilio_messaging_service_sid": env.text("TWILIO_MESSAGING_SERVICE_SID"),
        "twilio_api_base_url": env.text("TWILIO_API_BASE_URL"),
        "sms_keeps_leading_spaces": env.flag("SMS_KEEPS_LEADING_SPACES"),
        "sms_figure_space": env.flag("SMS_FIGURE_SPACE"),
        "sms_price": env.text("SMS_PRICE"),
        # one a second is what the slowest kind of sender (a US long code) may send
        "sms_per_second": env.number("SMS_PER_SECOND", 1, 0.01, 1000),
        # Twilio queues what comes faster, so a short burst costs nothing
        "sms_burst": env.integer("SMS_BURST", 10, 1, 10_000),
        "sms_reply_timeout": env.integer("SMS_REPLY_TIMEOUT", 600, 10, 36_000),
        # a device that cannot reach us tries again after 30 minutes: wait for that second chance
        "capture_timeout": env.integer("CAPTURE_TIMEOUT", 3600, 10, 604_800),
        "queue_timeout": env.integer("QUEUE_TIMEOUT", 86_400, 60, 2_592_000),
        "reconfiguration_wait": env.integer("RECONFIGURATION_WAIT", 30, 0, 3600),
        # a check asks again what was delivered and not answered for so long
        "check_ask_again": env.integer("CHECK_ASK_AGAIN", 180, 1, 36_000),
        # a device whose quickest answer to a check takes longer is slow
        "check_slow_answer": env.integer("CHECK_SLOW_ANSWER", 60, 1, 36_000),
        # a vehicle without SMS, connection or record for so long is silent
        "silent_days": env.integer("SILENT_DAYS", 7, 1, 3650),
        # what proved the cameras counts for so long
        "health_proof_days": env.integer("HEALTH_PROOF_DAYS", 14, 1, 3650),
        "reconcile_interval": env.integer("RECONCILE_INTERVAL", 120, 1, 86_400),
        "link_certain_seconds": env.number("LINK_CERTAIN_SECONDS", 2, 0, 3600),
        "link_probable_seconds": env.number("LINK_PROBABLE_SECONDS", 15, 0, 3600),
        "link_window": env.integer("LINK_WINDOW", 86_400, 60, 2_592_000),
        "link_capture_tolerance": env.number("LINK_CAPTURE_TOLERANCE", 5, 0, 3600),
        "event_seconds": env.number("EVENT_SECONDS", 15, 0, 50),
    }


def _derive(values: dict[str, Any]) -> dict[str, Any]:
    values = dict(values)
    values["public_url"] = (values["public_url"] or f"http://127.0.0.1:{values['port']}").rstrip("/")
    values["camera_server_port"] = values["camera_server_port"] or values["receiver_port"]
    values["database_url"] = _driver(values["database_url"])
    is_http = values["sms_gateway"] == "http"
    values["sms_http"] = sms_http_config.build(values["sms_http"], lambda *_: None) if is_http else None
    values["sms_price"] = read_price(values["sms_price"] or "")
    values |= {name: _host(values[name]) for name in LISTENING}
    for name in NETWORKS:
        values[name] = tuple(ip_network(text) for text in values[name])
    return values


def _host(text: str) -> str | None:
    """Give an address to listen on as sockets take it, an IPv6 address without its brackets; None for what is none."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return bare if ip_address(bare).version == 6 or bare == text else None
    except ValueError:
        return text if HOST.fullmatch(text) else None


def _driver(url: str) -> str:
    """Name the driver we ship where a URL names only the database, as hosting platforms write it."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


def _is_weak(key: str) -> bool:
    return len(key) < KEY_MIN or len(set(key)) < KEY_DISTINCT


def _check(values: dict[str, Any], errors: dict[str, list[str]]) -> None:
    def wrong(name: str, text: str) -> None:
        errors.setdefault(name, []).append(text)

    if values["secret_key"] and _is_weak(values["secret_key"]):
        wrong("SECRET_KEY", WEAK)
    # the others only decrypt what was stored under them
    if values["encryption_keys"] and _is_weak(values["encryption_keys"][0]):
        wrong("ENCRYPTION_KEYS", "The first key encrypts: " + WEAK)
    if not _driver(values["database_url"]).startswith(("sqlite:///", "postgresql+psycopg://")):
        wrong("DATABASE_URL", "Must begin with sqlite:/// or postgresql://.")
    if not re.fullmatch(r"file:///.+|s3://[a-z0-9.-]{3,63}(/.*)?", values["media_url"]):
        wrong("MEDIA_URL", "Must be file:///folder or s3://bucket/prefix.")
    if 0 < (values["retention_days_messages"] or 0) < 7:
        wrong(
            "RETENTION_DAYS_MESSAGES",
            "Must be 0 or at least 7: what the gateway repeats must be known again.",
        )
    if 0 < (values["retention_days_commands"] or 0) < 7:
        wrong(
            "RETENTION_DAYS_COMMANDS", "Must be 0 or at least 7: a late reply or file must find its command."
        )
    public = urlsplit(values["public_url"] or "http://127.0.0.1")
    if public.scheme not in ("http", "https") or not public.hostname or public.query or public.fragment:
        wrong("PUBLIC_URL", "Must be an http or https address, such as https://dualcam.example.com.")
    for name in LISTENING:
        if values[name] and _host(values[name]) is None:
            wrong(
                name.upper(),
                f"{values[name]!r} is not an IPv4 or IPv6 address, or a host name, without a port.",
            )
    _check_mail(values, wrong)
    _check_camera(values, wrong)
    _check_twilio(values, wrong)
    _check_gateway(values, wrong)


def _check_mail(values: dict[str, Any], wrong: Any) -> None:
    if not values["smtp_url"]:
        return
    try:
        parts = urlsplit(values["smtp_url"])
        is_right = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_right = False
    if not is_right:
        wrong("SMTP_URL", "Must be smtp://user:password@host:587 or smtps://user:password@host:465.")
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", values["smtp_from"] or ""):
        wrong("SMTP_FROM", "Must be the e-mail address that mail comes from, with SMTP_URL.")


def _check_camera(values: dict[str, Any], wrong: Any) -> None:
    domain = values["camera_server_domain"]
    if domain and not DOMAIN.fullmatch(domain):
        wrong("CAMERA_SERVER_DOMAIN", "Must be a host name or IPv4 address of at most 55 characters.")
    for server in values["camera_servers_allowed"]:
        host, _, port = server.partition(":")
        if not DOMAIN.fullmatch(host) or (port and not (port.isdigit() and 0 < int(port) < 65536)):
            wrong("CAMERA_SERVERS_ALLOWED", f"{server!r} is not host or host:port.")
    if bool(values["receiver_tls_cert"]) != bool(values["receiver_tls_key"]):
        wrong("RECEIVER_TLS_CERT", "RECEIVER_TLS_CERT and RECEIVER_TLS_KEY go together.")
    for name in NETWORKS:
        for text in values[name]:
            try:
                ip_network(text)
            except ValueError:
                wrong(name.upper(), f"{text!r} is not an IP address or network such as 10.0.0.0/8.")
    for name in ("receiver_tls_cert", "receiver_tls_key"):
        if values[name] and not values[name].is_file():
            wrong(name.upper(), f"There is no file {values[name]}.")
    if sorted(values["receiver_file_order"]) != sorted(FILE_KINDS):
        wrong("RECEIVER_FILE_ORDER", "Must hold each of " + ", ".join(FILE_KINDS) + " once.")


def _check_twilio(values: dict[str, Any], wrong: Any) -> None:
    sid, token = values["twilio_account_sid"], values["twilio_auth_token"]
    if bool(sid) != bool(token):
        missing = "TWILIO_AUTH_TOKEN" if sid else "TWILIO_ACCOUNT_SID"
        wrong(missing, "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN go together.")
    sender, service = values["twilio_from"], values["twilio_messaging_service_sid"]
    if sid and not sender and not service:
        wrong("TWILIO_FROM", "Set TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID: whom the SMS come from.")
    if sender and service:
        wrong("TWILIO_FROM", "Set TWILIO_FROM or TWILIO_MESSAGING_SERVICE_SID, not both.")
    if sender and not SENDER.fullmatch(sender):
        wrong("TWILIO_FROM", "Must be a number such as +12025550100: devices cannot answer a name.")
    base = values["twilio_api_base_url"]
    if base and urlsplit(base).scheme not in ("http", "https"):
        wrong("TWILIO_API_BASE_URL", "Must be an http or https address.")


def _check_gateway(values: dict[str, Any], wrong: Any) -> None:
    chosen, http = values["sms_gateway"], values["sms_http"]
    if values["sms_price"] and read_price(values["sms_price"]) is None:
        wrong("SMS_PRICE", "Must be an amount and a currency (ISO 4217), such as 0.05 EUR.")
    if chosen == "http":
        sms_http_config.build(http, wrong)
        if _is_weak(http["SMS_HTTP_WEBHOOK_SECRET"] or ""):
            wrong("SMS_HTTP_WEBHOOK_SECRET", WEAK)
        if values["sms_figure_space"]:
            wrong("SMS_FIGURE_SPACE", "Only Twilio turns a figure space into two blanks.")
    elif chosen == "twilio" and not values["twilio_account_sid"]:
        wrong("TWILIO_ACCOUNT_SID", "Required with SMS_GATEWAY=twilio.")
    elif not chosen and http["SMS_HTTP_URL"] and not values["twilio_account_sid"]:
        wrong("SMS_GATEWAY", "SMS_HTTP_URL is set, but is used with SMS_GATEWAY=http only.")


def inherited(names: Iterable[str]) -> dict[str, str]:
    """Give the part of the environment that a child process gets."""
    return {name: os.environ[name] for name in names if name in os.environ}


def current_config() -> Config:
    """Give the running app's Config (needs an application context)."""
    return current_app.extensions["dualcam_config"]
