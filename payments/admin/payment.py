"""Payments in the admin: find one by reference, txid or address; hold, resume, withdraw it."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from ledger.packs import receipts
from payments.admin import books, cells, choice, forms, hold, pages, scope, verbs
from payments.admin.base import ProgramScopedAdmin, is_hash, script_of
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Notice, Table, history
from payments.models import Block, Enrollment, Payment, PayoutTx, Rail, Role
from payments.payout import agreed
from payments.prices import currency as currencies
from payments.services import holds
from payments.states import PaymentStatus, PayoutStatus


class ChainFilter(DropdownFilter):
    """What the chain says: the status of the payment's payout."""

    title = "status on chain"
    parameter_name = "chain"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the payout's statuses and the lack of one."""
        return [("none", "In no payout"), *PayoutStatus.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the payments of payouts in that status."""
        value = self.value()
        if not value:
            return queryset
        return (
            queryset.filter(payout__isnull=True) if value == "none" else queryset.filter(payout__status=value)
        )


@admin.register(Payment)
class PaymentAdmin(ProgramScopedAdmin):
    """The lines of the lists."""

    noun = "Payment"
    also = (Role.HELPDESK,)
    program_path = "disbursement__program"
    list_display = ("number", "reference", "program", "list_link", "entitled", "state", "on_chain", "paid_to")
    list_filter = (
        ProgramFilter,
        ("status", ChoicesDropdownFilter),
        ChainFilter,
        by_number("disbursement", "disbursement"),
        by_number("payout", "payout"),
    )
    search_fields = ("pk",)
    search_help_text = "Search by reference, txid, exact address, or payment number"
    actions_detail = ("hold", "instead", "resume", "withdraw", "receipt")
    when_empty = "No payment yet: payments are the lines of a list."
    fieldsets = (
        (None, {"fields": ("state", "on_chain", "entitled", "reference", "person")}),
        ("List", {"fields": ("program", "list_link", "cycle_name", "line", "paid_by")}),
        ("Chain", {"fields": ("paid_to_whole", "payout_link", "outpoint", "confirmations", "reissue")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        """Return the payments of the user's programs with what their rows show, without personal data."""
        reference = Enrollment.objects.filter(
            program=OuterRef("disbursement__program"), beneficiary=OuterRef("beneficiary")
        ).values("reference")
        rows: QuerySet[Payment] = super().get_queryset(request)
        return (
            rows.select_related(
                "disbursement__program",
                "disbursement__cycle",
                "disbursement__quote",
                "payout__current",
                "beneficiary",
            )
            .defer("beneficiary__personal", "payout__current__unsigned_tx", "payout__current__raw")
            .annotate(found_reference=Subquery(reference[:1]))
        )

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by txid, address, reference or number."""
        if is_hash(term):
            return Q(payout__in=PayoutTx.objects.filter(txid=term.lower()).values("payout"))
        script = script_of(term)
        if script is not None:
            return Q(script_pubkey=script)
        people = scope.limit(request, Enrollment.objects.filter(reference=term), "program", *self.also)
        return Q(beneficiary__in=people.values("beneficiary")) | super().find(request, term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer what the line's status and the user's role allow."""
        row = self.get_object(request, str(object_id))
        names = [] if row is None else verbs.of_payment(request, row, _held_by(row))
        if row is not None and choice.is_asked(row):
            # Nobody may judge what holds it.
            names = [name for name in names if name != "resume"]
        if (
            row is not None
            and scope.holds(request, row.disbursement.program_id, Role.OFFICER)
            and choice.is_asked(row)
        ):
            names = ["instead", *names]
        is_final = row is not None and row.payout is not None and row.payout.status == PayoutStatus.SETTLED
        if is_final or (row is not None and row.settled_at is not None):
            names = [*names, "receipt"]
        return [self.get_unfold_action(name) for name in self.actions_detail if name in names]

    @action(description="Hold", url_path="hold", icon="pause", variant=ActionVariant.WARNING)
    def hold(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Stop the line."""
        text = "The rest of the list is paid; this line waits until a second person lets it go on."
        return self._ask(request, object_id, holds.hold, "Hold", "is held", text)

    @action(description="Takes instead", url_path="instead", icon="alt_route", variant=ActionVariant.PRIMARY)
    def instead(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Write down what the person takes where no trust took the bitcoin."""
        return choice.take(self, request, self.get_row(request, object_id))

    @action(description="Resume", url_path="resume", icon="play_arrow", variant=ActionVariant.PRIMARY)
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let the line go on."""
        text = "Somebody else than the person who held it decides."
        return self._ask(request, object_id, holds.resume, "Resume", "goes on", text)

    @action(description="Withdraw", url_path="withdraw", icon="block", variant=ActionVariant.DANGER)
    def withdraw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take the line out for good."""
        text = "The person is not paid by this list; what was set aside for the line is free again."
        return self._ask(request, object_id, holds.withdraw, "Withdraw", "is withdrawn", text)

    @action(description="Receipt", url_path="receipt", icon="receipt_long")
    def receipt(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hand out the proof of a settled payment, which shows nothing of anybody else's."""
        row = self.get_row(request, object_id)
        try:
            made = receipts.make(row.pk)
        except GovPayError as error:
            messages.warning(request, error.message)
            return HttpResponseRedirect(cells.page_of(row))
        response = HttpResponse(made, content_type="application/octet-stream")
        response["Content-Disposition"] = f'attachment; filename="receipt-{row.pk}.json"'
        return response

    def _ask(
        self,
        request: HttpRequest,
        object_id: str,
        service: Callable[..., Payment],
        verb: str,
        done: str,
        help_text: str,
    ) -> HttpResponse:
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            service(by=request.user, payment_id=row.pk, note=cleaned["note"])
            messages.success(request, said("Payment {0} {1}.", row.pk, done))
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=said("{0} payment {1}", verb, row.pk),
                form_class=forms.NoteForm,
                call=call,
                submit=said("{0} the payment", verb),
                back=cells.page_of(row),
                is_dangerous=verb == "Withdraw",
                facts=[
                    ("Reference", row.found_reference or cells.EMPTY),
                    ("List", said("List {0}, {1}", row.disbursement_id, row.disbursement.cycle)),
                    ("Amount", cells.money(row.amount, row.disbursement.program)),
                    ("Status", cells.status_of(row)),
                ],
                help_text=help_text,
            ),
        )

    def notices(self, request: HttpRequest, obj: Payment) -> list[Notice]:
        """Say why its payout waits, and what its person is asked, or chose, where no trust took it."""
        if obj.payout is not None and obj.payout.problem:
            return [Notice(obj.payout.problem, cells.BAD, f"Payout {obj.payout_id} waits or is frozen")]
        return choice.notices(obj)

    def tables(self, request: HttpRequest, obj: Payment) -> list[Table]:
        """Show what is booked for the line, its history, and its payout's."""
        found = [hold.table(obj), *books.of_payment(request, obj.pk), history("payment", obj.pk)]
        if obj.payout_id is not None:
            found.append(history("payout", obj.payout_id, f"History of payout {obj.payout_id}"))
        return found

    @display(description="payment")
    def number(self, payment: Payment) -> str:
        """The payment's number."""
        return f"Payment {payment.pk}"

    @display(description="reference")
    def reference(self, payment: Any) -> str:
        """The person's reference in the program."""
        return cells.long(payment.found_reference or "")

    @display(description="person")
    def person(self, payment: Payment) -> str:
        """The way to the person's page."""
        return cells.link(payment.beneficiary, f"Person {payment.beneficiary_id}")

    @display(description="program")
    def program(self, payment: Payment) -> str:
        """The program."""
        return str(payment.disbursement.program)

    @display(description="list")
    def list_link(self, payment: Payment) -> str:
        """The list."""
        return cells.link(payment.disbursement, f"List {payment.disbursement_id}")

    @display(description="cycle")
    def cycle_name(self, payment: Payment) -> str:
        """Period and purpose."""
        return cells.long(str(payment.disbursement.cycle))

    @display(description="amount")
    def entitled(self, payment: Payment) -> str:
        """What the person gets, and of money what it was converted to."""
        own = cells.money(payment.amount, payment.disbursement.program)
        found = agreed.converted(payment, payment.disbursement.quote)
        if found is None:
            return own
        rest = currencies.in_words(found.remainder_minor, payment.disbursement.program.currency)
        return cells.join(own, cells.sat(found.amount_sat), cells.figure(f"remainder {rest}"))

    @display(description="status")
    def state(self, payment: Payment) -> str:
        """The line's own status; of other rails than bitcoin also whether it is sent or has arrived."""
        if payment.settled_at is not None:
            return cells.label("settled")
        is_sent = payment.sent_at is not None and payment.status == PaymentStatus.PENDING
        return cells.label("sent") if is_sent else cells.status_of(payment)

    @display(description="way of payment")
    def paid_by(self, payment: Payment) -> str:
        """On which rail."""
        return said(Rail(payment.rail).label)

    @display(description="on chain")
    def on_chain(self, payment: Payment) -> str:
        """Its payout's status, which is what the chain says."""
        return cells.EMPTY if payment.payout is None else cells.status_of(payment.payout)

    @display(description="paid to")
    def paid_to(self, payment: Payment) -> str:
        """The address of the list, shortened."""
        return cells.address_short(payment.script_pubkey)

    @display(description="paid to")
    def paid_to_whole(self, payment: Payment) -> str:
        """The address that was copied into the list."""
        return cells.address(payment.script_pubkey)

    @display(description="payout")
    def payout_link(self, payment: Payment) -> str:
        """The payout."""
        return cells.link(payment.payout, f"Payout {payment.payout_id}")

    @display(description="outpoint")
    def outpoint(self, payment: Payment) -> str:
        """The output that pays the person."""
        if payment.payout is None or _is_given_up(payment):
            return cells.EMPTY
        txid = payment.payout.mined_txid or (payment.payout.current.txid if payment.payout.current else "")
        return cells.whole(f"{txid}:{payment.vout}")

    @display(description="reissue")
    def reissue(self, payment: Payment) -> str:
        """The voided payment that it stands in for, and the one that stands in for it."""
        after = payment.reissues.exclude(status=PaymentStatus.CANCELLED).first()
        before = payment.reissue_of_id
        stands_in = cells.link(payment.reissue_of, f"stands in for payment {before}") if before else ""
        return (
            cells.join(stands_in, cells.link(after, f"reissued as payment {after.pk}") if after else "")
            or cells.EMPTY
        )

    @display(description="confirmations")
    def confirmations(self, payment: Payment) -> str:
        """How deep it is, by the blocks that were read."""
        if payment.payout is None or _is_given_up(payment):
            return cells.number(0)
        return cells.number(depth(payment.payout.mined_height))


def depth(mined_height: int | None) -> int | None:
    """Return the confirmations at a height by the stored blocks, 0 for a tx that no block holds."""
    if mined_height is None:
        return 0
    tip = Block.objects.filter(is_active=True).order_by("-height").values_list("height", flat=True).first()
    return None if tip is None else tip - mined_height + 1


def _is_given_up(payment: Payment) -> bool:
    """Tell whether the payout pays nobody any more: the output of that number is another one in a void."""
    given_up = (PayoutStatus.VOIDING, PayoutStatus.VOIDED)
    return payment.payout is not None and payment.payout.status in given_up


def _held_by(payment: Payment) -> int | None:
    """Return who held the line last."""
    if payment.status != PaymentStatus.HELD:
        return None
    held = payment.holds.filter(ended_at=None, placed_by__isnull=False)
    return held.values_list("placed_by_id", flat=True).first()
