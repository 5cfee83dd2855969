"""The shapes of answers, for /docs and /openapi.json. The answers themselves are made by services/views.py."""

from typing import Any

from pydantic import BaseModel, Field


class ProblemDocument(BaseModel):
    """RFC 9457. `code` never changes its meaning; `what_to_do` is a sentence for a person."""

    type: str
    code: str
    title: str
    status: int
    detail: str
    what_to_do: str


class Failure(BaseModel):
    code: str
    advice: str
    customer_message: str
    gateway_code: str | None
    message: str | None


class ChargeAnswer(BaseModel):
    """What came of an attempt: a ch_ or pay_."""

    id: str
    gateway_reference: str
    status: str
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    amount_disputed: int
    method: dict[str, Any]
    created_at: str


class AttemptAnswer(BaseModel):
    """One PaymentIntent or order at one gateway account."""

    id: str
    number: int
    gateway: str
    account: str
    gateway_reference: str | None
    status: str
    reason: str = Field(description="why this gateway")
    failure: Failure | None
    charges: list[ChargeAnswer]
    created_at: str


class OfferAnswer(BaseModel):
    """Another gateway that the customer may change to: POST …/attempts, or the button on the hosted page."""

    gateway: str
    methods: list[str]
    reason: str


class CheckoutAnswer(BaseModel):
    """Where and how the customer pays: the hosted page, or what a page of your own needs."""

    url: str
    expires_at: str
    gateway: str | None = None
    methods: list[str] | None = None
    stripe: dict[str, Any] | None = None
    razorpay: dict[str, Any] | None = None
    next_action: dict[str, Any] | None = None
    next: list[OfferAnswer] | None = None


class RetryAnswer(BaseModel):
    """The further try that is to come: kind "charge" charges the saved method again, "invitation" writes to the customer."""

    number: int
    of: int
    kind: str
    due_at: str


class ApprovalAnswer(BaseModel):
    by: str
    role: str
    at: str


class RefundBody(BaseModel):
    """A refund. `status` is how it stands, `stage` says it in words and never more than is known."""

    id: str
    object: str
    mode: str
    status: str
    stage: str
    payment: str
    charge: str
    gateway: str
    gateway_reference: str | None
    amount: int
    currency: str
    reason: str
    note: str | None
    source: str = Field(description="request, rule, surplus, or gateway: made in the gateway's own dashboard")
    method: str = Field(description="gateway, or manual: paid back in another way, and recorded")
    rule: str = Field(description="which rule said how many must agree")
    approvals_needed: int
    requested_by: str
    because: str | None
    batch: str | None
    retry_of: str | None
    evidence: str | None
    speed_requested: str
    speed: str | None
    arn: str | None = Field(description="the bank's reference")
    failure: dict[str, Any] | None
    requested_at: str
    approved_at: str | None
    expires_at: str | None
    sent_at: str | None
    ended_at: str | None
    updated_at: str
    version: int


class RefundAnswer(RefundBody):
    """A refund, and who agreed to it."""

    approvals: list[ApprovalAnswer]


class RefundList(BaseModel):
    data: list[RefundAnswer]
    next_cursor: str | None


class ReceiptAnswer(BaseModel):
    """A receipt as it was issued, with what has become of it since. Amounts are minor units of `currency`."""

    id: str
    object: str
    kind: str = Field(description="payment, refund, or invoice: an Indian GST invoice")
    number: str
    issued_at: str
    zone: str
    locale: str
    seller: dict[str, Any]
    buyer: dict[str, Any]
    currency: str
    lines: list[dict[str, Any]]
    taxes: list[dict[str, Any]] = Field(
        description="by name and rate in basis points; `half` says that half a basis point is to be added"
    )
    taxable: int
    total: int
    paid_at: str = Field(description="of a refund: when it arrived")
    method: str
    refunds: list[dict[str, Any]]
    refunded: int
    net: int
    fees: int | None
    references: dict[str, str]
    notes: list[str]
    place_of_supply: str | None
    reverse_charge: bool
    voided: str | None = Field(description="why it is void")
    sandbox: bool
    verify_url: str | None
    verify_at: str | None = Field(description="the address of the service when it was issued")
    advanced: bool = Field(description="the full look, or a plain one")
    template: str | None = Field(description="of yours, and its version: kaveri@3; null is the built-in look")


class ReceiptLine(BaseModel):
    id: str
    object: str
    kind: str
    number: str
    payment: str
    refund: str | None
    total: int
    currency: str
    issued_at: str
    voided_at: str | None
    void_reason: str | None


class ReceiptList(BaseModel):
    data: list[ReceiptLine]
    next_cursor: str | None


class ReceiptExportAnswer(BaseModel):
    """An export of receipts, and how far it is."""

    id: str
    object: str
    mode: str
    status: str = Field(description="waiting, running, ready, failed, cancelled or expired")
    error: str | None = Field(description="what its last try broke off over")
    format: str
    issued_from: str
    issued_to: str
    done: int = Field(description="so many receipts are in it")
    total: int
    file: str | None = Field(description="what its file is called, once that is ready")
    size: int | None = Field(description="of the file, in bytes")
    requested_by: str
    requested_at: str
    started_at: str | None
    ended_at: str | None
    expires_at: str | None = Field(description="until then the file can be fetched")


class ReceiptExportList(BaseModel):
    data: list[ReceiptExportAnswer]
    next_cursor: str | None


class ReceiptDelivery(BaseModel):
    id: str
    object: str
    receipt: str
    channel: str = Field(description="email, sms or in_app")
    recipient: str
    outcome: str = Field(
        description="waits, sent, bounced, failed, withdrawn (void by then), or unknown: it may have arrived"
    )
    tries: int
    error: str | None
    asked_by: str | None = Field(description="null: by itself")
    created_at: str
    next_try_at: str | None
    ended_at: str | None


class ReceiptDeliveries(BaseModel):
    data: list[ReceiptDelivery]


class ExceptionAnswer(BaseModel):
    """What needs a person, and how it was settled; by nobody where it ended by itself."""

    id: str
    object: str
    kind: str = Field(description="why: refund_failed, surplus_capture, dispute_deadline, …")
    subject: str = Field(description="the thing it is about")
    payment: str | None
    sentence: str
    opened_at: str
    resolved_at: str | None
    resolved_by: str | None
    note: str | None


class ExceptionList(BaseModel):
    data: list[ExceptionAnswer]
    next_cursor: str | None


class TemplateLine(BaseModel):
    object: str
    name: str
    published: int | None = Field(description="the version that new receipts are drawn by")
    last_version: int
    created_at: str


class TemplateFile(BaseModel):
    name: str
    bytes: int


class TemplateVersion(BaseModel):
    version: int
    published: bool
    note: str | None
    created_by: str
    created_at: str
    draws: list[str] = Field(description="pdf, html")
    files: list[TemplateFile]


class TemplateAnswer(TemplateLine):
    """A template of receipts with its versions, the newest first."""

    versions: list[TemplateVersion]


class TemplateList(BaseModel):
    data: list[TemplateLine]
    next_cursor: str | None


class TemplateVersions(BaseModel):
    data: list[TemplateVersion]
    next_cursor: str | None


class TemplateFiles(BaseModel):
    object: str
    name: str
    version: int
    files: dict[str, Any] = Field(description='a text as it is, anything else as {"base64": …}')


class BatchAnswer(BaseModel):
    """A file of refunds. `totals` maps currencies to minor units, `progress` says how many rows stand how."""

    id: str
    object: str
    mode: str
    status: str
    because: str | None
    name: str
    rows: int
    totals: dict[str, int]
    progress: dict[str, int]
    approvals_needed: int
    approvals: list[ApprovalAnswer]
    requested_by: str
    requested_at: str
    approved_at: str | None
    expires_at: str | None = Field(description="what nobody decides by then ends")
    ended_at: str | None


class BatchList(BaseModel):
    data: list[BatchAnswer]
    next_cursor: str | None


class RefundLine(BaseModel):
    id: str
    payment: str
    status: str
    amount: int
    currency: str
    reason: str
    requested_at: str


class PendingRefund(RefundAnswer):
    """A refund that waits, with what is needed to decide."""

    payment_summary: dict[str, Any]
    refundable_besides: int = Field(description="what is left of the charge, this one being kept")
    history: list[RefundLine] = Field(description="other refunds of the payment")
    customer_refunds: list[RefundLine] = Field(description="refunds of the customer's other payments")
    age_s: int


class PendingRefunds(BaseModel):
    data: list[PendingRefund]
    next_cursor: str | None


class DisputeAnswer(BaseModel):
    """What a customer's bank asks back, or asks about. Amounts are minor units of `currency`."""

    id: str
    object: str
    mode: str
    status: str = Field(description="inquiry, needs_response, under_review, won, lost, closed")
    open: bool
    payment: str
    charge: str
    gateway: str
    account: str
    gateway_reference: str
    amount: int
    currency: str
    amount_held: int = Field(description="may not be refunded now")
    amount_withdrawn: int = Field(description="taken out of the gateway's balance")
    amount_reinstated: int
    amount_lost: int
    reason: str | None
    phase: str | None
    respond_by: str | None
    waits_for_answer: bool
    answer: str = Field(description="ours: none, submitting, submitted, accepting, accepted")
    failure: dict[str, Any] | None = Field(description="why the last answer did not arrive")
    submitted_at: str | None
    submitted_by: str | None
    accepted_at: str | None
    accepted_by: str | None
    opened_at: str
    created_at: str
    updated_at: str
    version: int


class DisputeList(BaseModel):
    data: list[DisputeAnswer]
    next_cursor: str | None


class EvidenceAnswer(BaseModel):
    """What speaks for a disputed charge. `fields` says what each text becomes at the gateway."""

    dispute: str
    status: str = Field(description="collected from our records, a draft, or sent")
    summary: str
    texts: dict[str, str]
    amount: int | None = Field(description="the part that is contested; null is all of it")
    fields: dict[str, str]


class PaymentAnswer(BaseModel):
    """A payment. Amounts are integers of minor units of `currency`; times are RFC 3339 in UTC."""

    id: str
    object: str
    mode: str
    status: str
    amount: int
    currency: str
    amount_captured: int
    amount_refunded: int
    capture: str
    gateway: str | None
    method: str | None
    reference: str | None
    description: str | None
    customer: dict[str, Any]
    metadata: dict[str, str]
    line_items: list[dict[str, Any]]
    return_url: str | None
    failure: Failure | None
    attempts: list[AttemptAnswer]
    surplus: list[ChargeAnswer]
    refundable: int = Field(
        description="what may still be refunded: neither given back, nor reserved, nor disputed"
    )
    refunds: list[RefundBody]
    disputes: list[DisputeAnswer]
    retry: RetryAnswer | None
    checkout: CheckoutAnswer | None
    fulfilled_at: str | None
    expires_at: str
    created_at: str
    updated_at: str
    version: int


class Health(BaseModel):
    answers: bool
    because: str


class RoutingVerdict(BaseModel):
    """What routing thinks of one gateway; `place` is None where it would not be asked."""

    gateway: str
    place: int | None
    reason: str | None
    obstacle: str | None
    health: Health | None


class RoutingAnswer(BaseModel):
    gateway: str | None = Field(description="where the payment would go; null where nothing can take it now")
    gateways: list[RoutingVerdict]


class PaymentList(BaseModel):
    data: list[PaymentAnswer]
    next_cursor: str | None


class Moment(BaseModel):
    """One line of a timeline: a decision, a call, a webhook, a fact or a journal."""

    at: str
    kind: str
    what: str
    id: str
    detail: dict[str, Any]


class Timeline(BaseModel):
    data: list[Moment]
    next_cursor: str | None


class WebhookAnswer(BaseModel):
    id: str
    object: str
    gateway: str
    mode: str
    account: str
    type: str | None
    status: str
    reason: str | None
    payment: str | None
    recovered: bool
    deliveries: int
    tries: int
    next_try_at: str | None
    received_at: str
    last_delivery_at: str
    processed_at: str | None


class WebhooksReplayed(BaseModel):
    """The ids of those that are understood anew."""

    data: list[str]
    next_cursor: str | None


class WebhookWithBody(WebhookAnswer):
    headers: dict[str, str]
    body: str


class WebhookList(BaseModel):
    data: list[WebhookAnswer]
    next_cursor: str | None


class EventAnswer(BaseModel):
    """An event as it is delivered: the Standard Webhooks payload. `data` is the object as it was at that moment."""

    id: str
    type: str
    timestamp: str
    mode: str
    sequence: int = Field(description="counts in the order of commit, without gaps")
    version: int = Field(description="of the object: pass over what is older than what you have")
    data: dict[str, Any]


class EventList(BaseModel):
    data: list[EventAnswer]
    next_cursor: str | None


class EndpointAnswer(BaseModel):
    """Where events are sent. `types` empty means all."""

    id: str
    object: str
    mode: str
    url: str
    description: str
    types: list[str]
    enabled: bool
    disabled_at: str | None
    disabled_because: str | None
    failing_since: str | None
    created_at: str
    updated_at: str


class EndpointWithSecret(EndpointAnswer):
    secret: str = Field(description="whsec_…: verify deliveries with it; shown once")


class EndpointList(BaseModel):
    data: list[EndpointAnswer]
    next_cursor: str | None


class LoggedTry(BaseModel):
    """`answer` is the first kilobyte of what was answered; `status` is null where no whole answer came."""

    number: int
    at: str
    duration_ms: int
    status: int | None
    answer: str
    error: str | None


class DeliveryAnswer(BaseModel):
    event: str
    object: str
    endpoint: str
    type: str
    about: str
    version: int
    sequence: int
    status: str
    tries: int
    next_try_at: str | None
    ended_at: str | None
    last_try: LoggedTry | None


class DeliveryWithTries(DeliveryAnswer):
    log: list[LoggedTry]


class DeliveryList(BaseModel):
    data: list[DeliveryAnswer]
    next_cursor: str | None


class TryAnswer(BaseModel):
    """What came of a test event."""

    event: str
    delivered: bool
    status: int | None
    duration_ms: int
    answer: str
    error: str | None


class Replayed(BaseModel):
    replayed: int


class SettingsAnswer(BaseModel):
    """The settings document; docs/generated/settings.md has every field. ETag has its version too."""

    version: int
    updated_at: str
    paymentGateways: dict[str, Any]  # noqa: N815  the document's own name, as all that follow
    refundProcessing: dict[str, Any]  # noqa: N815
    receiptGeneration: dict[str, Any]  # noqa: N815
    reconciliationSystem: dict[str, Any]  # noqa: N815
    paymentAnalytics: dict[str, Any]  # noqa: N815
    securityEnhancements: dict[str, Any]  # noqa: N815
    productionSettings: dict[str, Any]  # noqa: N815
    business: dict[str, Any]
    routing: dict[str, Any]
    delivery: dict[str, Any]
    monitoring: dict[str, Any]
    outgoingWebhooks: dict[str, Any]  # noqa: N815
    retention: dict[str, Any]


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "default": {"model": ProblemDocument, "description": "A problem document"}
}


class SumAnswer(BaseModel):
    count: int
    amount: int


class SpreadAnswer(BaseModel):
    """Seconds: half took no longer than `median`, nine in ten no longer than `p90`."""

    median: int
    p90: int


class RateAnswer(BaseModel):
    """What succeeded of what was captured, in millionths; null where nothing was."""

    count: int | None
    amount: int | None


class RefundReportLine(BaseModel):
    """One group in one currency; `group` is null for what belongs to none."""

    group: str | None
    currency: str
    requested: SumAnswer
    succeeded: SumAnswer
    failed: SumAnswer
    rejected: SumAnswer
    cancelled: SumAnswer
    open: SumAnswer
    captured: SumAnswer = Field(description="payments of the same period or gateway, else all of these days")
    rate_ppm: RateAnswer
    seconds_to_approve: SpreadAnswer | None
    seconds_to_customer: SpreadAnswer | None


class RefundReport(BaseModel):
    """What refunds came to in these days of the business; `totals` are of all groups, a line a currency."""

    object: str
    mode: str
    from_: str = Field(alias="from")
    to: str
    time_zone: str
    group_by: str
    data: list[RefundReportLine]
    totals: list[RefundReportLine]


def says(model: type[BaseModel], status: int = 200) -> dict[int | str, dict[str, Any]]:
    """What an endpoint documents of its answer, which nothing validates a second time."""
    return {status: {"model": model}}
