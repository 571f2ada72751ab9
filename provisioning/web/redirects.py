"""Restricts redirects to paths of this service."""

from urllib.parse import SplitResult, urlsplit

_NO_ADDRESS = SplitResult("none", "", "", "", "")


def own_path(target: str) -> str:
    """Give a path of our own to go to, whatever was asked."""
    parts = _split(target)
    fine = (
        target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and not parts.scheme
        and not parts.netloc
        and target.isprintable()
    )
    return target if fine else "/"


def path_of(address: str | None) -> str:
    """Give the path of our own, with its query, of the address that a browser says it came from; "/" for none."""
    parts = _split(address or "/")
    return own_path(f"{parts.path}?{parts.query}" if parts.query else parts.path)


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # such as "//[", whose host has no end
        return _NO_ADDRESS
