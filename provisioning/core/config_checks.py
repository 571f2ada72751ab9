"""Checks the values of all variables, each by itself and against one another. Called by `config`.

Whatever is wrong is named at once: `wrong` is called with the variable's name and the reason.
"""

import re
from collections.abc import Callable, Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from provisioning.core import sms_http_config
from provisioning.core.prices import read_price
from provisioning.core.variables import FILE_KINDS

DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,53}[A-Za-z0-9])?")  # a device holds at most 55 characters
SENDER = re.compile(r"\+[1-9][0-9]{7,14}")
# names may not look like addresses that are none
HOST = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
LISTENING = ("web_host", "receiver_host", "receiver_http_host")
# settings that are addresses or networks
NETWORKS = ("metrics_networks", "receiver_networks", "receiver_proxies", "web_proxies")
KEY_MIN, KEY_DISTINCT = 16, 6  # characters of a secret key, and different ones among them
WEAK = f"Too easy to guess: at least {KEY_MIN} characters, not the same few, for example from `openssl rand -hex 32`."


def listening_host(text: str) -> str | None:
    """Give an address to listen on as sockets take it, an IPv6 address without its brackets; None for what is none."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        return bare if ip_address(bare).version == 6 or bare == text else None
    except ValueError:
        return text if HOST.fullmatch(text) else None


def with_driver(url: str) -> str:
    """Name the driver we ship where a URL names only the database, as hosting platforms write it."""
    for plain in ("postgresql://", "postgres://"):
        if url.startswith(plain):
            return "postgresql+psycopg://" + url.removeprefix(plain)
    return url


def _is_weak(key: str) -> bool:
    return len(key) < KEY_MIN or len(set(key)) < KEY_DISTINCT


def check(values: dict[str, Any], errors: dict[str, list[str]]) -> None:
    """Add to `errors` what is wrong, by variable."""

    def wrong(name: str, text: str) -> None:
        errors.setdefault(name, []).append(text)

    if values["secret_key"] and _is_weak(values["secret_key"]):
        wrong("SECRET_KEY", WEAK)
    # the others only decrypt what was stored under them
    if values["encryption_keys"] and _is_weak(values["encryption_keys"][0]):
        wrong("ENCRYPTION_KEYS", "The first key encrypts: " + WEAK)
    if not with_driver(values["database_url"]).startswith(("sqlite:///", "postgresql+psycopg://")):
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
        if values[name] and listening_host(values[name]) is None:
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
    chosen = values["sms_gateway"]
    if values["sms_price"] and read_price(values["sms_price"]) is None:
        wrong("SMS_PRICE", "Must be an amount and a currency (ISO 4217), such as 0.05 EUR.")
    if values["sms_figure_space"] and chosen not in (None, "twilio"):
        wrong("SMS_FIGURE_SPACE", "Only Twilio turns a figure space into two blanks.")
    if chosen in SMS_GATEWAYS:
        SMS_GATEWAYS[chosen](values, wrong)
    elif chosen:
        wrong("SMS_GATEWAY", f"Must be one of {', '.join(SMS_GATEWAYS)}.")
    elif values["sms_http"]["SMS_HTTP_URL"] and not values["twilio_account_sid"]:
        wrong("SMS_GATEWAY", "SMS_HTTP_URL is set, but is used with SMS_GATEWAY=http only.")


def _demand_twilio(values: dict[str, Any], wrong: Any) -> None:
    if not values["twilio_account_sid"]:
        wrong("TWILIO_ACCOUNT_SID", "Required with SMS_GATEWAY=twilio.")


def _demand_http(values: dict[str, Any], wrong: Any) -> None:
    sms_http_config.build(values["sms_http"], wrong)
    if _is_weak(values["sms_http"]["SMS_HTTP_WEBHOOK_SECRET"] or ""):
        wrong("SMS_HTTP_WEBHOOK_SECRET", WEAK)


# the gateways that SMS_GATEWAY may name, and what each of them demands; `sms.factory` makes them
SMS_GATEWAYS: Mapping[str, Callable[[dict[str, Any], Any], None]] = {
    "twilio": _demand_twilio,
    "http": _demand_http,
}
