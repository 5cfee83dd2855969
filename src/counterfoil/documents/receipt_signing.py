"""A signature on a receipt's PDF (PAdES, ECDSA on P-256 with SHA-256), and what a signature found on one is worth.

It needs the extra `sign`. The signature is added behind the file's own bytes, which stay as they are; the field is
invisible, so that the page looks the same. A signature differs each time: only the file before it is the same bytes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from io import BytesIO
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from counterfoil.domain.errors import ConfigurationError

if TYPE_CHECKING:
    from pyhanko.sign.signers import SimpleSigner

FIELD: Final = "Seller"
_RANGE: Final = b"/ByteRange"  # what only a signed file has


class Verdict(StrEnum):
    """What a signature says of a file."""

    INTACT = "intact"  # not a byte has changed since we signed it
    CHANGED = "changed"  # it was signed, and is not what was signed any more
    UNKNOWN_SIGNER = "unknown_signer"  # intact, but signed with a key that is not ours
    UNSIGNED = "unsigned"  # there is no signature to be read


@dataclass(frozen=True, slots=True)
class Signer:
    """The operator's key and its certificates, the key's own first."""

    key: EllipticCurvePrivateKey
    certificates: tuple[x509.Certificate, ...]

    def sign(self, pdf: bytes) -> bytes:
        """The file with a signature behind it. Not within a running event loop: pyHanko starts one of its own."""
        from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
        from pyhanko.sign.fields import SigSeedSubFilter
        from pyhanko.sign.signers import PdfSignatureMetadata, sign_pdf

        wanted = PdfSignatureMetadata(
            field_name=FIELD, md_algorithm="sha256", subfilter=SigSeedSubFilter.PADES
        )
        signed: BytesIO = sign_pdf(IncrementalPdfFileWriter(BytesIO(pdf)), wanted, signer=self._signer())
        return signed.getvalue()

    def _signer(self) -> "SimpleSigner":
        from asn1crypto.keys import PrivateKeyInfo
        from asn1crypto.x509 import Certificate
        from pyhanko.sign.signers import SimpleSigner
        from pyhanko_certvalidator.registry import SimpleCertificateStore

        own, *above = [Certificate.load(one.public_bytes(Encoding.DER)) for one in self._chain()]
        key = self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        return SimpleSigner(
            signing_cert=own,
            signing_key=PrivateKeyInfo.load(key),
            cert_registry=SimpleCertificateStore.from_certs(above),  # type: ignore[no-untyped-call]
        )

    def _chain(self) -> list[x509.Certificate]:
        """The key's own certificate and those above it. Those of keys before it stand in no signature of this one."""
        chain, others = [self.certificates[0]], {one.subject: one for one in self.certificates[1:]}
        while chain[-1].issuer != chain[-1].subject and chain[-1].issuer in others:
            chain.append(others.pop(chain[-1].issuer))
        return chain


def require() -> None:
    """Raise ConfigurationError where the extra `sign` is not installed."""
    if find_spec("pyhanko") is None:
        raise ConfigurationError("Signed receipts need the extra: pip install 'counterfoil[sign]'.")


def load(key_pem: bytes, certificates_pem: bytes, password: bytes | None = None) -> Signer:
    """The signer of two PEM texts. Raises ConfigurationError where they are no P-256 key and the certificate of it."""
    require()
    key, known = _key(key_pem, password), certificates(certificates_pem)
    if known[0].public_key() != key.public_key():
        raise ConfigurationError("The first certificate for signing receipts is of another key.")
    return Signer(key, known)


def _key(pem: bytes, password: bytes | None) -> EllipticCurvePrivateKey:
    """The reasons are ours: what a library says of a key might have some of it."""
    try:
        key = load_pem_private_key(pem, password)
    except TypeError:
        lacks = (
            "it has a password, and none is given"
            if password is None
            else "it has no password, and one is given"
        )
        raise ConfigurationError(f"The key that signs receipts cannot be read: {lacks}.") from None
    except ValueError:
        wrong = "it is no private key in PEM" + (", or its password is another" if password else "")
        raise ConfigurationError(f"The key that signs receipts cannot be read: {wrong}.") from None
    except UnsupportedAlgorithm:
        key = None
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        raise ConfigurationError("The key that signs receipts must be an elliptic-curve key on P-256.")
    return key


def certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a PEM text, whose keys and names can be read. Raises ConfigurationError."""
    try:
        found = tuple(x509.load_pem_x509_certificates(pem))
        for one in found:
            one.public_key()  # read only when it is asked for, as is the name
            one.subject.rfc4514_string()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigurationError(
            "The certificates for signing receipts cannot be read: one is no certificate in PEM."
        ) from None
    return found


def verify(pdf: bytes, known: Collection[x509.Certificate]) -> Verdict:
    """What the signature on a file is worth, to whom `known` are all certificates that receipts were ever signed with.

    A certificate is known or it is not: no chain is followed and no network asked, so that a receipt stays verifiable
    when its certificate has expired. Whatever cannot be read as it was signed has changed. Raises ConfigurationError without the extra `sign`.
    """
    require()
    try:
        return _verdict(pdf, {one.public_bytes(Encoding.DER) for one in known})
    except Exception:  # noqa: BLE001  a stranger's file may break its reader in any way; then it is not what we made
        return Verdict.CHANGED if _RANGE in pdf else Verdict.UNSIGNED


def _verdict(pdf: bytes, known: Collection[bytes]) -> Verdict:
    from pyhanko.pdf_utils.reader import PdfFileReader
    from pyhanko.sign.validation.generic_cms import validate_sig_integrity
    from pyhanko.sign.validation.status import SignatureCoverageLevel

    found = PdfFileReader(BytesIO(pdf)).embedded_signatures
    if not found:
        return Verdict.CHANGED if _RANGE in pdf else Verdict.UNSIGNED
    last = found[-1]
    last.compute_integrity_info()
    intact, valid = validate_sig_integrity(
        last.signer_info, last.signer_cert, expected_content_type="data", actual_digest=last.compute_digest()
    )
    if not (intact and valid and last.coverage is SignatureCoverageLevel.ENTIRE_FILE):
        return Verdict.CHANGED
    return Verdict.INTACT if last.signer_cert.dump() in known else Verdict.UNKNOWN_SIGNER
