"""The part of a list's page that shows how far its payments have come, and asks again by itself while it is paid."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from govpay.said import said
from payments.admin import cells
from payments.models import Disbursement, Payment
from payments.selectors import paying
from payments.selectors.paying import Paying
from payments.states import DisbursementStatus

TEMPLATE = "payments/admin/paying.html"
PAID = (DisbursementStatus.RELEASED, DisbursementStatus.COMPLETED)


@dataclass(frozen=True)
class Row:
    """A stage as it is shown: its code gives its color; ``share`` is its part of the bar."""

    code: str
    label: str
    count: str
    amount: str
    share: int


@dataclass(frozen=True)
class Shown:
    """What the part shows: ``is_paid`` once there is something to be paid, ``ask_url`` while that goes on."""

    rows: list[Row]
    found: Paying
    is_paid: bool
    ask_url: str
    more_url: str
    at: str

    @property
    def in_words(self) -> str:
        """The bar for those who do not see it."""
        stages = (f"{tally.stage.label}: {tally.count:,}" for tally in self.found.tallies)
        return said(
            "{0} of {1} payments are settled. {2}.",
            f"{self.found.settled:,}",
            f"{self.found.payable:,}",
            "; ".join(stages),
        )


def of_list(disbursement: Disbursement) -> Shown:
    """Count a list's payments as they are shown."""
    found = paying.of_list(disbursement)
    goes_on = disbursement.status == DisbursementStatus.RELEASED
    return Shown(
        rows=[
            Row(
                tally.stage.value,
                str(tally.stage.label),
                cells.number(tally.count),
                cells.money(tally.amount, disbursement.program),
                0 if tally.stage in paying.OUT else tally.count,
            )
            for tally in found.tallies
        ],
        found=found,
        is_paid=disbursement.status in PAID and found.payable > 0,
        ask_url=reverse("admin:payments_disbursement_paying", args=[disbursement.pk]) if goes_on else "",
        more_url=cells.list_of(Payment, disbursement=disbursement.pk),
        at=cells.moment(timezone.now()),
    )


def answer(request: HttpRequest, disbursement: Disbursement) -> HttpResponse:
    """Return the part alone, as it is now."""
    return TemplateResponse(request, TEMPLATE, {"paying": of_list(disbursement)})
