"""The form in which a document goes up as evidence. Pure."""

import re
from hashlib import sha256


def upload(name: str, content: bytes) -> tuple[str, bytes]:
    """The content type and the body of a form that uploads this PDF as evidence; `name` is a plain file name."""
    boundary = f"counterfoil-{sha256(content).hexdigest()[:32]}"
    parts = (
        b'Content-Disposition: form-data; name="purpose"\r\n\r\ndispute_evidence',
        f'Content-Disposition: form-data; name="file"; filename="{_ascii(name)}"\r\n'
        "Content-Type: application/pdf\r\n\r\n".encode()
        + content,
    )
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + b"--" + boundary.encode() + b"--\r\n"


def _ascii(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
