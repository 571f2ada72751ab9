"""gunicorn's settings for the web process: gevent workers, the address from our configuration."""

from typing import Any

from gunicorn.glogging import Logger

from provisioning.core import logging_setup
from provisioning.core.config import ConfigError, load
from receiver.addresses import bind_to

try:
    _config = load()
except ConfigError as error:
    raise SystemExit(str(error)) from None


class JsonLogger(Logger):
    """Passes gunicorn's own lines on, so that all lines of the web process are of one kind."""

    def setup(self, cfg: Any) -> None:
        """Write through the root logger instead of a handler of its own."""
        logging_setup.configure()
        self.error_log.propagate = True
        self.error_log.handlers = []


logger_class = JsonLogger
bind = bind_to(_config.web_host, _config.port)
workers = _config.web_workers
worker_class = "provisioning.web.gunicorn_worker.Worker"
worker_connections = 1000
# an open page holds a stream of events; it reconnects by itself, so a stop need not wait for it
graceful_timeout = 10
timeout = 60
keepalive = 5  # seconds; also the bound of the wait for a request's head
proc_name = "dualcam-web"
control_socket_disable = True
accesslog = None
