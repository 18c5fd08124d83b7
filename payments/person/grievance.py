"""Where a person lodges a grievance, and follows it by its number and code."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext_lazy as _

from govpay.errors import GovPayError
from payments.models import Grievance, GrievanceCategory
from payments.onchain import amount
from payments.person import words
from payments.person.door import PersonForm, ProgramField, public
from payments.services import grievance_replies, grievance_words, grievances

CATEGORIES = [
    (GrievanceCategory.NOT_RECEIVED, _("My money did not come")),
    (GrievanceCategory.DEDUCTION, _("Somebody kept a part of my money")),
    (GrievanceCategory.WRONG_AMOUNT, _("The amount is wrong")),
    (GrievanceCategory.IDENTITY_TAKEN, _("Somebody uses my name")),
    (GrievanceCategory.WRONG_EXCLUSION, _("I should be in the program")),
    (GrievanceCategory.OTHER, _("Something else")),
]


class AmountField(forms.CharField):
    """Satoshis, by the grammar of all amounts, or nothing."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_length=20, required=False, widget=forms.TextInput(attrs={"inputmode": "numeric"}), **kwargs
        )

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        try:
            return amount.parse_sat(text) if text else None
        except amount.InvalidAmount as error:
            raise forms.ValidationError(_("Plain digits, without dots or commas."), code="amount") from error


class LodgeForm(PersonForm):
    """What somebody says, and who they are."""

    program = ProgramField()
    category = forms.ChoiceField(choices=CATEGORIES, label=_("What is it about?"))
    text = forms.CharField(
        label=_("What happened?"),
        max_length=grievance_words.MOST_TEXT,
        widget=forms.Textarea(attrs={"rows": 5}),
    )
    received_sat = AmountField(
        label=_("How much did you receive, in satoshis? Leave it empty if you do not know.")
    )
    reference = forms.CharField(
        label=_("Your number in the program, if you have one"), max_length=40, required=False
    )
    national_id = forms.CharField(
        label=_("Your identity number"),
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("Without it we cannot look at your payments. It is not stored."),
    )
    contact = forms.CharField(
        label=_("How can we reach you? Leave it empty if you only read the answer here."),
        max_length=grievance_words.MOST_CONTACT,
        required=False,
    )


class FollowForm(PersonForm):
    """The number and the code."""

    number = forms.IntegerField(label=_("Number"), min_value=1, max_value=2**63 - 1)
    secret = forms.CharField(
        label=_("Code"),
        max_length=100,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class SayForm(FollowForm):
    """What the person says to the answer."""

    act = forms.ChoiceField(choices=[("look", ""), ("agree", ""), ("disagree", ""), ("withdraw", "")])
    text = forms.CharField(max_length=grievance_words.MOST_TEXT, required=False)
    received_sat = AmountField()


@public
def lodge(request: HttpRequest) -> HttpResponse:
    """Take what somebody lodges; the answer is the same whoever it is."""
    form = LodgeForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        return render(request, "payments/person/grievance.html", {"form": form}, status=status)
    try:
        values = form.cleaned_data
        made = grievances.lodge_in_person(program_id=values.pop("program").pk, **values)
    except GovPayError as error:
        context = {"form": form, "problem": words.of(error)}
        return render(request, "payments/person/grievance.html", context, status=error.http_status)
    context = {"row": made.grievance, "secret": made.secret}
    return render(request, "payments/person/grievance_lodged.html", context, status=201)


@public
def follow(request: HttpRequest) -> HttpResponse:
    """Show a grievance to whoever has its number and code, and take what they say to the answer."""
    if request.method != "POST":
        return _ask(request, FollowForm(), 200)
    form = SayForm({"act": "look"} | request.POST.dict())
    wrong = {} if form.is_valid() else form.errors
    if not wrong.keys().isdisjoint(FollowForm.base_fields):
        return _ask(request, FollowForm(request.POST), 422)
    said = form.cleaned_data
    key = {"grievance_id": said["number"], "secret": said["secret"]}
    problem = next((errors[0] for errors in wrong.values()), "")
    try:
        row = grievance_replies.read(**key)
        try:
            row = (None if problem else _say(said, key)) or row
        except GovPayError as error:
            problem = words.of(error)
    except GovPayError as error:
        return _ask(request, FollowForm(request.POST), error.http_status, words.of(error))
    context = {
        "row": row,
        "secret": said["secret"],
        "problem": problem,
        # What was typed stays, to be corrected.
        "typed": form.data if problem else {},
        "answer": (row.answer or {}).get("text"),
    }
    return render(request, "payments/person/grievance_followed.html", context, status=422 if problem else 200)


def _say(said: dict[str, Any], key: dict[str, Any]) -> Grievance | None:
    if said["act"] == "agree":
        return grievance_replies.agree(**key, received_sat=said["received_sat"])
    if said["act"] == "disagree":
        return grievance_replies.disagree(**key, text=said["text"], received_sat=said["received_sat"])
    return grievance_replies.withdraw(**key) if said["act"] == "withdraw" else None


def _ask(request: HttpRequest, form: FollowForm, status: int, problem: str = "") -> HttpResponse:
    context = {"form": form, "problem": problem}
    return render(request, "payments/person/grievance_follow.html", context, status=status)
