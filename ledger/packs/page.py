"""The public page that checks a receipt, and hands out the program that does the same without anybody."""

from pathlib import Path

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import FileResponse, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from ledger import verify
from ledger.models import Checkpoint
from ledger.packs import evidence
from ledger.seals import checkpoints

PROGRAM = Path(verify.__file__)


class ReceiptForm(forms.Form):
    """A receipt, as a file or as its text."""

    file = forms.FileField(label="The receipt's file", required=False)
    text = forms.CharField(
        label="or its text", required=False, strip=False, max_length=verify.MAX_RECEIPT, widget=forms.Textarea
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
            raise forms.ValidationError("Choose the file that you were given, or paste its text.")


@never_cache
@require_http_methods(["GET", "POST"])
def check(request: HttpRequest) -> HttpResponse:
    """Show the form, and in plain words what the receipt proves or the first thing that is wrong with it."""
    form = ReceiptForm(request.POST, request.FILES) if request.method == "POST" else ReceiptForm()
    found, wrong = None, None
    network = evidence.backend().network()
    keys = _keys()
    if form.is_bound and form.is_valid():
        try:
            found = verify.check_receipt(form.read(), network, keys)
        except verify.Wrong as error:
            wrong = error
    context = {"form": form, "found": found, "wrong": wrong, "keys": sorted(keys), "network": network}
    status = 422 if wrong is not None or form.errors else 200
    return TemplateResponse(request, "ledger/verify.html", context, status=status)


@require_GET
def program(request: HttpRequest) -> FileResponse:
    """Hand out the verifier, one file that needs nothing but Python."""
    return FileResponse(
        PROGRAM.open("rb"), as_attachment=True, filename="verify.py", content_type="text/x-python"
    )


def _keys() -> set[str]:
    """Return every key with which this installation signed checkpoints."""
    return {*checkpoints.own_keys(), *Checkpoint.objects.values_list("verifier", flat=True).distinct()}
