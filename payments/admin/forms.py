"""The forms of the admin; they only carry text to the services, which hold the rules."""

import re
from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet
from unfold import widgets

from payments.models import Program
from payments.onchain import amount, returned
from payments.services import people


class AgreeForm(forms.Form):
    """Nothing to fill in: a button."""


class NoteForm(forms.Form):
    """Why somebody does it; kept in the history."""

    note = forms.CharField(
        label="Reason",
        max_length=2_000,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the history, for the auditor.",
    )


class ReasonForm(forms.Form):
    """Why somebody asks for it, or refuses it."""

    note = forms.CharField(
        label="Reason",
        max_length=300,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the history, for the auditor.",
    )


class ConsentForm(forms.Form):
    """What a second person says when agreeing, if anything."""

    note = forms.CharField(
        label="Note",
        max_length=300,
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Kept in the history, for the auditor.",
    )


class AskForm(ReasonForm):
    """A reason, and the fee that was on the page."""

    seen_fee_sat = forms.IntegerField(widget=forms.HiddenInput, required=False)


class FeerateForm(forms.Form):
    """A fee rate; the service parses it."""

    feerate_sat_vb = forms.CharField(
        label="Fee rate (sat/vB)",
        max_length=20,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal", "autocomplete": "off"}),
        help_text="Such as 12 or 12.5.",
    )


class OverPendingForm(FeerateForm):
    """A fee rate, for a payout whose newest version is with its signers."""

    over_pending = forms.BooleanField(
        label="Replace the version that the signers have",
        required=False,
        widget=widgets.UnfoldBooleanWidget,
        help_text="They sign the new one instead. Whichever is complete first goes out; nobody is paid twice.",
    )


class ManifestForm(forms.Form):
    """Carries the hash of the list that the person looked at."""

    manifest_hash = forms.CharField(max_length=64, widget=forms.HiddenInput, required=False)

    def clean_manifest_hash(self) -> bytes:
        """Return the hash; garbage is the hash of no list, which the service refuses."""
        try:
            return bytes.fromhex(self.cleaned_data["manifest_hash"])
        except ValueError:
            return b""


class QuotedForm(ManifestForm):
    """Carries the quote that the person looked at, too; empty where nothing is converted."""

    quote_id = forms.IntegerField(widget=forms.HiddenInput, required=False, min_value=1)


class InProgramForm(forms.Form):
    """A form that first asks for one of the programs where the user may do this."""

    program = forms.ModelChoiceField(
        queryset=Program.objects.none(), empty_label=None, widget=widgets.UnfoldAdminSelectWidget()
    )

    def __init__(self, *args: Any, programs: QuerySet[Program], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["program"].queryset = programs  # type: ignore[attr-defined]


class PeriodForm(InProgramForm):
    """A fiscal period: its name and its days."""

    name = forms.CharField(
        max_length=40, widget=widgets.UnfoldAdminTextInputWidget(), help_text="Such as 2026-27."
    )
    first_date = forms.DateField(
        label="First day",
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Such as 2026-07-01; days are those of UTC.",
    )
    last_date = forms.DateField(
        label="Last day", widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
    )


class WarrantForm(ReasonForm):
    """A step of an allotment or of its cash."""

    amount = forms.CharField(
        label="Amount, in satoshis or in minor units of the program's currency",
        max_length=20,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text="Plain digits: what is added, or with a minus withdrawn.",
    )
    field_order = ("amount", "note")

    def clean_amount(self) -> int:
        """Return the amount by the grammar of all amounts, with a sign."""
        text: str = self.cleaned_data["amount"]
        try:
            found = amount.parse_sat(text.removeprefix("-"))
        except amount.InvalidAmount as error:
            raise forms.ValidationError(error.message, code=error.details["rule"]) from error
        return -found if text.startswith("-") else found


def check_size(upload: UploadedFile) -> UploadedFile:
    """Return the file; refuse one above GOVPAY_UPLOAD_MAX_BYTES."""
    if upload.size is None or upload.size > settings.GOVPAY_UPLOAD_MAX_BYTES:
        most = f"{settings.GOVPAY_UPLOAD_MAX_BYTES:,}"
        raise forms.ValidationError(f"The file has more than {most} bytes.", code="file_too_large")
    return upload


class PeopleForm(InProgramForm):
    """A file of people to enroll."""

    file = forms.FileField(
        label="CSV file",
        allow_empty_file=True,
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text=(
            f"UTF-8, with the columns {', '.join(people.COLUMNS)}, and, where people have agreed to a consent text, "
            f"{' and '.join(people.OPTIONAL)}. The telephone may be empty; the address where the program lets people bring "
            "one later."
        ),
    )
    accept_partial = forms.BooleanField(
        label="Enroll the good rows even if others are wrong",
        required=False,
        widget=widgets.UnfoldBooleanWidget(),
        help_text="Otherwise one wrong row refuses the whole file.",
    )

    def clean_file(self) -> UploadedFile:
        """Return the file unless it is too large."""
        return check_size(self.cleaned_data["file"])


class PersonForm(InProgramForm):
    """One person to enroll."""

    reference = forms.CharField(
        max_length=200,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(),
        help_text="The ministry's own number for this person in the program.",
    )
    national_id = forms.CharField(
        label="National id",
        max_length=200,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
        help_text="Used to find the same person twice.",
    )
    full_name = forms.CharField(max_length=1_000, strip=False, widget=widgets.UnfoldAdminTextInputWidget())
    phone = forms.CharField(
        max_length=200, strip=False, required=False, widget=widgets.UnfoldAdminTextInputWidget()
    )
    address = forms.CharField(
        label="Bitcoin address",
        max_length=1_000,
        strip=False,
        required=False,
        help_text="Empty only where the program lets people bring one later.",
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class AddressForm(ReasonForm):
    """Where a person wants to be paid, and why."""

    address = forms.CharField(
        label="New Bitcoin address",
        max_length=1_000,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class ListForm(InProgramForm):
    """A file of payments with its control totals."""

    period = forms.CharField(
        max_length=200,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": "2026-11"}),
        help_text="A person is paid at most once in a period for a purpose.",
    )
    purpose = forms.CharField(
        max_length=200,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": "pension"}),
    )
    file = forms.FileField(
        label="CSV file",
        allow_empty_file=True,
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text="UTF-8, with the columns reference and amount_sat; in a program of money amount_minor.",
    )
    expected_count = forms.CharField(
        label="Number of payments",
        max_length=200,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text="Control total from whoever made the file: a file that disagrees is refused whole.",
    )
    expected_total = forms.CharField(
        label="Total in satoshis, or in minor units of the program's currency",
        max_length=200,
        strip=False,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        help_text="Plain digits, without separators.",
    )

    is_urgent = forms.BooleanField(
        label="Urgent",
        required=False,
        widget=widgets.UnfoldBooleanWidget(),
        help_text="Paid even while fees are high, up to the program's ceiling. Other lists wait until fees fall.",
    )

    def clean_file(self) -> UploadedFile:
        """Return the file unless it is too large."""
        return check_size(self.cleaned_data["file"])

    def clean(self) -> dict[str, Any]:
        """Name the total by the unit of the program that was chosen."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if "expected_total" in cleaned and "program" in cleaned:
            cleaned |= cleaned["program"].amounts("expected_total", cleaned.pop("expected_total"))
        return cleaned

    def clean_expected_count(self) -> int:
        """Return the count from plain ASCII digits."""
        text: str = self.cleaned_data["expected_count"]
        if not re.fullmatch(r"[1-9][0-9]{0,8}", text):
            raise forms.ValidationError("The count must be plain ASCII digits.", code="count_malformed")
        return int(text)

    def clean_expected_total(self) -> int:
        """Return the total by the grammar of all amounts."""
        try:
            return amount.parse_sat(self.cleaned_data["expected_total"])
        except amount.InvalidAmount as error:
            raise forms.ValidationError(error.message, code=error.details["rule"]) from error


class SignaturesForm(forms.Form):
    """What a signer returned: a file, or text."""

    file = forms.FileField(
        label="PSBT file",
        required=False,
        allow_empty_file=True,
        widget=widgets.UnfoldAdminFileFieldWidget(),
        help_text="Binary or text, as the signer's program wrote it.",
    )
    psbt = forms.CharField(
        label="Or PSBT as text",
        required=False,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 6, "spellcheck": "false"}),
        help_text="Base64 or hexadecimal; a signed tx in hexadecimal will do as well. Of QR codes (BBQr) their texts, in any"
        " order and with white space between: a hand scanner that types what it reads fills this field.",
    )

    def clean_file(self) -> UploadedFile | None:
        """Return the file unless it is too large."""
        upload: UploadedFile | None = self.cleaned_data["file"]
        if upload is not None and (upload.size is None or upload.size > returned.MAX_BYTES):
            raise forms.ValidationError(
                f"The file has more than {returned.MAX_BYTES:,} bytes.", code="file_too_large"
            )
        return upload

    def clean(self) -> dict[str, Any]:
        """Take one of the two."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and bool(cleaned.get("file")) == bool(cleaned.get("psbt")):
            raise forms.ValidationError("Give either a file or its text.", code="one_of_two")
        return cleaned
