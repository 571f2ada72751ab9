"""Structured logs: one JSON event a line on standard error. Never payloads, passwords or tokens."""

import logging
import re
import sys
from typing import Any

import structlog

# of the API and of wall boards (web.auth, web.wall_links): the address of a board holds one
TOKEN = re.compile(r"\b(dc[tw]_)[A-Za-z0-9_-]{20,}")
_render = structlog.processors.JSONRenderer()


def _line(logger: Any, name: str, event: Any) -> str:
    """Render an event as JSON, with dots for what is a token."""
    return TOKEN.sub(r"\1•••••", str(_render(logger, name, event)))


def _shared() -> list[Any]:
    """Give what is done with the events of structlog and of the standard library alike."""
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def formatter() -> logging.Formatter:
    """Give what makes JSON lines of the standard library's records."""
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _line],
        foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
    )


def configure(level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records to standard error as JSON lines."""
    structlog.configure(
        processors=[*_shared(), _line],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    # twilio's client logs request bodies (credentials in SMS) at INFO
    for chatty in ("twilio", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # its warnings name addresses, in which an SMS gateway may take the text and its credentials
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
