"""The postman: brings one mail to the merchant's mail server, and says what came of it.

SMTP has no way to ask whether a mail was taken. Where the connection is lost after the last byte of it was sent, it is
brought again: it may then arrive twice, under one Message-ID.
"""

import asyncio
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Final

import aiosmtplib

from counterfoil.domain.boundary import refuse_inside_transaction
from counterfoil.domain.delivery import ERROR_CHARS, Came, Fate, Security
from counterfoil.log import scrub

STEP_S: Final = 15.0  # one command; servers that check a sender's address or greet late take several seconds
TOTAL_S: Final = 60.0  # all of them: a server that drips must not hold the outbox up
PERMANENT: Final = 500  # RFC 5321, 4.2.1: from here on the same will be refused again


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The merchant's mail server."""

    host: str
    port: int
    security: Security
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Postman:
    """Brings mails over TLS that `tls` vouches for; the system's own trust, where none is given."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls

    async def bring(self, server: Server, mail: EmailMessage, *, sender: str, recipient: str) -> Came:
        """Bring the mail on a connection of its own. Raises nothing but NetworkInsideTransactionError."""
        refuse_inside_transaction()
        smtp = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            timeout=STEP_S,
            use_tls=server.security is Security.TLS,
            start_tls=server.security is Security.STARTTLS,
            tls_context=self.tls or ssl.create_default_context(),
            username=server.username,
            password=server.password,
            local_hostname=sender.rpartition("@")[2],  # else it asks the name server who it is
        )
        try:
            async with asyncio.timeout(TOTAL_S):
                await smtp.connect()
                await smtp.send_message(mail, sender=sender, recipients=[recipient])
                await _leave(smtp)
        except aiosmtplib.SMTPRecipientsRefused as error:
            return _refused(Fate.BOUNCED, "the recipient was refused", error.recipients[0])
        except aiosmtplib.SMTPDataError as error:
            return _refused(Fate.REFUSED, "the mail was refused", error)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return Came(Fate.LATER, _told(f"not taken ({type(error).__name__})", error))
        else:
            return Came(Fate.SENT)
        finally:
            smtp.close()


async def _leave(smtp: aiosmtplib.SMTP) -> None:
    """Say goodbye: the mail is taken, whatever the server answers to that."""
    try:
        await smtp.quit()
    except (aiosmtplib.SMTPException, OSError):
        return


def _refused(fate: Fate, what: str, error: aiosmtplib.SMTPResponseException) -> Came:
    """For good where the server says so, for now else."""
    return Came(fate if error.code >= PERMANENT else Fate.LATER, _told(what, error))


def _told(what: str, error: Exception) -> str:
    said = error.message if isinstance(error, aiosmtplib.SMTPResponseException) else str(error)
    code = f"{error.code} " if isinstance(error, aiosmtplib.SMTPResponseException) else ""
    text = " ".join(f"{what}: {code}{said}".split())
    return scrub("".join(c for c in text if c.isprintable()))[:ERROR_CHARS]
