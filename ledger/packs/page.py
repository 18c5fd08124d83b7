"""The public page that checks a receipt, and hands out the program that does the same without anybody."""

import math
import re
from pathlib import Path
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods
from rest_framework.throttling import SimpleRateThrottle

from govpay.languages import spoken
from ledger import verify
from ledger.models import Checkpoint
from ledger.packs import evidence
from ledger.seals import checkpoints

PROGRAM = Path(verify.__file__)
# What a form adds to a receipt: the names of its fields and the token.
MAX_BODY = verify.MAX_RECEIPT + 16 * 1024
LENGTH = re.compile("[0-9]{1,10}")


class ChecksOfAddress(SimpleRateThrottle):
    """Counts the receipts that come from one address, as signing in is counted."""

    scope = "verify"

    def get_cache_key(self, request: Any, view: Any) -> str:
        """Return where the count of this address is kept."""
        return self.cache_format % {"scope": self.scope, "ident": self.get_ident(request)}


class ReceiptForm(forms.Form):
    """A receipt, as a file or as its text."""

    file = forms.FileField(label=_("The receipt's file"), required=False, allow_empty_file=True)
    text = forms.CharField(
        label=_("or its text"),
        required=False,
        strip=False,
        max_length=verify.MAX_RECEIPT,
        widget=forms.Textarea,
    )

    def read(self) -> bytes:
        """Return the receipt, of which no more is read than a receipt may have."""
        file: UploadedFile | None = self.cleaned_data["file"]
        if file is not None:
            return bytes(file.read(verify.MAX_RECEIPT + 1))
        text: str = self.cleaned_data["text"]
        # A form turns line ends into two characters; a receipt has one, at its end.
        return text.strip().encode(errors="replace")

    def clean(self) -> None:
        """Ask for one of both."""
        if (
            not self.errors
            and not self.cleaned_data.get("file")
            and not self.cleaned_data.get("text", "").strip()
        ):
            raise forms.ValidationError(_("Choose the file that you were given, or paste its text."))


# The token is looked for in the body: only after the limits, and then with the usual protection.
@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
@spoken
def check(request: HttpRequest) -> HttpResponse:
    """Show the form, and in plain words what the receipt proves or the first thing that is wrong with it.

    Nobody signs in here: a body is read only where its address has not sent too many of late, and where it is not too long.
    """
    if request.method != "POST":
        return _render(request, 200, form=ReceiptForm())
    throttle: Any = ChecksOfAddress()
    if not throttle.allow_request(request, view=None):
        wait_s = math.ceil(throttle.wait() or 1)
        response = _render(request, 429, form=ReceiptForm(), wait_s=wait_s)
        response["Retry-After"] = str(wait_s)
        return response
    if not LENGTH.fullmatch(length := request.META.get("CONTENT_LENGTH") or "0") or int(length) > MAX_BODY:
        wrong = verify.Unreadable("not_a_receipt", "A receipt is not so long.")
        return _render(request, 413, form=ReceiptForm(), wrong=wrong)
    answer: HttpResponse = _check(request)
    return answer


@csrf_protect
def _check(request: HttpRequest) -> HttpResponse:
    form = ReceiptForm(request.POST, request.FILES)
    if not form.is_valid():
        return _render(request, 422, form=form)
    keys = trusted_keys()
    try:
        if not keys:
            raise verify.Wrong("unknown_key", "No key has signed the books of this installation yet.")
        found = verify.check_receipt(form.read(), evidence.backend().network(), keys)
    except verify.Wrong as wrong:
        return _render(request, 422, form=form, wrong=wrong)
    address, amount = None, found.amount
    if found.rail == "bitcoin":
        address = evidence.backend().address(bytes.fromhex(found.script))
        amount = f"{found.amount_sat:,} satoshis"
    return _render(request, 200, form=form, found=found, address=address, amount=amount)


def _render(request: HttpRequest, status: int, **context: object) -> HttpResponse:
    context |= {"keys": sorted(trusted_keys()), "network": evidence.backend().network()}
    # Written here, while its language is spoken.
    return TemplateResponse(request, "ledger/verify.html", context, status=status).render()


@require_GET
def program(request: HttpRequest) -> FileResponse:
    """Hand out the verifier, one file that needs nothing but Python."""
    return FileResponse(
        PROGRAM.open("rb"), as_attachment=True, filename="verify.py", content_type="text/x-python"
    )


def trusted_keys() -> set[str]:
    """Return every key with which this installation signed checkpoints."""
    return {*checkpoints.own_keys(), *Checkpoint.objects.values_list("verifier", flat=True).distinct()}
