"""The pages on which a treasurer asks the engine for something, with its figures."""

from fractions import Fraction
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from govpay.errors import GovPayError
from govpay.said import said
from payments.admin import cells, figures, forms, pages, scope
from payments.admin.tables import Notice
from payments.models import InterventionKind, Payout, Role, Signer, Wallet
from payments.payout import feerate, intervene
from payments.selectors import disbursements as selector
from payments.selectors.projections import in_decimals
from payments.services import interventions, reissues
from payments.states import InterventionStatus, PayoutStatus

K = InterventionKind
TITLES = {
    K.BUMP: "Bump the fee",
    K.CHILD: "Pay by a child",
    K.VOID: "Give up",
    K.THAW: "Let it go on",
}
HELP = {
    K.BUMP: "The same people are paid by a tx that pays the network more. The earlier one may still be the one that"
    " confirms; nobody is ever paid twice.",
    K.CHILD: "A tx that spends the payout's change with a high fee, so that miners take both. Use it where a bump is"
    " refused.",
    K.VOID: "A tx takes the payout's coin back. What pays may still confirm first: only when this one lies 100 blocks"
    " deep are its payments void, and can be reissued.",
    K.THAW: "The same sealed tx goes on: back to its signer if it was never signed, else its bytes go out again.",
}


def of_payout(request: HttpRequest, payout: Payout) -> list[str]:
    """Return the names of the buttons on a payout's page."""
    found = []
    program_id = payout.wallet.program_id
    is_open = payout.interventions.filter(status__in=intervene.OPEN).exists()
    if scope.holds(request, program_id, Role.TREASURER) and not is_open:
        found = [kind.value for kind in TITLES if payout.status in intervene.POSSIBLE[kind]]
    if reissues.has_candidates(payout) and scope.holds(request, program_id, Role.OFFICER):
        found.append("reissue")
    return found


def open_notices(payout: Payout) -> list[Notice]:
    """Say which request is decided or done before another is taken."""
    row = payout.interventions.filter(status__in=intervene.OPEN).first()
    if row is None:
        return []
    state = "is to be decided" if row.status == InterventionStatus.PROPOSED else "is being done"
    return [
        Notice(
            said("Intervention {0} {1} first.", row.pk, state),
            cells.BUSY,
            said("{0} asked for", row.get_kind_display()),
        )
    ]


def reissue_notices(payout: Payout) -> list[Notice]:
    """Say which lists pay its people instead."""
    if payout.status != PayoutStatus.VOIDED:
        return []
    found = selector.standing_in(payout.pk)
    text = ", ".join(f"list {number} ({count:,} payments)" for number, count in found)
    return [Notice(said("In its place stands {0}.", text), cells.INFO, "Reissued")] if found else []


def _is_pending(payout: Payout, kind: str) -> bool:
    """Say whether a bump would replace a version that signers elsewhere have."""
    is_elsewhere = payout.wallet.signer == Signer.PSBT
    return kind == K.BUMP and is_elsewhere and payout.txs.filter(pk=payout.current_id or 0, raw=None).exists()


def ask(model_admin: Any, request: HttpRequest, payout: Payout, kind: str) -> HttpResponse:
    """Ask first for the rate where one is needed, then show the figures with the button that proposes them."""
    given = request.GET.get("rate", "")
    is_open = payout.interventions.filter(status__in=intervene.OPEN).exists()
    if request.method == "GET" and is_open:
        # The payout's page says what is decided first.
        return HttpResponseRedirect(cells.page_of(payout))
    if kind in (K.BUMP, K.CHILD) and not given:
        return _ask_rate(model_admin, request, payout, kind)
    try:
        rate = feerate.parse_sat_vb(given) if given else None
        shown = _look(request, payout, kind, rate, over_pending="over_pending" in request.GET)
    except GovPayError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(cells.page_of(payout))
    return _confirm(model_admin, request, payout, kind, shown)


def _ask_rate(model_admin: Any, request: HttpRequest, payout: Payout, kind: str) -> HttpResponse:
    program = payout.wallet.program

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        # What would be refused is refused here, beside the field.
        over_pending = bool(cleaned.get("over_pending"))
        rate = feerate.parse_sat_vb(cleaned["feerate_sat_vb"])
        _look(request, payout, kind, rate, over_pending=over_pending)
        query = {"rate": cleaned["feerate_sat_vb"]} | ({"over_pending": "1"} if over_pending else {})
        return HttpResponseRedirect(f"{request.path}?{urlencode(query)}")

    current = payout.current
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("{0}: payout {1}", TITLES[K(kind)], payout.pk),
            form_class=forms.OverPendingForm if _is_pending(payout, kind) else forms.FeerateForm,
            call=call,
            submit="Show what it costs",
            back=cells.page_of(payout),
            facts=[
                ("Status", cells.status_of(payout)),
                ("Fee now", cells.sat(current.fee_sat if current else None)),
                ("Fee rate now", cells.feerate(current.feerate_sat_kvb) if current else cells.EMPTY),
                (
                    "The program allows",
                    cells.join(
                        cells.feerate(program.feerate_floor_sat_kvb),
                        said("to"),
                        cells.feerate(program.feerate_ceiling_sat_kvb),
                    ),
                ),
            ],
            help_text=HELP[K(kind)],
        ),
    )


def _look(
    request: HttpRequest, payout: Payout, kind: str, rate: int | None, *, over_pending: bool
) -> dict[str, Any]:
    by: Any = request.user
    return interventions.preview(
        by=by, payout_id=payout.pk, kind=kind, feerate_sat_kvb=rate, over_pending=over_pending
    )


def _confirm(
    model_admin: Any, request: HttpRequest, payout: Payout, kind: str, shown: dict[str, Any]
) -> HttpResponse:
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse | pages.Refusal:
        seen_sat = cleaned["seen_fee_sat"]
        if seen_sat is not None and shown.get("new_fee_sat", 0) > seen_sat:
            return pages.Refusal(
                f"It would cost {shown['new_fee_sat']:,} sat now, not {seen_sat:,}; look at the figures again.",
                http_status=409,
            )
        made = interventions.propose(by=by, payout_id=payout.pk, kind=kind, note=cleaned["note"], shown=shown)
        done = "somebody else decides next" if made.needs_second else "the engine does it now"
        messages.success(
            request, said("Intervention {0} is {1}; {2}.", made.pk, made.get_status_display().lower(), done)
        )
        return HttpResponseRedirect(cells.page_of(payout))

    second = "Somebody else must agree." if shown["needs_second"] else "It needs nobody else."
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("{0}: payout {1}", TITLES[K(kind)], payout.pk),
            form_class=forms.AskForm,
            call=call,
            submit="Propose it" if shown["needs_second"] else "Do it",
            back=cells.page_of(payout),
            is_dangerous=kind == K.VOID,
            initial={"seen_fee_sat": shown.get("new_fee_sat")},
            facts=[("Status", cells.status_of(payout)), *figures.facts(shown), *_share(payout, shown)],
            help_text=f"{HELP[K(kind)]} {second}",
        ),
    )


def _share(payout: Payout, shown: dict[str, Any]) -> list[tuple[str, Any]]:
    """Say how the fee compares with what is paid, before and after."""
    if not payout.payments_sat or "new_fee_sat" not in shown:
        return []
    parts = [
        f"{in_decimals(Fraction(fee_sat * 100, payout.payments_sat), 3)} %"
        for fee_sat in (shown.get("old_fee_sat"), shown["new_fee_sat"])
        if fee_sat is not None
    ]
    return [("Fee of the value paid", " → ".join(parts))]


def lift(model_admin: Any, request: HttpRequest, wallet: Wallet) -> HttpResponse:
    """Ask for a wallet's halt to be lifted, unless its cause stands."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        shown = interventions.look_at_halt(by=by, program_id=wallet.program_id)
        made = interventions.propose_unhalt(
            by=by, program_id=wallet.program_id, note=cleaned["note"], shown=shown
        )
        messages.success(request, f"Intervention {made.pk} is proposed; somebody else decides next.")
        return HttpResponseRedirect(cells.page_of(wallet))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Lift the halt of {0}", wallet.name),
            form_class=forms.ReasonForm,
            call=call,
            submit="Propose it",
            back=cells.page_of(wallet),
            is_dangerous=True,
            facts=[
                ("Halted since", cells.moment(wallet.halted_at)),
                ("Halted for", wallet.halt_code),
                ("Reason", cells.long(wallet.halt_reason)),
            ],
            help_text="Somebody else must agree. It is refused while the cause stands.",
        ),
    )


def reissue(model_admin: Any, request: HttpRequest, payout: Payout) -> HttpResponse:
    """Make a draft of a voided payout's payments."""
    by: Any = request.user

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = reissues.of_payout(by=by, payout_id=payout.pk)
        messages.success(request, f"List {made.pk} is a draft; submit it when it is right.")
        return HttpResponseRedirect(cells.page_of(made))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Reissue the payments of payout {payout.pk}",
            form_class=forms.AgreeForm,
            call=call,
            submit=f"Make a list of {payout.payment_count:,} payments",
            back=cells.page_of(payout),
            facts=[
                ("Status", cells.status_of(payout)),
                ("Payments", cells.number(payout.payment_count)),
                ("Amount", cells.sat(payout.payments_sat)),
                ("List", cells.link(payout.disbursement, f"List {payout.disbursement_id}")),
            ],
            help_text="The same people and amounts in the same cycle, at the addresses of the day the list is submitted."
            " It goes through three people like any list.",
        ),
    )
