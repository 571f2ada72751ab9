"""What people read of why a connection of a device ended.

The receiver writes its reasons in English and knows nothing of languages; `CameraSession.code` is for programs. The
reasons that are always the same are sentences of the catalogues; one that holds a figure of its moment is shown as it
was written.
"""

from provisioning.translation import N_, gettext

REASONS = frozenset(
    {
        N_("The device keeps sending messages that were not asked for."),
        N_("The device did not go on after its file was acknowledged."),
        N_("No device has this IMEI; add it first."),
        N_("The device changed its IMEI within a session."),
        N_("The device announced another size for the same file."),
        N_("The device repeats its START and sends nothing."),
        N_("The device keeps going back to earlier packets."),
        N_("The device sent more than it announced."),
        N_("Nothing is left to send."),
        N_("Enough for one session; the device may come again."),
        N_("The receiver restarts; the file is safe."),
        N_("The tracker's own data (AVL) came to the camera port: parameters 2004 and 2005 name it."),
        N_("This is HTTP, from a browser or a scanner, and not the camera protocol."),
        N_("This is TLS, and no certificate is set for this port (RECEIVER_TLS_CERT)."),
        N_("This is MQTT, and not the camera protocol."),
        N_("This is not the camera protocol: a frame begins with 0x00."),
        N_("The device sent an IMEI of more than 15 digits, or none."),
        N_("The device offered a path that is not plain ASCII, or an identifier."),
        N_("The address is in none of the networks that devices may connect from."),
        N_("The device closed the connection."),
        N_("The connection did not complete its PROXY header and TLS handshake."),
        N_("The device did not read our answer."),
        N_("An internal error ended the session; the log has the details."),
        N_("Too many connections from this address."),
        N_("Too many connections; this one had sent no INIT."),
        N_("The device opened too many connections."),
        N_("An older connection of this device does not let go of its file."),
        N_("A newer connection of this device went on with the file."),
        N_("The device went on with the file at another receiver."),
        N_("The receiver restarts."),
        N_("The load balancer sent no PROXY header."),
        N_("The PROXY header is of a version that nobody knows, or too long."),
        N_("The PROXY header is too short for its addresses."),
        N_("The PROXY line has no end."),
        N_("The PROXY line cannot be read."),
        N_("The device spoke without TLS, which is mandatory here."),
        N_("The load balancer closed the connection without a PROXY header."),
        N_("The TLS certificate cannot be read."),
        N_("Another receiver went on with this file."),
        N_("The device has sent as much as one may in a day; the camera keeps the rest."),
        N_("This unknown device has sent as much as one may."),
        N_("Unknown devices have sent as much as they may in all."),
        N_("The partial file is shorter than its sidecar says."),
    }
)


def reason(text: str) -> str:
    """Say why a connection ended."""
    return gettext(text) if text in REASONS else text
