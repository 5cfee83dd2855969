"""Who may do what: five roles, each of which includes others."""

from enum import StrEnum
from typing import Final


class Role(StrEnum):
    ADMIN = "admin"
    APPROVER = "approver"
    SUPPORT = "support"
    VIEWER = "viewer"
    AUDITOR = "auditor"


INCLUDES: Final = {
    Role.ADMIN: frozenset({Role.ADMIN, Role.APPROVER, Role.SUPPORT, Role.VIEWER}),
    Role.APPROVER: frozenset({Role.APPROVER, Role.SUPPORT, Role.VIEWER}),
    Role.SUPPORT: frozenset({Role.SUPPORT, Role.VIEWER}),
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.AUDITOR: frozenset({Role.AUDITOR, Role.VIEWER}),
}


def may(has: Role, needs: Role) -> bool:
    return needs in INCLUDES[has]
