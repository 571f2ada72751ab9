"""What an error of a connection proves: whether a request can have reached the gateway."""

import requests

# of the request itself: it was never sent
NO_REQUEST = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidHeader,
)
# the connection never came about, so that nothing of a request has left this machine
NEVER_CONNECTED = (
    "NewConnectionError",
    "NameResolutionError",
    "ConnectTimeoutError",
    "SSLCertVerificationError",
)


def never_connected(error: requests.exceptions.RequestException) -> bool:
    """Say whether nothing can have been sent: a connection that broke later may have carried the request."""
    if isinstance(error, (requests.exceptions.ConnectTimeout, *NO_REQUEST)):
        return True
    text = repr(error)
    return isinstance(error, requests.exceptions.ConnectionError) and any(
        name in text for name in NEVER_CONNECTED
    )
