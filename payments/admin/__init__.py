"""The admin of payments, by noun: the same services as the API, behind buttons."""

from django.contrib import admin

from payments.admin import (
    alarm,
    approval,
    approval_policy,
    beneficiary,
    budget,
    chain,
    cycle,
    destination,
    disbursement,
    enrollment,
    history,
    import_job,
    intake,
    intervention,
    membership,
    payment,
    payout,
    payout_tx,
    program,
    proposal,
    reservation,
    signing,
    stop,
    wallet,
)

admin.site.index_title = "Home"
admin.site.index_template = "payments/admin/index.html"

__all__ = [
    "alarm",
    "approval",
    "approval_policy",
    "beneficiary",
    "budget",
    "chain",
    "cycle",
    "destination",
    "disbursement",
    "enrollment",
    "history",
    "import_job",
    "intake",
    "intervention",
    "membership",
    "payment",
    "payout",
    "payout_tx",
    "program",
    "proposal",
    "reservation",
    "signing",
    "stop",
    "wallet",
]
