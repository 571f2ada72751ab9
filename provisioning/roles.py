"""The roles of users and tokens, from the least to the most. Pure.

Viewers look. Support asks for files, runs checks and links files. Installers also change devices, parameters and SMS
credentials. Administrators also name other servers, and manage users and tokens.
"""

from enum import StrEnum


class Role(StrEnum):
    """What somebody may do; a role includes every role below it (`includes`)."""

    ADMIN = "admin"
    INSTALLER = "installer"
    SUPPORT = "support"
    VIEWER = "viewer"

    def includes(self, needed: "Role") -> bool:
        """Return whether this role is `needed` or stands above it."""
        return _RANK[self] >= _RANK[needed]


_RANK = {Role.VIEWER: 0, Role.SUPPORT: 1, Role.INSTALLER: 2, Role.ADMIN: 3}
