"""The settings document as it begins: every section, and the value that is safe before anyone has decided.

Names are the public contract's own. Secrets are not here: they stand sealed on the gateway accounts.
"""

from collections.abc import Collection, Mapping
from typing import Any, Final

# Begins the list of allowed refund reasons; "other" says nothing by itself and needs a note.
REFUND_REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "other")


def initial(*, business: str, mode: str, gateways: Collection[str]) -> dict[str, Any]:
    """The document of a new installation. A gateway is enabled from the start, and takes part once it has an account."""
    return {
        "paymentGateways": {name: {"enabled": True} for name in gateways},
        "refundProcessing": {
            "automatedRefunds": False,
            "refundApprovalRequired": True,
            "refundThreshold": {},
            "partialRefundsEnabled": True,
            "refundReasons": list(REFUND_REASONS),
        },
        "receiptGeneration": {
            "advancedFormatting": True,
            "multiFormatSupport": True,
            "customTemplates": [],
            "automatedDelivery": {"email": False, "sms": False, "inApp": True},
        },
        "reconciliationSystem": {
            "automatedReconciliation": True,
            "reconciliationSchedule": "0 3 * * *",
            "discrepancyThreshold": {},
            "manualReconciliationTools": True,
        },
        "securityEnhancements": {
            "pciDssCompliance": mode == "live",
            "enhancedEncryption": False,
            "fraudDetection": False,
            "transactionMonitoring": False,
        },
        "productionSettings": {
            "liveMode": mode == "live",
            "sandboxMode": mode == "sandbox",
            "paymentRetryAttempts": 0,
            "failedPaymentNotification": True,
        },
        "business": {
            "name": business,
            "country": None,
            "timeZone": "UTC",
            "locale": "en",
            "defaultCurrency": "USD",
            "financialYearStart": "01-01",
        },
        "routing": {"rules": [], "breaker": {}},
        "delivery": {"smtp": None, "operators": [], "sms": None, "quietHours": None},
        "outgoingWebhooks": {},
        "monitoring": {"onError": "allow"},
        "retention": {},
    }


def enabled(document: Mapping[str, Any], gateway: str) -> bool:
    """Whether routing may choose this gateway for new payments."""
    return bool(document.get("paymentGateways", {}).get(gateway, {}).get("enabled", False))
