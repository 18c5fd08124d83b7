"""Where a person asks how far their payments are, by their number in the program and their identity number."""

from typing import Any

from django import forms
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from govpay.api import limits
from payments.models import Rail
from payments.onchain import address, network
from payments.person import receipt
from payments.person.door import PersonForm, ProgramField, public
from payments.prices import currency
from payments.selectors import payments
from payments.services import enrolled
from payments.states import EntitlementStatus, LegStatus, PaymentStatus, PayoutStatus

LIMIT = "status"
# The newest ones; whoever asks about older ones asks the help desk.
SHOWN = 24
STATES = {
    "paid": gettext_lazy("Paid, for good"),
    "mined": gettext_lazy("Paid; it is final soon"),
    "sent": gettext_lazy("Sent; a block has it soon"),
    "ordered": gettext_lazy("The bank has been told to pay you"),
    "voucher": gettext_lazy("A voucher is made for you; ask for it at the help desk"),
    "coming": gettext_lazy("It will be sent"),
    "taken": gettext_lazy("A trust takes the bitcoin, and then its bank pays you"),
    "owed": gettext_lazy("The trust has the bitcoin; its bank will be told to pay you"),
    "refused": gettext_lazy("The trust cannot pay you now; say at the help desk what you take instead"),
    "unclaimed": gettext_lazy("It waits until you bring an address"),
    "held": gettext_lazy("It is held; ask at the help desk"),
    "moved": gettext_lazy("It is paid another time"),
    "ended": gettext_lazy("It is not paid; ask at the help desk"),
}


# A trust that took the bitcoin of a payment has paid nobody before its bank has.
OF_TRUSTS = {
    LegStatus.TAKEN.value: "taken",
    LegStatus.OWED.value: "owed",
    LegStatus.INSTRUCTED.value: "ordered",
    LegStatus.PAID.value: "paid",
}


class StatusForm(PersonForm):
    """Who somebody is."""

    program = ProgramField()
    reference = forms.CharField(label=gettext_lazy("Your number in the program"), max_length=40)
    national_id = forms.CharField(
        label=gettext_lazy("Your identity number"),
        max_length=40,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=gettext_lazy("It is not stored."),
    )


@public
def status(request: HttpRequest) -> HttpResponse:
    """Ask who somebody is, and show what is paid to them; whatever does not fit together is answered alike (A37)."""
    form = StatusForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return _ask(request, form, 422 if request.method == "POST" else 200)
    if not may_ask(form):
        return _ask(request, form, 429, too_often())
    person = enrolled.prove(**form.cleaned_data)
    if person is None:
        return _ask(request, form, 404, misfit())
    rows = payments.shown(enrolled.released_to(person)).order_by("-pk")
    rows = rows.annotate(period=F("cycle__period"), released_at=F("disbursement__released_at"))
    rows = rows.annotate(entitled=F("entitlement__status"), leg=F("trust_leg__status"))
    rows = rows.annotate(
        instead=F("trust_leg__instead"),
        leg_minor=F("trust_leg__value_minor"),
        leg_currency=F("trust_leg__purse__currency"),
    )
    context = {"person": person, "rows": [_row(row) for row in rows[:SHOWN]], "most": SHOWN}
    return render(request, "payments/person/status_shown.html", context)


def may_ask(form: StatusForm) -> bool:
    """Count what is asked about one number of a program, whoever asks, and say whether it may be."""
    said = form.cleaned_data
    taken = limits.take(LIMIT, f"{said['program'].pk}:{said['reference'].strip()}")
    return taken is None or taken.may


def too_often() -> str:
    """Return what is said to whoever asks too often."""
    return _("This was asked too often. Come again in a minute.")


def misfit() -> str:
    """Return what is said of numbers that do not fit together."""
    return _("The numbers do not fit together. Ask at the help desk.")


def _ask(request: HttpRequest, form: StatusForm, code: int, problem: str = "") -> HttpResponse:
    return render(request, "payments/person/status.html", {"form": form, "problem": problem}, status=code)


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a payment as its person reads it."""
    state = _state(row)
    # Where a trust gives currency for it, the address is the trust's.
    script = None if row["leg"] else row["script_pubkey"]
    is_settled = state == "paid" or (row["leg"] in OF_TRUSTS and row["payout_status"] == PayoutStatus.SETTLED)
    return row | {
        "state": state,
        "word": STATES[state],
        "money": None
        if row["amount_minor"] is None
        else currency.in_words(row["amount_minor"], row["currency"]),
        "address": script and address.address_from_script(bytes(script), network.current()),
        "from_trust": currency.in_words(row["leg_minor"], row["leg_currency"])
        if row["leg"] in OF_TRUSTS
        else None,
        "receipt": receipt.address_of(row["id"]) if is_settled else None,
    }


def _state(row: dict[str, Any]) -> str:
    if row["status"] == PaymentStatus.HELD:
        if row["leg"] == LegStatus.REFUSED:
            return "refused"
        if row["entitled"] == EntitlementStatus.CLAIMED:
            return "coming"
        return "unclaimed" if row["rail"] == Rail.BITCOIN and not row["script_pubkey"] else "held"
    if row["status"] != PaymentStatus.PENDING:
        is_listed_anew = (
            row["reissued_by_id"] or row["instead"] or row["entitled"] == EntitlementStatus.LISTED
        )
        return "moved" if is_listed_anew else "ended"
    if row["leg"] in OF_TRUSTS:
        return OF_TRUSTS[row["leg"]]
    if row["settled_at"] or row["payout_status"] == PayoutStatus.SETTLED:
        return "paid"
    if row["payout_status"] in (PayoutStatus.MINED, PayoutStatus.SENT):
        return str(row["payout_status"])
    if row["sent_at"]:
        return "voucher" if row["rail"] == Rail.VOUCHER else "ordered"
    return "coming"
