"""Where Chromium is: for tests in a browser, and for bin/images."""

import shutil

# the first is Debian's package of it without windows
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser")


def program() -> str:
    """Give the path of the first that this machine has. Raises StopIteration where it has none."""
    return next(found for name in NAMES if (found := shutil.which(name)))
