"""gunicorn's settings for the web process: gevent workers, the address from our configuration."""

from provisioning.config import ConfigError, load
from receiver.addresses import bind_to

try:
    _config = load()
except ConfigError as error:
    raise SystemExit(str(error)) from None

bind = bind_to(_config.web_host, _config.port)
workers = _config.web_workers
worker_class = "gevent"
worker_connections = 1000
# an open page holds a stream of events; it reconnects by itself, so a stop need not wait for it
graceful_timeout = 10
timeout = 60
keepalive = 5
proc_name = "dualcam-web"
control_socket_disable = True
accesslog = None
