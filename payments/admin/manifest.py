"""The pages around a list's manifest: the file for the approver, their key, and what it signed."""

import json
from typing import Any, ClassVar

from django import forms as django_forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from unfold import widgets

from govpay.errors import GovPayError
from govpay.said import said
from payments.admin import cells, forms, pages, scope
from payments.admin.tables import Notice, Table
from payments.models import ApproverKey, Disbursement, ManifestSignature, Role, Signer
from payments.services import approver_keys, manifests
from payments.states import DisbursementStatus


class SignedJsonForm(django_forms.Form):
    """JSON of hex values with exactly these names and lengths, as the signer program writes it."""

    lengths: ClassVar[dict[str, int]] = {}

    def read(self, text: str) -> dict[str, bytes]:
        """Return the bytes by name."""
        try:
            found = json.loads(text)
            if not isinstance(found, dict) or found.keys() != self.lengths.keys():
                raise ValueError("other names")
            values = {name: bytes.fromhex(value) for name, value in found.items()}
        except (TypeError, ValueError, RecursionError) as error:
            names = ", ".join(self.lengths)
            raise django_forms.ValidationError(
                f"This is not JSON of {names} in hex.", code="malformed"
            ) from error
        for name, length in self.lengths.items():
            if len(values[name]) != length:
                raise django_forms.ValidationError(f"{name} does not have {length} bytes.", code="malformed")
        return values


class ManifestSignedForm(SignedJsonForm):
    """The file that ``approve`` wrote."""

    lengths = {"manifest_sha256": 32, "public_key": 32, "signature": 64}
    signed = django_forms.FileField(
        label="Signature file",
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text="JSON, as approve wrote it.",
    )

    def clean_signed(self) -> dict[str, bytes]:
        """Return the hash, the key and the signature."""
        upload = forms.check_size(self.cleaned_data["signed"])
        return self.read(upload.read().decode(errors="replace"))


class ApproverKeyForm(SignedJsonForm):
    """What ``approver new`` printed."""

    lengths = {"public_key": 32, "proof": 64}
    registration = django_forms.CharField(
        label="Registration",
        max_length=1_000,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"}),
        help_text="The line of JSON with the public key and its proof.",
    )

    def clean_registration(self) -> dict[str, bytes]:
        """Return the key and its proof."""
        return self.read(self.cleaned_data["registration"])


def offered(request: HttpRequest, row: Disbursement) -> list[str]:
    """Return the buttons of a list's page."""
    found = []
    if row.status in manifests.FIXED:
        found.append("download_manifest")
    is_approver = scope.holds(request, row.program_id, Role.APPROVER)
    is_other = request.user.pk not in (row.made_by_id, row.released_by_id)
    if is_approver and is_other and row.status in manifests.SIGNABLE and not _has_signed(row, request):
        found.append("sign_manifest")
    return found


def download(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Stream the text that approvers sign."""
    try:
        text = manifests.export(by=request.user, disbursement_id=row.pk)  # type: ignore[arg-type]
    except GovPayError as error:
        refusal: HttpResponse = model_admin._refusal(request, error)
        return refusal
    return StreamingHttpResponse(  # type: ignore[return-value]
        text,
        content_type="text/plain; charset=us-ascii",
        headers={
            "Content-Disposition": f'attachment; filename="manifest-{row.pk}.txt"',
            "Cache-Control": "no-store",
        },
    )


def sign(model_admin: Any, request: HttpRequest, row: Disbursement) -> HttpResponse:
    """Take what the approver's key signed."""

    def call(cleaned: dict[str, Any]) -> HttpResponse | pages.Refusal:
        signed, ours = cleaned["signed"]["manifest_sha256"], bytes(row.manifest_hash or b"")
        if signed != ours:
            text = said(
                "This file signs another manifest, {0}; the one of list {1} is {2}.",
                signed.hex(),
                row.pk,
                ours.hex(),
            )
            return pages.Refusal(text)
        manifests.sign(by=request.user, disbursement_id=row.pk, **cleaned["signed"])  # type: ignore[arg-type]
        messages.success(request, f"Your signature over the manifest of list {row.pk} is kept.")
        return HttpResponseRedirect(cells.page_of(row))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title=f"Sign the manifest of list {row.pk}",
            form_class=ManifestSignedForm,
            call=call,
            submit="Check and keep",
            back=cells.page_of(row),
            facts=[
                ("Manifest hash", cells.whole(row.manifest_hash)),
                ("Payments", cells.number(row.payment_count)),
                ("Total", cells.sat(row.total_sat)),
                ("Your key", _key_of(request)),
            ],
            help_text=(
                said(
                    "Download the manifest, sign it on your own machine with python -m payments.signer approve "
                    "manifest-{0}.txt --key approver.json --sha256 {1} --out signature.json, and bring the file "
                    "that it wrote.",
                    row.pk,
                    cells.hexadecimal(row.manifest_hash),
                )
            ),
        ),
    )


def key(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Register the approver's own key."""
    if not scope.programs_as(request, Role.APPROVER):
        raise PermissionDenied

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        made = approver_keys.register(by=request.user, **cleaned["registration"])  # type: ignore[arg-type]
        text = said(
            "Your key {0} is registered. Give it to every signer by hand.", bytes(made.public_key).hex()
        )
        messages.success(request, text)
        return HttpResponseRedirect(request.path)

    rows = ApproverKey.objects.filter(user_id=request.user.pk or 0).order_by("-pk")
    table = Table(
        "Your keys",
        ("Public key", "Registered", "Retired"),
        [
            (cells.whole(row.public_key), cells.moment(row.created_at), cells.moment(row.retired_at))
            for row in rows
        ],
        "You have none yet.",
    )
    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Your approver key",
            form_class=ApproverKeyForm,
            call=call,
            submit="Register",
            back=cells.list_of(Disbursement),
            notices=[
                Notice(
                    "Retire it under Disbursements before you register another.", cells.INFO, "You have a key"
                )
            ]
            if has_key(request)
            else [],
            tables=[table],
            help_text=(
                said(
                    "Make a key on your own machine with python -m payments.signer approver new --user {0} --key "
                    "approver.json, and paste what it prints. You can have one at a time.",
                    request.user.get_username(),
                )
            ),
        ),
    )


def retire(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """End the approver's own key."""
    if not scope.programs_as(request, Role.APPROVER):
        raise PermissionDenied

    def call(cleaned: dict[str, Any]) -> HttpResponse:
        approver_keys.retire(by=request.user)  # type: ignore[arg-type]
        messages.success(request, "Your key is retired. Tell every signer to strike it out.")
        return HttpResponseRedirect(cells.list_of(Disbursement))

    return pages.answer(
        model_admin,
        request,
        pages.Page(
            title="Retire your approver key",
            form_class=forms.AgreeForm,
            call=call,
            submit="Retire the key for good",
            back=cells.list_of(Disbursement),
            is_dangerous=True,
            facts=[("Your key", _key_of(request))],
            help_text="Lists that only this key signed cannot be released any more; sign them with a new one.",
        ),
    )


def table(row: Disbursement) -> list[Table]:
    """List who signed the manifest, where signers elsewhere ask for it or somebody did."""
    rows = ManifestSignature.objects.filter(disbursement=row).select_related("key__user").order_by("pk")
    found = [
        (
            cells.person(signed.key.user),
            cells.whole(signed.key.public_key),
            cells.moment(signed.created_at),
            "retired" if signed.key.retired_at else "active",
        )
        for signed in rows
    ]
    if not found and (row.program.wallet.signer != Signer.PSBT or row.status not in manifests.FIXED):
        return []
    return [
        Table(
            "Signatures over the manifest",
            ("Approver", "Public key", "Signed", "Key"),
            found,
            "Nobody has signed yet. The list can be released once its approver's key has.",
        )
    ]


def notices(row: Disbursement) -> list[Notice]:
    """Say that the approver's key must sign before somebody tries to release the list."""
    if row.status != DisbursementStatus.APPROVED or row.program.wallet.signer != Signer.PSBT:
        return []
    signed = ManifestSignature.objects.filter(disbursement=row, key__user_id=row.approved_by_id or 0)
    if signed.filter(key__retired_at=None).exists():
        return []
    text = said(
        "{0} downloads the manifest, signs it with their own key, and uploads the signature here.",
        row.approved_by,
    )
    return [Notice(text, cells.BUSY, "The approver's key has not signed yet")]


def has_key(request: HttpRequest) -> bool:
    """Say whether the user has a key to retire."""
    return ApproverKey.objects.filter(user_id=request.user.pk or 0, retired_at=None).exists()


def _has_signed(row: Disbursement, request: HttpRequest) -> bool:
    signed = ManifestSignature.objects.filter(disbursement=row, key__user_id=request.user.pk or 0)
    return signed.filter(key__retired_at=None).exists()


def _key_of(request: HttpRequest) -> str:
    row = ApproverKey.objects.filter(user_id=request.user.pk or 0, retired_at=None).first()
    return cells.whole(row.public_key) if row else "none registered"
