"""Who asks something of a service."""

from dataclasses import dataclass

from counterfoil.domain.operator import Role


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and in which mode."""

    actor: str
    merchant_id: str
    mode: str
    role: Role = Role.SUPPORT
    stands_behind: str = ""  # the person, where that is not the actor

    @property
    def person(self) -> str:
        """Who acts, whichever key they use."""
        return self.stands_behind or self.actor
