"""The pages on which a treasurer asks the engine for something, with its figures, and a second person decides."""

from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from govpay.errors import GovPayError
from payments.admin import cells, forms, pages, scope
from payments.admin.tables import Notice, Table
from payments.models import Intervention, InterventionKind, Payout, Role, Signer, Wallet
from payments.payout import feerate, intervene
from payments.selectors import disbursements as selector
from payments.services import interventions, reissues
from payments.states import InterventionStatus, PayoutStatus

K = InterventionKind
DECIDERS = (Role.TREASURER, Role.APPROVER)
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
        Notice(f"Intervention {row.pk} {state} first.", cells.BUSY, f"{row.get_kind_display()} asked for")
    ]


def reissue_notices(payout: Payout) -> list[Notice]:
    """Say which lists pay its people instead."""
    if payout.status != PayoutStatus.VOIDED:
        return []
    found = selector.standing_in(payout.pk)
    text = ", ".join(f"list {number} ({count:,} payments)" for number, count in found)
    return [Notice(f"In its place stands {text}.", cells.INFO, "Reissued")] if found else []


def of_intervention(request: HttpRequest, row: Intervention) -> list[str]:
    """Return the names of the buttons on an intervention's page."""
    if row.status != InterventionStatus.PROPOSED or not scope.holds(
        request, row.wallet.program_id, *DECIDERS
    ):
        return []
    return ["withdraw"] if row.proposed_by_id == request.user.pk else ["approve", "reject"]


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
            title=f"{TITLES[K(kind)]}: payout {payout.pk}",
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
                        "to",
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
        messages.success(request, f"Intervention {made.pk} is {made.get_status_display().lower()}; {done}.")
        return HttpResponseRedirect(cells.page_of(payout))

    second = "Somebody else must agree." if shown["needs_second"] else "It needs nobody else."
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"{TITLES[K(kind)]}: payout {payout.pk}",
            form_class=forms.AskForm,
            call=call,
            submit="Propose it" if shown["needs_second"] else "Do it",
            back=cells.page_of(payout),
            is_dangerous=kind == K.VOID,
            initial={"seen_fee_sat": shown.get("new_fee_sat")},
            facts=[("Status", cells.status_of(payout)), *figures(shown)],
            help_text=f"{HELP[K(kind)]} {second}",
        ),
    )


def figures(shown: dict[str, Any]) -> list[tuple[str, Any]]:
    """Write the figures that a proposer saw, for those who decide."""
    found: list[tuple[str, Any]] = []
    if "new_fee_sat" in shown:
        added = shown.get("added_inputs", [])
        found = [
            ("Fee", _change(cells.sat, shown, "fee_sat")),
            ("Added fee", cells.sat(shown.get("fee_added_sat"))),
            ("Size (vB)", _change(cells.number, shown, "vsize_vb")),
            ("Fee rate", _change(cells.feerate, shown, "feerate_sat_kvb")),
            ("Change", _change(cells.sat, shown, "change_sat")),
            (
                "Added coins",
                cells.join(*(cells.outpoint(c["txid"], c["vout"]) for c in added)) or "none",
            ),
        ]
    if "status_after" in shown:
        found = [("Why it is frozen", shown["problem"]), ("Goes on as", cells.label(shown["status_after"]))]
    if "halt_code" in shown:
        found = [("Halted for", shown["halt_code"]), ("Reason", shown["halt_reason"])]
    return found


def comparison(shown: dict[str, Any]) -> Table:
    """Lay the figures out for whoever decides: before and after, where there is a fee."""
    title = "What was looked at"
    if "new_fee_sat" not in shown:
        return Table(title, ("Fact", "Value"), list(figures(shown)), "There are no figures.")
    added = shown.get("added_inputs", [])
    rows: list[tuple[Any, ...]] = [
        (name, _or_empty(write, shown.get(f"old_{key}")), _or_empty(write, shown.get(f"new_{key}")))
        for name, write, key in (
            ("Fee", cells.sat, "fee_sat"),
            ("Size (vB)", cells.number, "vsize_vb"),
            ("Fee rate", cells.feerate, "feerate_sat_kvb"),
            ("Change", cells.sat, "change_sat"),
        )
    ]
    rows.append(("Added fee", cells.EMPTY, cells.sat(shown.get("fee_added_sat"))))
    rows.append(("Added coins", cells.EMPTY, cells.number(len(added)) if added else "none"))
    return Table(title, ("Figure", "Before", "After"), rows)


def _or_empty(write: Any, value: int | None) -> str:
    return cells.EMPTY if value is None else write(value)


def _change(write: Any, shown: dict[str, Any], name: str) -> str:
    old, new = shown.get(f"old_{name}"), shown.get(f"new_{name}")
    return cells.join(*(write(value) for value in (old,) if value is not None), "→", write(new))


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
        messages.success(request, f"Intervention {row.pk} is {made.get_status_display().lower()}.")
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"{verb.capitalize()} intervention {row.pk}",
            form_class=forms.ConsentForm if is_approval else forms.ReasonForm,
            call=call,
            submit=f"{verb.capitalize()} it",
            back=cells.page_of(row),
            is_dangerous=is_approval and row.kind == K.VOID,
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
        *figures(row.preview),
    ]


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
            title=f"Lift the halt of {wallet.name}",
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


def notices(request: HttpRequest, row: Intervention) -> list[Notice]:
    """Say whose turn it is, and why it failed."""
    if row.status == InterventionStatus.FAILED:
        return [Notice(row.failure, cells.BAD, "Nothing was changed")]
    if row.status == InterventionStatus.APPROVED:
        text = f"It waits: {row.failure}" if row.failure else "The engine does it within seconds."
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
