"""The forms about institutions: how one is set, what came to it, what it may buy, and who proves what."""

from collections.abc import Sequence
from typing import Any

from django import forms
from unfold import widgets

from ledger.law import policy
from ledger.models import InflowKind
from ledger.models.lot import MOST_MINOR, MOST_SAT
from payments.admin.forms import AgreeForm, ReasonForm
from payments.models.inflow import MAX_SOURCE
from payments.models.institution import LEAST_QUANTILE, LEAST_WINDOW, MOST_QUANTILE, MOST_WINDOW, WHOLE_BPS
from payments.models.reserve_proof import MAX_MESSAGE
from payments.onchain.returned import MAX_BYTES
from payments.prices import currency

TEXT: dict[str, Any] = {"attrs": {"autocomplete": "off", "spellcheck": "false"}}
LABELS = {
    "institution_id": "Institution",
    "most_sat": "It may hold at most (sat)",
    "other_reserves_minor": "Other reserves (minor units)",
    "most_share_bps": "Bitcoin of all reserves, at most (1/10,000)",
    "most_var_bps": "Lost within a day, at most (1/10,000)",
    "var_window_days": "By the last days",
    "var_quantile_bps": "By so many of them (1/10,000)",
}
NOTHING = ("", "Choose one")


def _whole(
    label: str, least: int, most: int, *, required: bool = False, help_text: str = ""
) -> forms.IntegerField:
    return forms.IntegerField(
        label=label,
        min_value=least,
        max_value=most,
        required=required,
        help_text=help_text,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )


def _text(label: str, most: int, help_text: str = "", *, required: bool = True) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=most,
        required=required,
        help_text=help_text,
        widget=widgets.UnfoldAdminTextInputWidget(**TEXT),
    )


def _moment(label: str, help_text: str, *, required: bool) -> forms.DateTimeField:
    return forms.DateTimeField(
        label=label, required=required, help_text=help_text, widget=widgets.UnfoldAdminTextInputWidget(**TEXT)
    )


class OldForm(ReasonForm):
    """An institution that there is; its scope and currency stay."""

    policy_profile = forms.ChoiceField(
        label="Law that it goes by",
        choices=[NOTHING, *((name, profile.title) for name, profile in policy.PROFILES.items())],
        widget=widgets.UnfoldAdminSelectWidget,
    )
    most_sat = _whole(LABELS["most_sat"], 1, MOST_SAT)
    other_reserves_minor = _whole(
        LABELS["other_reserves_minor"], 0, MOST_MINOR, help_text="As they are stated."
    )
    most_share_bps = _whole(LABELS["most_share_bps"], 1, WHOLE_BPS, help_text="Empty: no limit.")
    most_var_bps = _whole(LABELS["most_var_bps"], 1, WHOLE_BPS, help_text="Empty: no limit.")
    var_window_days = _whole(LABELS["var_window_days"], LEAST_WINDOW, MOST_WINDOW, required=True)
    var_quantile_bps = _whole(LABELS["var_quantile_bps"], LEAST_QUANTILE, MOST_QUANTILE, required=True)

    field_order: Sequence[str] = (
        *("policy_profile", "most_sat", "other_reserves_minor", "most_share_bps", "most_var_bps"),
        *("var_window_days", "var_quantile_bps", "note"),
    )


class NewForm(OldForm):
    """A new institution."""

    scope = _text("Institution in the books", 40, "Such as reserve:1.")
    name = _text("Name", 100)
    currency = forms.ChoiceField(
        choices=[NOTHING, *((code, code) for code in sorted(currency.SCALES))],
        widget=widgets.UnfoldAdminSelectWidget,
    )

    field_order = ("scope", "name", "currency", *OldForm.field_order)


class ClassForm(ReasonForm):
    """What outputs came for."""

    inflow_ids = forms.CharField(
        label="Outputs",
        max_length=200_000,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 4, "spellcheck": "false"}),
        help_text="Their numbers, as in the table of the institution's page, with spaces or lines between.",
    )
    kind = forms.ChoiceField(choices=[NOTHING, *InflowKind.choices], widget=widgets.UnfoldAdminSelectWidget)
    plan_id = _whole("Purchase plan", 1, 2**63 - 1, help_text="Of a purchase: its number.")
    funding_source = _text(
        "Funded by",
        MAX_SOURCE,
        "Whose money or bitcoin it was, a person by a number; a purchase has its plan's.",
        required=False,
    )
    cost_minor = _whole("Cost of all of it (minor units)", 0, MOST_MINOR, help_text="Of what is acquired.")
    acquired_at = _moment("Acquired", "Of what is acquired: 2026-11-30 14:00, in UTC.", required=False)

    field_order = ("inflow_ids", "kind", "plan_id", "funding_source", "cost_minor", "acquired_at", "note")

    def clean_inflow_ids(self) -> list[int]:
        """Return the numbers; refuse what is none."""
        words = self.cleaned_data["inflow_ids"].split()
        if not all(word.isascii() and word.isdecimal() and len(word) <= 18 for word in words):
            raise forms.ValidationError("Give numbers with spaces or lines between.", code="invalid")
        return [int(word) for word in words]


class PlanForm(ReasonForm):
    """What may be bought."""

    amount_sat = _whole("Satoshis", 1, MOST_SAT, required=True)
    limit_price = _text("A bitcoin costs at most", 40, "Major units, fees included, plain digits.")
    funding_source = _text("Funded by", MAX_SOURCE)
    ends_at = _moment("Until", "2026-12-31 00:00, in UTC.", required=True)

    field_order = ("amount_sat", "limit_price", "funding_source", "ends_at", "note")


class SeenForm(AgreeForm):
    """Carries the satoshis that the person looked at."""

    amount_sat = forms.IntegerField(widget=forms.HiddenInput)


class AskForm(forms.Form):
    """Whose reserves are to be proved, under which message."""

    scope = _text("Institution in the books", 40, "Such as reserve:1.")
    message = _text("Message", MAX_MESSAGE, "What nobody could foresee; it is asked once.")


class AnswerForm(forms.Form):
    """What the holders of the keys returned."""

    signed = forms.CharField(
        label="PSBT or tx",
        max_length=2 * MAX_BYTES,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"}),
        help_text="Base64 or hexadecimal, with all signatures.",
    )
