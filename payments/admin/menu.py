"""The side menu: the day's work first, then people, money and the chain, then the other applications."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from govpay.said import said
from ledger.admin import reports
from payments.models import (
    AddressProof,
    Alarm,
    Appeal,
    Approval,
    ApprovalPolicy,
    BankAccount,
    BankFile,
    Beneficiary,
    Block,
    BudgetPeriod,
    ChainFact,
    ClaimLink,
    Coin,
    ConsentText,
    Cycle,
    Destination,
    DestinationChange,
    Disbursement,
    Election,
    Enrollment,
    Entitlement,
    Erasure,
    ExclusionList,
    Grievance,
    Hold,
    Holding,
    ImportJob,
    InflowClassing,
    Institution,
    Intake,
    Intervention,
    ManualPrice,
    Membership,
    Message,
    NodeStatus,
    Payment,
    Payout,
    PayoutTx,
    PriceBreaker,
    PriceRule,
    PriceSource,
    Program,
    Proposal,
    PurchasePlan,
    Quote,
    Reservation,
    ReserveProof,
    SigningRequest,
    StatusChange,
    Stop,
    TravelRecord,
    Trust,
    TrustDecision,
    TrustLeg,
    Voucher,
    Wallet,
    Warrant,
    Webhook,
    WebhookDelivery,
)

GROUPS: list[tuple[str, list[tuple[type[Model], str, str]]]] = [
    (
        "Payments",
        [
            (Disbursement, "Disbursements", "receipt_long"),
            (Approval, "Approvals", "how_to_vote"),
            (Payment, "Payments", "payments"),
            (Hold, "Holds", "pause_circle"),
            (Payout, "Payouts", "send_money"),
            (TravelRecord, "Travel rule", "badge"),
            (BankFile, "Bank files", "account_balance"),
            (Voucher, "Vouchers", "confirmation_number"),
            (Intervention, "Interventions", "gavel"),
            (SigningRequest, "Signing requests", "signature"),
            (Alarm, "Alarms", "notifications_active"),
            (Stop, "Stops", "front_hand"),
            (StatusChange, "History", "history"),
        ],
    ),
    (
        "People",
        [
            (Enrollment, "Enrollments", "how_to_reg"),
            (Beneficiary, "People", "groups"),
            (Destination, "Addresses", "pin_drop"),
            (BankAccount, "Bank accounts", "account_balance_wallet"),
            (Entitlement, "Entitlements", "redeem"),
            (ClaimLink, "Claim links", "qr_code_2"),
            (Message, "Messages", "sms"),
            (Grievance, "Grievances", "support_agent"),
            (ImportJob, "Imports", "cloud_upload"),
            (DestinationChange, "Changes of address", "swap_horiz"),
            (AddressProof, "Proofs of control", "verified_user"),
            (ConsentText, "Consent texts", "handshake"),
            (Erasure, "Erasures", "person_remove"),
            (ExclusionList, "Exclusion lists", "person_off"),
            (Appeal, "Appeals", "balance"),
            (Intake, "Files", "upload_file"),
        ],
    ),
    (
        "Programs",
        [
            (Program, "Programs", "account_balance"),
            (Membership, "Members", "badge"),
            (Proposal, "Proposals", "rule_settings"),
            (ApprovalPolicy, "Approval policies", "rule"),
            (Cycle, "Cycles", "calendar_month"),
            (Wallet, "Wallets", "account_balance_wallet"),
            (BudgetPeriod, "Budget periods", "savings"),
            (Warrant, "Warrants", "order_approve"),
            (Webhook, "Webhooks", "webhook"),
            (WebhookDelivery, "Messages of webhooks", "outbox"),
        ],
    ),
    (
        "Prices",
        [
            (PriceRule, "Prices", "currency_bitcoin"),
            (PriceSource, "Sources", "rss_feed"),
            (ManualPrice, "Prices by hand", "edit_note"),
            (PriceBreaker, "Breakers", "electric_bolt"),
            (Quote, "Quotes", "request_quote"),
        ],
    ),
    (
        "Reserve",
        [
            (Institution, "Institutions", "assured_workload"),
            (Holding, "Holdings", "lock_clock"),
            (InflowClassing, "Classings", "label"),
            (PurchasePlan, "Purchase plans", "shopping_cart"),
            (ReserveProof, "Proofs of reserves", "draw"),
        ],
    ),
    (
        "Trusts",
        [
            (Trust, "Trusts", "currency_exchange"),
            (TrustDecision, "Decisions of boards", "how_to_vote"),
            (TrustLeg, "Bitcoin legs", "swap_horiz"),
            (Election, "Elections", "ballot"),
        ],
    ),
    (
        "Chain",
        [
            (NodeStatus, "Node", "dns"),
            (Coin, "Coins", "toll"),
            (Reservation, "Reserved coins", "lock"),
            (PayoutTx, "Signed txs", "draw"),
            (ChainFact, "Facts", "fact_check"),
            (Block, "Blocks", "deployed_code"),
        ],
    ),
]
LEDGER_ICONS = {
    "Account": "account_tree",
    "AuditEvent": "policy",
    "Entry": "menu_book",
    "Posting": "format_list_bulleted",
    "Period": "date_range",
    "ReconciliationRun": "rule",
    "Break": "difference",
    "Case": "assignment_late",
    "ReserveScan": "account_balance",
    "Seal": "verified",
    "Checkpoint": "approval",
    "PackJob": "inventory_2",
    "RedactionRequest": "edit_off",
}
OTHER_ICONS = {"User": "person", "Group": "group", "ApiToken": "key"}


def sidebar(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the groups of the menu with the entries that the user may open."""
    groups: list[dict[str, Any]] = [
        {"items": [{"title": said("Home"), "icon": "home", "link": reverse("admin:index")}]}
    ]
    for title, entries in GROUPS:
        offered = [
            {"title": said(name), "icon": icon, "link": _list_of(model)}
            for model, name, icon in entries
            if admin.site.get_model_admin(model).has_view_permission(request)
        ]
        if offered:
            groups.append({"title": said(title), "separator": True, "items": offered})
    for app in admin.site.get_app_list(request):
        if app["app_label"] != "payments":
            icons = LEDGER_ICONS if app["app_label"] == "ledger" else OTHER_ICONS
            items: list[dict[str, Any]] = [
                {
                    "title": said(str(model["name"])),
                    "icon": icons.get(model["object_name"], "table"),
                    "link": model["admin_url"],
                }
                for model in app["models"]
                if model["admin_url"]
            ]
            if app["app_label"] == "ledger":
                # Not a table: the one page of the books that every reader of them asks for. It lies below accounts.
                link = reverse(reports.INDEX)
                if request.path.startswith(link):
                    items = [item | {"active": False} for item in items]
                items.insert(0, {"title": said("Reports"), "icon": "summarize", "link": link})
            groups.append({"title": said(app["name"]), "separator": True, "items": items})
    return groups


def _list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
