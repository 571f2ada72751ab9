"""Keys of files in the media store, and what the name of an offered file says about it. Pure."""

from receiver.wire.actions import Offer

KINDS = {
    "%photof": ("photo", "front", "jpg"),
    "%photor": ("photo", "rear", "jpg"),
    "%videof": ("video", "front", "h265"),
    "%videor": ("video", "rear", "h265"),
}
# a path says by parts of itself what it is; the first that fits. Source: other servers, see docs/protocol.md
PATH_SOURCES = {
    "mdas9": "adas",
    "dsm": "dsm",
    "dualcam_front": "front",
    "dualcam_rear": "rear",
    "dashcam": "dashcam",
}
SOURCES = tuple(
    dict.fromkeys([source for _, source, _ in KINDS.values()] + [*PATH_SOURCES.values(), "unknown"])
)
PATH_ENDINGS = {".jpg": ("photo", "jpg"), ".mp4": ("video", "mp4"), ".h265": ("video", "h265")}


def quarantined(imei: str, path: str) -> str:
    """Give the key of an unknown device's file: by device, so that caps are counted quickly."""
    return f"quarantine/{imei}/{path}"


def adopted(imei: str, path: str) -> str:
    """Give the key that a quarantined file has among the ordinary ones."""
    return path.removeprefix(f"quarantine/{imei}/")


def describe(offer: Offer) -> tuple[str, str, str]:
    """Give file type, source and file name ending of an offered file."""
    if not offer.by_path:
        return KINDS[offer.identifier]
    path = offer.identifier.lower()
    source = next((name for part, name in PATH_SOURCES.items() if part in path), "unknown")
    for ending, (kind, extension) in PATH_ENDINGS.items():
        if path.endswith(ending):
            return kind, source, extension
    return ("photo", source, "jpg") if "picture" in path else ("video", source, "bin")
