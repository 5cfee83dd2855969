"""Every field of the settings document: where it stands, what it may hold, what it begins as, and what it does.

The document is checked against this table, and the page of settings in the documentation is made from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from counterfoil.domain.breaker import BreakerPolicy
from counterfoil.domain.delivery import OPERATORS_MOST, PASSWORD_PLACE, SMS_PLACE, SMS_SETTINGS
from counterfoil.domain.delivery import SETTINGS as SMTP_SETTINGS
from counterfoil.domain.delivery import read as read_delivery
from counterfoil.domain.receipt_template import RULES as TEMPLATES
from counterfoil.domain.refund_policy import EXPIRY_HOURS, NOTE_REASONS, REMINDER_HOURS
from counterfoil.domain.retry import RETRIES_MOST
from counterfoil.domain.retry import read as read_retries
from counterfoil.domain.routing_policy import LATE, RULES_MOST
from counterfoil.domain.routing_policy import read as read_routing
from counterfoil.domain.settings import REFUND_REASONS
from counterfoil.domain.settings_rules import (
    AMOUNTS,
    COMPUTED,
    COUNTRY,
    CRON,
    CURRENCY,
    DAY_OF_YEAR,
    EMAIL,
    FLAG,
    LOCALE,
    PREFIX,
    SECRET,
    SECRET_CHARS,
    STATE,
    TIME_OF_DAY,
    ZONE,
    Rule,
    as_it_is,
    named,
    one_of,
    record,
    several,
    text,
    whole,
)
from counterfoil.domain.signing import CERTIFICATES_SAY, KEY_CHARS, KEY_PLACE, certificates
from counterfoil.domain.signing import PASSWORD_PLACE as KEY_PASSWORD_PLACE
from counterfoil.domain.signing import read as read_signing

GATEWAYS: Final = ("stripe", "razorpay")
# The number series of receipts: kind, what they are of, and what their numbers begin with.
SERIES: Final = (
    ("payment", "receipts", "R"),
    ("refund", "refund receipts", "RF"),
    ("invoice", "GST invoices", "INV"),
)
OVERLAP_HOURS: Final = 72  # a gateway goes on sending with the old secret what it sends again, for three days
OVERLAP_HOURS_MOST: Final = 720


class Kind(Enum):
    PLAIN = "plain"
    SECRET = "secret"  # noqa: S105  the name of a kind; write-only: sealed, and never read back
    READ_ONLY = "read only"
    INSTRUCTION = "instruction"  # says how to take the rest of a change; neither stored nor shown


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `default` is a new installation's; `optional` may be removed, and then reads as its default."""

    path: str
    rule: Rule
    effect: str
    default: Any = None
    optional: bool = False
    kind: Kind = Kind.PLAIN
    awaits: str = ""  # what it takes effect with, while that is not there


def _secret(path: str, effect: str) -> Field:
    return Field(path, SECRET, effect, kind=Kind.SECRET)


def _computed(path: str, effect: str, awaits: str = "") -> Field:
    return Field(path, COMPUTED, effect, kind=Kind.READ_ONLY, awaits=awaits)


def _gateway(name: str, public: str, secret: str) -> tuple[Field, ...]:
    at = f"paymentGateways.{name}"
    return (
        Field(f"{at}.enabled", FLAG, "routing may choose it; payments under way still finish", default=True),
        _secret(f"{at}.{public}", "the key that a browser may see, with the one beside it"),
        _secret(f"{at}.{secret}", "the key of all calls; one of another account lets the old account drain"),
        Field(
            f"{at}.sameAccount",
            FLAG,
            "said beside new keys, where the gateway cannot be asked: whether they are of the account in use",
            kind=Kind.INSTRUCTION,
        ),
        _secret(f"{at}.webhookSecret", "vouches for webhooks; the one it replaces goes on for the overlap"),
        Field(
            f"{at}.webhookSecretOverlapHours",
            whole(0, OVERLAP_HOURS_MOST),
            "how long a webhook secret that is replaced from now on stays valid",
            default=OVERLAP_HOURS,
            optional=True,
        ),
        _computed(f"{at}.webhookEndpoint", "the address to register with the gateway"),
        _computed(f"{at}.webhookLastProcessed", "when the newest webhook that was understood was so"),
    )


def _limits(role: str) -> tuple[Field, Field]:
    at = f"refundProcessing.limits.{role}"
    return (
        Field(
            f"{at}.perRefund", AMOUNTS, f"the most that a refund by {role} may be", default={}, optional=True
        ),
        Field(
            f"{at}.perDay",
            AMOUNTS,
            f"the most that one {role} may ask for in a day",
            default={},
            optional=True,
        ),
    )


FIELDS: Final = (
    *_gateway("stripe", "publishableKey", "secretKey"),
    *_gateway("razorpay", "keyId", "keySecret"),
    Field("refundProcessing.automatedRefunds", FLAG, "approved and below-threshold refunds are sent without a person", default=False),
    Field("refundProcessing.refundApprovalRequired", FLAG, "every refund needs a second person, where no threshold of its currency says otherwise", default=True),
    Field("refundProcessing.refundThreshold", AMOUNTS, "from this amount, of one payment or of one customer and day in all, a refund needs a second person; below it none", default={}, optional=True),
    Field("refundProcessing.partialRefundsEnabled", FLAG, "part of a payment may be refunded", default=True),
    Field("refundProcessing.refundReasons", several(text(50), 50, least=1), "the reasons that may be given", default=list(REFUND_REASONS)),
    Field("refundProcessing.noteReasons", several(text(50), 50), "the reasons that need a note", default=list(NOTE_REASONS), optional=True),
    Field("refundProcessing.secondApprovalThreshold", AMOUNTS, "from this amount, counted in the same way, two must agree", default={}, optional=True),
    Field("refundProcessing.approvalExpiryHours", whole(1, 720), "a refund or batch that nobody decides in time is cancelled", default=EXPIRY_HOURS, optional=True),
    Field("refundProcessing.approvalReminderHours", whole(1, 720), "after which somebody is reminded, once", default=REMINDER_HOURS, optional=True),
    Field("refundProcessing.speed", one_of("normal", "optimum"), "how fast Razorpay pays out; optimum costs a fee", default="normal", optional=True),
    Field("refundProcessing.tellCustomers", FLAG, "the customer is told by e-mail of a refund that is on its way, paid out, or has failed", default=True, optional=True),
    *(field for role in ("support", "approver", "admin") for field in _limits(role)),
    Field("refundProcessing.limits.people", named(AMOUNTS, 500), "what one person, by the id of their key, may ask for in a day", default={}, optional=True),
    Field("refundProcessing.automatic.smallAmounts", AMOUNTS, "up to this amount, counted in the same way, nobody has to agree", default={}, optional=True),
    Field("refundProcessing.automatic.beforeFulfilment", FLAG, "nobody has to agree to requested_by_customer before the payment is marked as fulfilled", default=False, optional=True),
    Field("refundProcessing.automatic.duplicatePayments", FLAG, "a second payment of the same reference, amount and customer within a day is refunded by itself", default=False, optional=True),
    Field("refundProcessing.automatic.earlyFraudWarnings", FLAG, "a payment of which the card network warns is refunded by itself", default=False, optional=True),
    Field("receiptGeneration.advancedFormatting", FLAG, "the full look, or a plain one", default=True),
    Field("receiptGeneration.multiFormatSupport", FLAG, "every format, or PDF alone", default=True),
    Field("receiptGeneration.customTemplates", TEMPLATES, "the merchant's own templates in use: the first rule that holds names one", default=[], optional=True),
    *(Field(f"receiptGeneration.series.{kind}", PREFIX, f"what numbers of {noun} begin with", default=prefix, optional=True) for kind, noun, prefix in SERIES),
    Field("receiptGeneration.gstInvoices", FLAG, "payments in rupees get an Indian GST invoice, where the business has a GSTIN", default=False, optional=True),
    Field("receiptGeneration.reverseCharge", FLAG, "GST invoices say that the tax is payable on reverse charge", default=False, optional=True),
    Field("receiptGeneration.showFees", FLAG, "receipts show what the gateway kept", default=False, optional=True),
    Field("receiptGeneration.note", text(300), "stands at the foot of every receipt", optional=True),
    Field("receiptGeneration.signing.key", Rule(f"a private key on P-256 in PEM, at most {KEY_CHARS} characters", as_it_is, text=True), "every PDF of a receipt is signed with it; needs the extra `sign`", optional=True),
    Field("receiptGeneration.signing.password", Rule(f"text of at most {SECRET_CHARS} characters", as_it_is, text=True), "opens that key, where it has a password", optional=True),
    Field("receiptGeneration.signing.certificates", Rule(CERTIFICATES_SAY, certificates), "the key's own first; a receipt that was signed with any of them is known for ours, so old ones stay in the list", default=[], optional=True),
    Field("receiptGeneration.automatedDelivery.email", FLAG, "the customer is sent each receipt by e-mail, with the PDF", default=False),
    Field("receiptGeneration.automatedDelivery.sms", FLAG, "the customer is sent the link of each receipt by SMS", default=False),
    Field("receiptGeneration.automatedDelivery.inApp", FLAG, "the merchant's backend is told of receipts, so that the app can show them", default=True),
    Field("reconciliationSystem.automatedReconciliation", FLAG, "settlements are reconciled by the schedule", default=True, awaits="reconciliation"),
    Field("reconciliationSystem.reconciliationSchedule", CRON, "when, in the time zone of the business", default="0 3 * * *", awaits="reconciliation"),
    Field("reconciliationSystem.discrepancyThreshold", AMOUNTS, "breaks under it close themselves as tolerated", default={}, optional=True, awaits="reconciliation"),
    Field("reconciliationSystem.manualReconciliationTools", FLAG, "breaks may be resolved by hand", default=True, awaits="reconciliation"),
    _computed("reconciliationSystem.lastReconciled", "the end of the last run", "reconciliation"),
    _computed("paymentAnalytics.successRate", "of the last 30 days", "analytics"),
    _computed("paymentAnalytics.failureRate", "of the last 30 days", "analytics"),
    _computed("paymentAnalytics.averageProcessingTime", "of the last 30 days", "analytics"),
    _computed("paymentAnalytics.peakLoadHandling", "of the last 30 days", "analytics"),
    Field("securityEnhancements.pciDssCompliance", FLAG, "the PCI profile; true from the start in live mode", default=False, awaits="operators"),
    Field("securityEnhancements.enhancedEncryption", FLAG, "personal data is encrypted too", default=False, awaits="personal data at rest"),
    Field("securityEnhancements.fraudDetection", FLAG, "a payment is weighed before it is sent", default=False, awaits="monitoring"),
    Field("securityEnhancements.transactionMonitoring", FLAG, "payments are watched, and alerts raised", default=False, awaits="monitoring"),
    Field("productionSettings.liveMode", FLAG, "new payments are live; the other of the two follows where it is not named", default=False),
    Field("productionSettings.sandboxMode", FLAG, "new payments are of the sandbox", default=True),
    Field("productionSettings.paymentRetryAttempts", whole(0, RETRIES_MOST), "further attempts after a decline", default=0),
    Field("productionSettings.failedPaymentNotification", FLAG, "customer and operators are told of a final failure, once", default=True),
    Field("business.name", text(100), "the name customers see", default="Your shop"),
    Field("business.country", COUNTRY, "where the business is", optional=True),
    Field("business.address", several(text(100), 6), "its address, line by line, as receipts show it", default=[], optional=True),
    Field("business.taxId", text(20), "its number with the tax office, as a GSTIN", optional=True),
    Field("business.state", STATE, "its state of India, by the two digits of the GST", optional=True),
    Field("business.email", EMAIL, "where customers may write to, as receipts show it", optional=True),
    Field("business.phone", text(20), "where customers may call, as receipts show it", optional=True),
    Field("business.timeZone", ZONE, "of days, schedules, number series and reports", default="UTC"),
    Field("business.locale", LOCALE, "the language of mails, and of documents", default="en"),
    Field("business.defaultCurrency", CURRENCY, "in which a bare number of a threshold counts, when it is set", default="USD"),
    Field("business.financialYearStart", DAY_OF_YEAR, "when the number series of receipts begin anew", default="01-01"),
    Field("routing.order", several(one_of(*GATEWAYS), len(GATEWAYS)), "the order of preference where no rule holds", default=[], optional=True),
    Field("routing.rules", Rule(f"list of at most {RULES_MOST} rules", as_it_is), "the first rule that holds names the gateways", default=[], optional=True),
    Field("routing.breaker.failures", whole(1, 1_000), "failures in a row after which a gateway is left alone", default=BreakerPolicy().failures, optional=True),
    Field("routing.breaker.openSeconds", whole(1, 3_600), "for how long", default=BreakerPolicy().open_s, optional=True),
    Field("routing.lateAuthorization", one_of(*LATE), "what becomes of an authorisation on a fenced attempt", default="leave", optional=True),
    Field(
        "delivery.smtp",
        Rule(f"object: {', '.join(SMTP_SETTINGS)}", as_it_is),
        "the mail server; the password is a secret, and null means no mail is sent",
        optional=True,
    ),
    Field("delivery.operators", several(EMAIL, OPERATORS_MOST), "who is told of failed payments, of disputes, of refunds that wait or fail, and of disabled endpoints", default=[], optional=True),
    Field(
        "delivery.sms",
        Rule(f"object: {', '.join(SMS_SETTINGS)}", as_it_is),
        "the SMS carrier, twilio or msg91; the secret is a secret, and null means no SMS is sent",
        optional=True,
    ),
    Field("delivery.quietHours", record(**{"from": TIME_OF_DAY, "to": TIME_OF_DAY}), "when customers are not written to, in the time zone of the business: a mail or SMS waits for their end", optional=True),
    Field("monitoring.onError", one_of("allow", "review", "block"), "what becomes of a payment that could not be weighed", default="allow", awaits="monitoring"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret of the document: the place that the vault seals it for, how long it may be, and whether its end is shown."""

    place: str
    most: int = SECRET_CHARS
    end_shown: bool = True


# Secrets that stand in the document itself, sealed.
SEALED_PARTS: Final = {
    "delivery.smtp.password": Sealed(PASSWORD_PLACE),
    "delivery.sms.secret": Sealed(SMS_PLACE),
    "receiptGeneration.signing.key": Sealed(KEY_PLACE, KEY_CHARS, end_shown=False),
    "receiptGeneration.signing.password": Sealed(KEY_PASSWORD_PLACE, end_shown=False),
}
# Sections that have no field yet; endpoints of outgoing webhooks are kept under /api/payments/endpoints.
EMPTY: Final = ("outgoingWebhooks", "retention")

BY_PATH: Final = {field.path: field for field in FIELDS}

Tree: TypeAlias = Mapping[str, "Tree | Field"]


def _grown() -> Tree:
    tree: dict[str, Any] = {}
    for field in FIELDS:
        *sections, name = field.path.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = field
    return tree | {name: {} for name in EMPTY}


TREE: Final = _grown()


def read_sections(document: Mapping[str, Any]) -> None:
    """Have each section read by the rules of its own noun. Raises InvalidRequestError, which names the field."""
    read_routing(document.get("routing", {}), GATEWAYS)
    read_retries(document)
    read_delivery(document)
    read_signing(document)
