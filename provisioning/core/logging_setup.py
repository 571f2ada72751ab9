"""Structured logs: one JSON event a line on standard error. Never payloads, passwords or tokens."""

import logging
import sys
from typing import Any

import structlog


def configure(level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records to standard error as JSON lines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    # twilio's client logs request bodies (credentials in SMS) at INFO
    for chatty in ("twilio", "urllib3", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # its warnings name addresses, in which an SMS gateway may take the text and its credentials
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
