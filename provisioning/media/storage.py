"""Opens the spool of this machine and the media store behind it."""

from flask import current_app

from provisioning.core.config import Config, current_config
from receiver.spool.spool import Caps, Spool
from receiver.store.factory import connect
from receiver.store.media_store import Media

MEBI = 2**20


def store(config: Config | None = None) -> Spool:
    """Give this machine's spool with the media store behind it."""
    config = config or current_config()
    caps = Caps(
        files_per_device=config.quarantine_files_per_device,
        bytes_per_device=config.quarantine_mib_per_device * MEBI,
        bytes_in_all=config.quarantine_mib * MEBI,
        quarantine_days=config.quarantine_days,
        partial_days=config.receiver_partial_days,
        hours_without_metadata=config.receiver_resume_hours_without_metadata,
    )
    return Spool(config.media_spool, connect(config.media_url), caps)


def media() -> Media:
    """Give the media store, connected once in each process. Raises MediaError where it cannot be used."""
    found: Media | None = current_app.extensions.get("dualcam_media")
    if found is None:
        found = current_app.extensions["dualcam_media"] = connect(current_config().media_url)
    return found
