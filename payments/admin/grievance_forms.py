"""What is asked of whoever takes down, links and answers a grievance."""

from django import forms
from unfold import widgets

from payments.admin.forms import InProgramForm
from payments.models import Finding, GrievanceCategory
from payments.onchain import amount
from payments.services import grievance_words


def _optional_text(label: str, help_text: str = "") -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=grievance_words.MOST_CONTACT,
        required=False,
        help_text=help_text,
        widget=widgets.UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
    )


class AboutForm(forms.Form):
    """The person, and the payment."""

    reference = _optional_text(
        "Reference", "Of the person in the program, once they have shown who they are."
    )
    payment_id = forms.IntegerField(
        label="Number of the payment",
        required=False,
        min_value=1,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


class LodgeForm(AboutForm, InProgramForm):
    """What a person says at the help desk."""

    category = forms.ChoiceField(
        choices=GrievanceCategory.choices, widget=widgets.UnfoldAdminSelectWidget(), label="About"
    )
    text = forms.CharField(
        label="In the person's words",
        max_length=grievance_words.MOST_TEXT,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 5}),
    )
    contact = _optional_text("How to reach them")
    received_sat = _optional_text("Received (satoshis)", "What the person says to have received.")
    field_order = ("program", "category", "text", "contact", "reference", "payment_id", "received_sat")

    def clean_received_sat(self) -> int | None:
        """Return the amount by the grammar of all amounts."""
        text: str = self.cleaned_data["received_sat"]
        try:
            return amount.parse_sat(text) if text else None
        except amount.InvalidAmount as error:
            raise forms.ValidationError(error.message, code=error.details["rule"]) from error


class AnswerForm(forms.Form):
    """What came of it."""

    # Nothing is chosen beforehand: a finding is somebody's.
    finding = forms.ChoiceField(
        choices=[("", "Choose"), *Finding.choices], widget=widgets.UnfoldAdminSelectWidget()
    )
    text = forms.CharField(
        label="Answer",
        max_length=grievance_words.MOST_TEXT,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 6}),
        help_text="The person reads this.",
    )
