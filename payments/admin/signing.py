"""Signing requests in the admin: the files for the signers, who signed, and the way back for what they returned."""

from typing import Any

from django.contrib import admin, messages
from django.core.files.uploadedfile import UploadedFile
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from govpay.errors import GovPayError
from govpay.said import said
from payments.admin import cells, forms, pages, scope, signing_codes
from payments.admin.base import ProgramScopedAdmin, is_hash, is_number
from payments.admin.filters import ProgramFilter, by_number
from payments.admin.tables import Notice, Table
from payments.models import SigningRequest
from payments.models.signing import OPEN_STATES, RequestState
from payments.selectors import signing as selector
from payments.services import bundles
from payments.services import signing as service

TONES = {
    RequestState.WAITING: cells.BUSY,
    RequestState.OVERDUE: cells.BAD,
    RequestState.SUPERSEDED: cells.PLAIN,
    RequestState.SIGNED: cells.GOOD,
    RequestState.CLOSED: cells.PLAIN,
}


class StateFilter(DropdownFilter):
    """By where the request stands."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return the states."""
        return [(str(value), str(text)) for value, text in RequestState.choices]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Keep the requests of the state."""
        return queryset.filter(state=self.value()) if self.value() else queryset


@admin.register(SigningRequest)
class SigningRequestAdmin(ProgramScopedAdmin):
    """What waits for signers elsewhere, and what was signed."""

    noun = "Signing request"
    program_path = "version__payout__wallet__program"
    list_display = ("number", "program", "payout_link", "kind", "state", "progress", "deadline", "made")
    list_filter = (ProgramFilter, StateFilter, by_number("version__payout", "payout"))
    search_fields = ("version__txid",)
    search_help_text = "Search by txid or number"
    when_empty = "Nothing waits for signers elsewhere: requests come with payouts of watch-only wallets."
    actions_detail = ("upload_signatures", "show_codes", "download_psbt", "download_bundle")
    fieldsets = (
        (None, {"fields": ("state", "progress", "deadline", "payout_link", "program", "made", "completed")}),
        ("What is signed", {"fields": ("kind", "tx_whole", "paid", "fee", "rate")}),
        ("Wallet", {"fields": ("wallet_link", "descriptor")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[SigningRequest]:
        """Return the requests of the user's programs with their states."""
        rows: QuerySet[Any] = super().get_queryset(request)
        return (
            rows.with_state()  # type: ignore[attr-defined,no-any-return]
            .annotate(signed_count=Count("signatures"))
            .select_related("version__payout__wallet__program")
            .defer("psbt", "version__raw", "version__unsigned_tx")
        )

    def find(self, request: HttpRequest, term: str) -> Q:
        """Search by txid or number."""
        return Q(version__txid=term.lower()) if is_hash(term) else super().find(request, term)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Offer files to those who carry or read them, and the way back while signatures are taken."""
        row = self.get_object(request, str(object_id)) if is_number(str(object_id)) else None
        if row is None:
            return []
        program_id = row.version.payout.wallet.program_id
        is_reader = scope.holds(request, program_id, *service.READERS)
        is_carrier = scope.holds(request, program_id, *service.CARRIERS)
        offered = {
            "upload_signatures": is_carrier and row.state in OPEN_STATES,
            "show_codes": is_reader and row.state != RequestState.CLOSED,
            "download_psbt": is_reader and row.state != RequestState.CLOSED,
            "download_bundle": is_reader and row.state != RequestState.CLOSED,
        }
        return [self.get_unfold_action(name) for name, is_offered in offered.items() if is_offered]

    @action(description="Download PSBT", url_path="psbt", icon="download")
    def download_psbt(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give out the binary PSBT."""
        row = self.get_row(request, object_id)
        return self._file(
            request,
            f"signing-{row.pk}.psbt",
            "application/octet-stream",
            lambda: service.download(by=request.user, request_id=row.pk),  # type: ignore[arg-type]
        )

    @action(description="Show as QR codes", url_path="codes", icon="qr_code")
    def show_codes(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Show the PSBT to a camera."""
        return signing_codes.show(self, request, self.get_row(request, object_id))

    def get_custom_urls(self) -> tuple[tuple[str, str, Any], ...]:
        """Add the picture of each code."""
        return (("<path:object_id>/codes/<int:number>.svg", "payments_signingrequest_code", self.code),)

    def code(
        self, request: HttpRequest, object_id: str, number: int, model_admin: Any = None
    ) -> HttpResponse:
        """Return the picture of one code."""
        return signing_codes.picture(self, request, self.get_row(request, object_id), number)

    @action(description="Download bundle", url_path="bundle", icon="inventory_2")
    def download_bundle(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give out the file for the separate signing program."""
        row = self.get_row(request, object_id)
        return self._file(
            request,
            f"signing-{row.pk}.json",
            "application/json",
            lambda: bundles.make(by=request.user, request_id=row.pk).encode(),  # type: ignore[arg-type]
        )

    @action(description="Upload signatures", url_path="upload", icon="upload", variant=ActionVariant.PRIMARY)
    def upload_signatures(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Take what a signer returned through the service."""
        row = self.get_row(request, object_id)

        def call(cleaned: dict[str, Any]) -> HttpResponse:
            file: UploadedFile | None = cleaned["file"]
            data = cleaned["psbt"].encode() if file is None else file.read()
            found = service.upload(by=request.user, request_id=row.pk, data=data)  # type: ignore[arg-type]
            if found.added:
                messages.success(request, said("Signed by {0}.", ", ".join(found.added)))
            else:
                names = ", ".join(found.repeated)
                messages.info(request, said("{0} had signed before; nothing has changed.", names))
            return HttpResponseRedirect(cells.page_of(row))

        return pages.answer(
            self,
            request,
            pages.Page(
                title=f"Upload signatures for payout {row.version.payout_id}",
                form_class=forms.SignaturesForm,
                call=call,
                submit="Check and keep",
                back=cells.page_of(row),
                facts=[
                    ("Txid", cells.whole(row.version.txid)),
                    ("Signed", self.progress(row)),
                    ("Deadline", cells.moment(row.deadline_at)),
                ],
                help_text=(
                    "Every signature is checked against the tx that went out. One wrong signature refuses the file, "
                    "and nothing is kept of it."
                ),
            ),
        )

    def _file(self, request: HttpRequest, name: str, content_type: str, read: Any) -> HttpResponse:
        try:
            data = read()
        except GovPayError as error:
            return self._refusal(request, error)
        return HttpResponse(
            data,
            content_type=content_type,
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Cache-Control": "no-store",
            },
        )

    def notices(self, request: HttpRequest, obj: Any) -> list[Notice]:
        """Say what is to be done next."""
        if obj.state == RequestState.OVERDUE:
            text = (
                "Remind the signers. If they cannot sign any more, a treasurer gives the payout up with a void on the "
                "payout's page: the void is signed in a request of its own, and its payments can be reissued then."
            )
            return [Notice(text, cells.BAD, "The deadline has passed")]
        if obj.state == RequestState.WAITING:
            if obj.signed_count >= obj.needed:
                return [
                    Notice("The engine sends the tx within seconds.", cells.GOOD, "All signatures are here")
                ]
            text = "Carry the PSBT or the bundle to each signer, and upload here what they return."
            return [Notice(text, cells.BUSY, "Waits for signers")]
        if obj.state == RequestState.SUPERSEDED:
            text = "A newer version of the payout waits too. Whichever gets its signatures first is sent."
            return [Notice(text, cells.INFO, "There is a newer version")]
        if obj.state == RequestState.CLOSED:
            text = "Another version was signed, the payout was given up, or a block holds it. Nobody should sign this."
            return [Notice(text, cells.INFO, "No signature is taken any more")]
        return []

    def tables(self, request: HttpRequest, obj: Any) -> list[Table]:
        """Show who signed, and who brought it."""
        return [
            Table(
                "Signers",
                ("Fingerprint", "Signature", "Since", "Brought by"),
                [
                    (
                        cells.whole(signer["fingerprint"]),
                        cells.label("", "signed", cells.GOOD)
                        if signer["is_signed"]
                        else cells.label("", "not yet", cells.PLAIN),
                        cells.moment(signer["signed_at"]),
                        cells.person(signer["uploaded_by"]),
                    )
                    for signer in selector.progress(obj.pk)["signers"]
                ],
            )
        ]

    @display(description="request")
    def number(self, row: Any) -> str:
        """The request's number."""
        return f"Request {row.pk}"

    @display(description="program")
    def program(self, row: Any) -> str:
        """The program."""
        return cells.link(row.version.payout.wallet.program)

    @display(description="payout")
    def payout_link(self, row: Any) -> str:
        """The payout."""
        return cells.link(row.version.payout, f"Payout {row.version.payout_id}")

    @display(description="kind")
    def kind(self, row: Any) -> str:
        """Why the version was built."""
        return str(row.version.get_kind_display())

    @display(description="state")
    def state(self, row: Any) -> str:
        """Where it stands."""
        return cells.label("", RequestState(row.state).label.lower(), TONES[row.state])

    @display(description="signed")
    def progress(self, row: Any) -> str:
        """How many signers signed, of those that must."""
        return said("{0} of {1}", row.signed_count, row.needed)

    @display(description="deadline")
    def deadline(self, row: Any) -> str:
        """Until when it should be signed."""
        return cells.moment(row.deadline_at)

    @display(description="made")
    def made(self, row: Any) -> str:
        """When it went out."""
        return cells.moment(row.created_at)

    @display(description="completed")
    def completed(self, row: Any) -> str:
        """When its bytes were stored."""
        return cells.moment(row.completed_at)

    @display(description="txid")
    def tx_whole(self, row: Any) -> str:
        """The txid, which signatures do not change."""
        return cells.whole(row.version.txid)

    @display(description="pays")
    def paid(self, row: Any) -> str:
        """What people get."""
        return cells.sat(row.version.payout.payments_sat)

    @display(description="fee")
    def fee(self, row: Any) -> str:
        """What the network gets."""
        return cells.sat(row.version.fee_sat)

    @display(description="fee rate")
    def rate(self, row: Any) -> str:
        """The fee rate."""
        return cells.feerate(row.version.feerate_sat_kvb)

    @display(description="wallet")
    def wallet_link(self, row: Any) -> str:
        """Whose coins are spent."""
        return cells.link(row.version.payout.wallet)

    @display(description="descriptor")
    def descriptor(self, row: Any) -> str:
        """Whose keys must sign."""
        return cells.whole(row.version.payout.wallet.descriptor)
