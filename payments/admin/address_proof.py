"""Proofs of control in the admin: asked for on an enrollment's page, and answered here."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone
from unfold import widgets
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.said import said
from payments.admin import cells, pages, scope
from payments.admin.base import ProgramScopedAdmin
from payments.admin.filters import ProgramFilter
from payments.models import AddressProof, Enrollment
from payments.onchain import message
from payments.services import control


class ChallengeForm(forms.Form):
    """The address that is to sign."""

    address = forms.CharField(
        label="Bitcoin address", max_length=200, widget=widgets.UnfoldAdminTextInputWidget()
    )


class SignatureForm(forms.Form):
    """What the wallet returned."""

    signature = forms.CharField(
        max_length=message.MAX_TEXT,
        widget=widgets.UnfoldAdminTextareaWidget(
            attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text="Letter by letter as the wallet shows it.",
    )


def ask(model_admin: Any, request: HttpRequest, row: Enrollment) -> HttpResponse:
    """Make a challenge for an address of the person."""

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        by: Any = request.user
        made = control.ask(by=by, enrollment_id=row.pk, address=cleaned["address"])
        messages.success(request, "Have the person sign the challenge, and record the signature here.")
        return HttpResponseRedirect(cells.page_of(made))

    current = row.beneficiary.destinations.filter(is_current=True).first()
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=said("Ask {0} for a proof of control", row.reference),
            form_class=ChallengeForm,
            initial={"address": cells.address_text(current.script_pubkey)} if current else {},
            call=call,
            submit="Make a challenge",
            back=cells.page_of(row),
            help_text="The person signs the challenge with the key of the address within seven days.",
        ),
    )


@admin.register(AddressProof)
class AddressProofAdmin(ProgramScopedAdmin):
    """Who was asked to prove what, and who did."""

    noun = "Proof of control"
    list_display = ("number", "program_name", "person", "address_short", "state", "asked")
    list_filter = (ProgramFilter,)
    search_fields = ("pk",)
    search_help_text = "Search by number"
    actions_detail = ("record",)
    when_empty = "Nobody was asked. An officer asks on an enrollment's page."
    fieldsets = (
        (None, {"fields": ("person", "program_name", "address", "challenge_text", "state", "signed")}),
        ("People", {"fields": ("asker", "asked", "expires", "recorder", "proved")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[AddressProof]:
        """Return the challenges of the user's programs."""
        rows: QuerySet[AddressProof] = super().get_queryset(request)
        return rows.select_related("program", "beneficiary", "asked_by", "recorded_by").defer(
            "beneficiary__personal"
        )

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer the answer while there is none and time is left."""
        row = self.get_object(request, str(object_id))
        is_open = row is not None and row.proved_at is None and row.expires_at > timezone.now()
        is_offered = is_open and scope.holds(request, row.program_id, *control.MEMBERS)
        return super().get_actions_detail(request, object_id) if is_offered else []

    @action(description="Record the signature", url_path="record", icon="draw", variant=ActionVariant.PRIMARY)
    def record(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Keep the person's signature."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            by: Any = request.user
            control.record(by=by, proof_id=row.pk, signature=cleaned["signature"])
            messages.success(request, "The person controls the address.")
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title="Record the signature",
                form_class=SignatureForm,
                call=call,
                submit="Record the signature",
                back=cells.page_of(row),
                facts=[
                    ("Person", self.person(row)),
                    ("Address", self.address(row)),
                    ("Challenge", cells.long(row.challenge)),
                ],
            ),
        )

    @display(description="proof")
    def number(self, proof: AddressProof) -> str:
        """Its number."""
        return f"Proof {proof.pk}"

    @display(description="program")
    def program_name(self, proof: AddressProof) -> str:
        """Where it counts."""
        return str(proof.program)

    @display(description="person")
    def person(self, proof: AddressProof) -> str:
        """Who is to prove it."""
        return cells.link(proof.beneficiary, f"Person {proof.beneficiary_id}")

    @display(description="address")
    def address_short(self, proof: AddressProof) -> str:
        """The address, shortened."""
        return cells.address_short(proof.script_pubkey)

    @display(description="address")
    def address(self, proof: AddressProof) -> str:
        """The address."""
        return cells.address(proof.script_pubkey)

    @display(description="challenge")
    def challenge_text(self, proof: AddressProof) -> str:
        """What is to be signed, letter by letter."""
        return cells.long(proof.challenge)

    @display(description="state")
    def state(self, proof: AddressProof) -> str:
        """Whether it was answered."""
        if proof.proved_at is not None:
            return cells.label("", "proved", cells.GOOD)
        if proof.expires_at <= timezone.now():
            return cells.label("", "expired", cells.PLAIN)
        return cells.label("", "to be signed", cells.BUSY)

    @display(description="signature")
    def signed(self, proof: AddressProof) -> str:
        """The signature and its form."""
        return cells.long(f"{proof.form}: {proof.signature}") if proof.signature else cells.EMPTY

    @display(description="asked by")
    def asker(self, proof: AddressProof) -> str:
        """Who asked."""
        return cells.person(proof.asked_by)

    @display(description="asked")
    def asked(self, proof: AddressProof) -> str:
        """When."""
        return cells.moment(proof.asked_at)

    @display(description="to be signed before")
    def expires(self, proof: AddressProof) -> str:
        """When the challenge expires."""
        return cells.moment(proof.expires_at)

    @display(description="recorded by")
    def recorder(self, proof: AddressProof) -> str:
        """Who brought the signature."""
        return cells.person(proof.recorded_by)

    @display(description="proved")
    def proved(self, proof: AddressProof) -> str:
        """When."""
        return cells.moment(proof.proved_at)
