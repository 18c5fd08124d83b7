"""Proofs of reserves in the admin: asked with a message, downloaded to be signed, and answered."""

import json
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin import institution_forms as forms
from payments.admin.prices import OfPrices
from payments.models import ReserveProof
from payments.selectors import treasury as selector
from payments.services import prices, reserve_proofs

TONES = {"asked": cells.BUSY, "proved": cells.GOOD}


@admin.register(ReserveProof)
class ReserveProofAdmin(OfPrices):
    """What was asked to be signed, and whether it was."""

    noun = "Proof of reserves"
    list_display = ("number", "scope", "amount", "count", "state_label", "height", "asker", "asked")
    when_empty = "Nobody has asked for a proof. Auditors, treasurers and security administrators do."
    actions_list = ("ask",)
    actions_detail = ("answer", "download")
    fieldsets = (
        (None, {"fields": ("scope", "words", "amount", "count", "height", "block_hash")}),
        ("Answer", {"fields": ("state_label", "asker", "asked", "answerer", "proved", "proved_block")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[ReserveProof]:
        """Return all of them with their people."""
        visible = super().get_queryset(request).values("pk")
        return selector.proofs().filter(pk__in=visible)

    def get_actions_list(self, request: HttpRequest) -> list[Any]:
        """Offer to ask to those who may."""
        held = {role for roles in scope.roles(request).values() for role in roles}
        return [self.get_unfold_action("ask")] if held & set(reserve_proofs.ASKERS) else []

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the file to all who read it, and the answer to another treasurer than who asked."""
        row, user = self.get_object(request, str(object_id)), _user(request)
        if row is None:
            return []
        may_answer = row.state == "asked" and prices.may_keep(user) and row.asked_by_id != user.pk
        return [self.get_unfold_action(name) for name in (["answer"] if may_answer else []) + ["download"]]

    @action(description="Ask for a proof", url_path="ask", icon="add", variant=ActionVariant.PRIMARY)
    def ask(self, request: HttpRequest) -> HttpResponse:
        """Ask an institution to prove that it can spend what the newest scan found."""

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            made = reserve_proofs.ask(by=_user(request), **cleaned)
            messages.success(request, "A treasurer answers it.")
            return HttpResponseRedirect(cells.page_of(made))

        page = pages.Page(
            title="Ask for a proof of reserves",
            form_class=forms.AskForm,
            call=call,
            submit="Ask",
            back=cells.list_of(ReserveProof),
            help_text="All outputs of the newest scan are to be signed, in a tx that the network never takes (BIP-127).",
        )
        return pages.answer(self, request, page)

    @action(description="Download", url_path="download", icon="download")
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Hand out the file that is signed, and that verify_reserves checks."""
        row = self.get_row(request, object_id)
        found = reserve_proofs.document(row) | {"psbt": reserve_proofs.to_psbt(row)}
        response = HttpResponse(json.dumps(found, indent=1), content_type="application/json")
        response["Content-Disposition"] = f'attachment; filename="proof-of-reserves-{row.pk}.json"'
        response["Cache-Control"] = "no-store"
        return response

    @action(description="Answer", url_path="answer", icon="draw", variant=ActionVariant.PRIMARY)
    def answer(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Bring the signatures; they are checked against the node before anything is kept."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            known = {"by": _user(request), "proof_id": row.pk, "signed": cleaned["signed"]}
            proved = reserve_proofs.verify(**known)
            reserve_proofs.answer(**known, proved=proved)
            messages.success(request, f"{proved.amount_sat:,} sat are proved.")
            return HttpResponseRedirect(cells.page_of(row))

        page = pages.Page(
            title=said("Answer {0}", row),
            form_class=forms.AnswerForm,
            call=call,
            submit="Check and keep",
            back=cells.page_of(row),
            facts=[("Message", cells.long(row.message)), ("Together", cells.sat(row.amount_sat))],
        )
        return pages.answer(self, request, page)

    @display(description="proof")
    def number(self, row: ReserveProof) -> str:
        """Its number."""
        return f"Proof {row.pk}"

    @display(description="message")
    def words(self, row: ReserveProof) -> str:
        """What it commits to."""
        return cells.long(row.message)

    @display(description="together")
    def amount(self, row: ReserveProof) -> str:
        """What is proved."""
        return cells.sat(row.amount_sat)

    @display(description="outputs")
    def count(self, row: ReserveProof) -> str:
        """How many."""
        return cells.number(row.output_count)

    @display(description="at block")
    def height(self, row: ReserveProof) -> str:
        """Of which scan."""
        return cells.number(row.scan.height)

    @display(description="block hash")
    def block_hash(self, row: ReserveProof) -> str:
        """Of which scan."""
        return cells.whole(row.scan.block_hash)

    @display(description="state")
    def state_label(self, row: ReserveProof) -> str:
        """Whether it was given."""
        return cells.label("", row.state, TONES[row.state])

    @display(description="asked by")
    def asker(self, row: ReserveProof) -> str:
        """Who asked."""
        return cells.person(row.asked_by)

    @display(description="asked")
    def asked(self, row: ReserveProof) -> str:
        """When."""
        return cells.moment(row.asked_at)

    @display(description="answered by")
    def answerer(self, row: ReserveProof) -> str:
        """Who brought the signatures."""
        return cells.person(row.answered_by)

    @display(description="proved")
    def proved(self, row: ReserveProof) -> str:
        """When."""
        return cells.moment(row.proved_at)

    @display(description="all unspent at block")
    def proved_block(self, row: ReserveProof) -> str:
        """At which block."""
        return cells.number(row.proved_height)


def _user(request: HttpRequest) -> Any:
    return request.user
