"""Restricts redirects to paths of this service."""

from urllib.parse import urlsplit


def own_path(target: str) -> str:
    """Give a path of our own to go to, whatever was asked."""
    parts = urlsplit(target)
    fine = (
        target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and not parts.scheme
        and not parts.netloc
        and target.isprintable()
    )
    return target if fine else "/"
