"""Sends mail by the SMTP server of SMTP_URL; without one nothing is sent."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from provisioning.core.config import current_config
from provisioning.translation import gettext

TIMEOUT = 10.0  # seconds for each step: a person waits for the page
PORTS = {"smtp": 587, "smtps": 465}
UNREADABLE = (LookupError, AttributeError)  # what EmailMessage raises for some addresses that are none
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class MailError(Exception):
    """A mail could not be handed over; the text says why, for a person."""


def is_configured() -> bool:
    """Say whether mail can be sent."""
    return current_config().smtp_url is not None


def send(to: str, subject: str, text: str) -> None:
    """Hand a mail over to the SMTP server. Raises MailError."""
    config = current_config()
    message = EmailMessage()
    try:
        message["From"], message["To"], message["Subject"] = config.smtp_from, to, subject
        message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain="dualcam")
        message.set_content(text)
        with _connected(config.smtp_url or "") as server:
            server.send_message(message)
    except (OSError, smtplib.SMTPException, ValueError, *UNREADABLE) as error:
        raise MailError(
            gettext("The mail could not be sent (%(error)s).", error=type(error).__name__)
        ) from error


def _connected(url: str) -> smtplib.SMTP:
    """Connect, encrypted where the server can be, and sign in. Raises what smtplib raises."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT, context=context)
    else:
        server = smtplib.SMTP(host, port, timeout=TIMEOUT)
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=context)
        elif parts.username and host not in LOOPBACK:
            server.close()
            raise smtplib.SMTPNotSupportedError(
                "The server offers no TLS: the password would travel in clear."
            )
    if parts.username:
        server.login(unquote(parts.username), unquote(parts.password or ""))
    return server
