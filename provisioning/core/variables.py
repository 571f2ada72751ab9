"""The variables of the environment: the name, type, default and bounds of each. Called by `config`.

docs/operations.md lists them for people.
"""

from typing import Any

from marshmallow.validate import OneOf

from provisioning.core import sms_http_config
from provisioning.core.environment import ROOT, VariableReader

FILE_KINDS = ("front_photo", "rear_photo", "front_video", "rear_video")


def read(env: VariableReader) -> dict[str, Any]:
    """Read all variables as they are."""
    groups = (_places, _camera, _receiver, _receiver_limits, _quarantine, _sms)
    return {name: value for group in groups for name, value in group(env).items()}


def _places(env: VariableReader) -> dict[str, Any]:
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


def _camera(env: VariableReader) -> dict[str, Any]:
    return {
        "camera_server_domain": env.text("CAMERA_SERVER_DOMAIN"),
        "camera_server_port": env.integer("CAMERA_SERVER_PORT", None, 1, 65535),
        "camera_servers_allowed": env.words("CAMERA_SERVERS_ALLOWED"),
        "camera_domain_parameter": env.integer("CAMERA_DOMAIN_PARAMETER", None, 1, 99_999_999),
        "camera_port_parameter": env.integer("CAMERA_PORT_PARAMETER", None, 1, 99_999_999),
    }


def _receiver(env: VariableReader) -> dict[str, Any]:
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
    }


def _receiver_limits(env: VariableReader) -> dict[str, Any]:
    """Read what one peer, one device and one session may cost."""
    return {
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
    }


def _quarantine(env: VariableReader) -> dict[str, Any]:
    return {
        "quarantine_files_per_device": env.integer("QUARANTINE_FILES_PER_DEVICE", 20, 1, 100_000),
        "quarantine_mib_per_device": env.integer("QUARANTINE_MIB_PER_DEVICE", 64, 1, 1_000_000),
        "quarantine_mib": env.integer("QUARANTINE_MIB", 1024, 1, 10_000_000),
        "quarantine_days": env.integer("QUARANTINE_DAYS", 14, 1, 3650),
    }


def _sms(env: VariableReader) -> dict[str, Any]:
    return {
        "sms_gateway": env.text("SMS_GATEWAY"),
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
        "camera_restart_wait": env.integer("CAMERA_RESTART_WAIT", 40, 0, 3600),
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
