"""The key that receipts were signed with last, opened: its password may be made to take long, and an export draws many."""

from counterfoil.documents.receipt_signing import Signer
from counterfoil.domain.signing import Signing


class Pen:
    """Of one process and its vault. Kept by what the settings hold, sealed: another key is another pen."""

    def __init__(self) -> None:
        self._held: tuple[Signing, Signer] | None = None

    def find(self, told: Signing) -> Signer | None:
        """The signer of these settings, where they are those of the last one."""
        return self._held[1] if self._held and self._held[0] == told else None

    def put(self, told: Signing, signer: Signer | None) -> None:
        """Keep it in place of the one before. Where nobody signs any more no key stays in memory."""
        self._held = (told, signer) if signer else None
