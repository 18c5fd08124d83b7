"""The pages on which a second person agrees to an intervention or refuses it, or its proposer withdraws it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from govpay.said import said
from payments.admin import cells, figures, forms, pages, scope
from payments.admin.tables import Notice
from payments.models import Intervention, InterventionKind, Role
from payments.services import interventions
from payments.states import InterventionStatus

DECIDERS = (Role.TREASURER, Role.APPROVER)


def of_intervention(request: HttpRequest, row: Intervention) -> list[str]:
    """Return the names of the buttons on an intervention's page."""
    if row.status != InterventionStatus.PROPOSED or not scope.holds(
        request, row.wallet.program_id, *DECIDERS
    ):
        return []
    return ["withdraw"] if row.proposed_by_id == request.user.pk else ["approve", "reject"]


def notices(request: HttpRequest, row: Intervention) -> list[Notice]:
    """Say whose turn it is, and why it failed."""
    if row.status == InterventionStatus.FAILED:
        return [Notice(row.failure, cells.BAD, "Nothing was changed")]
    if row.status == InterventionStatus.APPROVED:
        text = said("It waits: {0}", row.failure) if row.failure else "The engine does it within seconds."
        return [Notice(text, cells.BUSY, "Agreed to")]
    if row.status != InterventionStatus.PROPOSED:
        return []
    if row.proposed_by_id == request.user.pk:
        text = "You proposed it, so that somebody else decides: a treasurer or an approver of the program."
        return [Notice(text, cells.BUSY, "Waits for a second person")]
    if scope.holds(request, row.wallet.program_id, *DECIDERS):
        return [Notice("Compare the figures, then approve or reject it.", cells.INFO, "Waits for you")]
    return [
        Notice("A treasurer or an approver of the program decides.", cells.BUSY, "Waits for a second person")
    ]


def decide(model_admin: Any, request: HttpRequest, row: Intervention, verb: str) -> HttpResponse:
    """Approve or reject what somebody else proposed, or withdraw what one proposed oneself."""
    by: Any = request.user
    is_approval = verb == "approve"
    if request.method == "GET" and verb not in of_intervention(request, row):
        # The intervention's page says whose turn it is.
        return HttpResponseRedirect(cells.page_of(row))
    service = getattr(interventions, verb)

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = service(by=by, intervention_id=row.pk, note=cleaned["note"])
        messages.success(request, said("Intervention {0} is {1}.", row.pk, made.get_status_display().lower()))
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("{0} intervention {1}", verb.capitalize(), row.pk),
            form_class=forms.ConsentForm if is_approval else forms.ReasonForm,
            call=call,
            submit=f"{verb.capitalize()} it",
            back=cells.page_of(row),
            is_dangerous=is_approval and row.kind == InterventionKind.VOID,
            facts=facts(row),
            help_text="The engine builds nothing dearer than these figures." if is_approval else "",
        ),
    )


def facts(row: Intervention) -> list[tuple[str, Any]]:
    """Write what an intervention is about."""
    subject = cells.link(row.payout, f"Payout {row.payout_id}") if row.payout else cells.link(row.wallet)
    return [
        ("Asked for", row.get_kind_display()),
        ("About", subject),
        ("Reason", cells.long(row.note)),
        ("Proposed by", cells.join(cells.person(row.proposed_by), cells.moment(row.proposed_at))),
        *figures.facts(row.preview),
    ]
