"""The key that signs stays open until it is another, or none."""

from counterfoil.documents import receipt_signing
from counterfoil.domain.signing import Signing
from counterfoil.services.pen import Pen
from signers import certificate, new_key, pem


def test_it_is_kept_by_what_the_settings_hold_and_goes_with_the_key():
    key, pen = new_key(), Pen()
    signer = receipt_signing.load(pem(key), certificate(key))
    one, other = Signing(key=b"sealed"), Signing(key=b"sealed anew")
    assert pen.find(one) is None
    pen.put(one, signer)
    assert (pen.find(one), pen.find(other)) == (signer, None)
    pen.put(Signing(), None)
    assert pen.find(one) is None
