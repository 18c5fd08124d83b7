"""The forms of a new program and of its rules, with the words that explain them."""

from typing import Any

from django import forms
from django.conf import settings
from unfold import widgets

from ledger.law.policy import PROFILES
from payments.models import Program
from payments.models.program import RULES, SAT

LABELS = {
    "target_blocks": "Blocks that a fee should suffice for",
    "feerate_floor_sat_kvb": "Fee rate floor (sat per 1,000 vB)",
    "feerate_fallback_sat_kvb": "Fee rate without an estimate (sat per 1,000 vB)",
    "feerate_ceiling_sat_kvb": "Fee rate ceiling (sat per 1,000 vB)",
    "feerate_patient_sat_kvb": "Fee rate up to which lists that are not urgent are paid (sat per 1,000 vB)",
    "fee_share_ceiling_bps": "Fee of a payout, at most (1/10,000 of what it pays)",
    "fee_budget_daily_sat": "Fees of a UTC day, at most (sat)",
    "bump_after_blocks": "Blocks until a payout that waits gets a higher fee",
    "bump_alone_limit_sat": "What one person's bump may add to a fee (sat)",
    "coins_wanted": "Confirmed coins that change is split into",
    "consolidate_feerate_sat_kvb": "Fee rate up to which small coins are merged (sat per 1,000 vB)",
    "consolidate_budget_daily_sat": "Merging coins in a UTC day, at most (sat)",
    "signing_deadline_s": "Time for signers elsewhere (seconds)",
    "claim_term_days": "Days to claim for people without an address",
    "claimed_counts_as_changed": "An address that was claimed counts as a changed one",
    "destination_cooling_s": "A changed address is not paid for (seconds)",
    "grievance_due_days": "Days within which a grievance is answered",
    "destination_proof": "A proof of control is needed: 0 never, 1 of a changed address, 2 of every address",
    "confirmations_settled": "Confirmations until settled",
    "group_max_payments": "Payments in one tx, at most",
    "group_max_vsize_vb": "Size of one tx, at most (vB)",
    "policy_profile": "Law that it goes by",
    "language": "Language of messages and slips",
}
HELP_TEXTS = {
    "feerate_patient_sat_kvb": "Empty: every list is paid up to the ceiling.",
    "fee_share_ceiling_bps": "2,000 is a fifth.",
    "fee_budget_daily_sat": "Empty: no limit.",
    "bump_alone_limit_sat": "More than this needs a second person.",
    "consolidate_feerate_sat_kvb": "Empty: never.",
    "claim_term_days": "Empty: a list pays people with an address only.",
    "claimed_counts_as_changed": "It cools as long, and is proved where changed ones are.",
}
WIDGETS: dict[str, Any] = {rule: widgets.UnfoldAdminIntegerFieldWidget() for rule in RULES} | {
    "claimed_counts_as_changed": widgets.UnfoldBooleanWidget(),
    "policy_profile": widgets.UnfoldAdminSelectWidget(
        choices=[(name, profile.title) for name, profile in PROFILES.items()]
    ),
    "language": widgets.UnfoldAdminSelectWidget(choices=settings.LANGUAGES),
}


class ProgramForm(forms.ModelForm):
    """A new program. Validation is the service's."""

    descriptor = forms.CharField(
        label="Descriptor of a watch-only wallet",
        required=False,
        max_length=4_000,
        widget=widgets.UnfoldAdminTextareaWidget(
            attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}
        ),
        help_text=(
            "With its checksum: wpkh(KEY) or wsh(sortedmulti(m,KEY,...)), each KEY being "
            "[fingerprint/path]tpub/<0;1>/*. Signers elsewhere then sign each payout. Without one the node's wallet "
            "signs, on regtest only."
        ),
    )
    entity, function, fund, project = (
        forms.CharField(
            required=False, max_length=30, help_text=help_text, widget=widgets.UnfoldAdminTextInputWidget()
        )
        for help_text in (
            "Who spends: part of every line that is booked, fixed from then on.",
            "What for, such as 10.71.",
            "Out of which fund.",
            "For which project; else the program's code.",
        )
    )

    class Meta:
        """The columns that an administrator chooses."""

        model = Program
        fields = ("code", "name", "currency", *RULES)
        widgets = {
            "currency": widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": SAT}),
            "code": widgets.UnfoldAdminTextInputWidget(attrs={"placeholder": "PENSIONS"}),
            "name": widgets.UnfoldAdminTextInputWidget(),
            **WIDGETS,
        }
        labels = LABELS | {"currency": "What people are entitled to"}
        help_texts = HELP_TEXTS | {
            "currency": "sat, or money by its code of ISO 4217, such as PKR, which a release converts. It never changes."
        }


class RulesForm(forms.ModelForm):
    """Rules that a program should have, and why. Validation is the service's."""

    note = forms.CharField(
        label="Reason",
        max_length=300,
        widget=widgets.UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="Kept in the history, for the auditor.",
    )

    class Meta:
        """The rules."""

        model = Program
        fields = RULES
        widgets = WIDGETS
        labels = LABELS
        help_texts = HELP_TEXTS
