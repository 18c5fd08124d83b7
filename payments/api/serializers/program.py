"""Programs, their members, funds and wallets."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from ledger.law.policy import PROFILES
from payments.api.serializers.fields import Username
from payments.models import Program, Role, Signer
from payments.models.program import RULES
from payments.onchain import amount
from payments.onchain.network import Network


class Rules(StrictSerializer):
    """The rules of a program, of which any may be left out. The service checks the bounds."""

    target_blocks = Whole(required=False, min_value=1, max_value=1008)
    feerate_floor_sat_kvb = Whole(required=False, min_value=100, max_value=1_000_000)
    feerate_fallback_sat_kvb = Whole(required=False, min_value=100, max_value=1_000_000)
    feerate_ceiling_sat_kvb = Whole(required=False, min_value=100, max_value=1_000_000)
    feerate_patient_sat_kvb = Whole(
        required=False,
        allow_null=True,
        min_value=100,
        max_value=1_000_000,
        help_text="Above this rate only urgent lists are paid, up to the ceiling; null: all are.",
    )
    fee_share_ceiling_bps = Whole(
        required=False,
        min_value=1,
        max_value=10_000,
        help_text="What a payout's fee may be of what it pays, in 1/10,000.",
    )
    fee_budget_daily_sat = Whole(
        required=False,
        allow_null=True,
        min_value=0,
        max_value=amount.MAX_SAT,
        help_text="What fees of payouts may add up to in a UTC day; null: no limit.",
    )
    bump_after_blocks = Whole(
        required=False,
        min_value=1,
        max_value=1008,
        help_text="After so many blocks without it an unconfirmed payout gets a higher fee.",
    )
    bump_alone_limit_sat = Whole(
        required=False,
        min_value=0,
        max_value=amount.MAX_SAT,
        help_text="A person's bump that adds more than this needs a second person.",
    )
    coins_wanted = Whole(
        required=False,
        min_value=1,
        max_value=100,
        help_text="Change is split until the wallet has so many confirmed coins.",
    )
    consolidate_feerate_sat_kvb = Whole(
        required=False,
        allow_null=True,
        min_value=100,
        max_value=1_000_000,
        help_text="At or below this rate small coins are merged; null: never.",
    )
    consolidate_budget_daily_sat = Whole(
        required=False,
        min_value=0,
        max_value=amount.MAX_SAT,
        help_text="What merging coins may cost in a UTC day.",
    )
    signing_deadline_s = Whole(
        required=False,
        min_value=60,
        max_value=31_536_000,
        help_text="How long signers elsewhere may take before an alarm is opened, in seconds.",
    )
    claim_term_days = Whole(
        required=False,
        allow_null=True,
        min_value=1,
        max_value=3_650,
        help_text="For how many days after the release people without an address may bring one; null: everybody needs one "
        "first.",
    )
    claimed_counts_as_changed = serializers.BooleanField(
        required=False,
        help_text="Whether an address that a person claimed with a link cools and is proved like one that replaced another.",
    )
    destination_cooling_s = Whole(
        required=False,
        min_value=0,
        max_value=31_536_000,
        help_text="How long an address that replaced another is not paid, in seconds.",
    )
    grievance_due_days = Whole(
        required=False,
        min_value=1,
        max_value=365,
        help_text="Within how many days a grievance is answered, before an alarm is opened.",
    )
    destination_proof = Whole(
        required=False,
        min_value=0,
        max_value=2,
        help_text="For which addresses a proof of control is needed: 0 none, 1 one that replaced another, 2 all.",
    )
    confirmations_settled = Whole(required=False, min_value=1, max_value=100)
    group_max_payments = Whole(required=False, min_value=1, max_value=3_000)
    group_max_vsize_vb = Whole(required=False, min_value=500, max_value=99_000)
    policy_profile = serializers.ChoiceField(
        required=False,
        choices=[(name, profile.title) for name, profile in PROFILES.items()],
        help_text="Which law it goes by: the name of a policy profile.",
    )
    language = serializers.ChoiceField(
        required=False,
        choices=settings.LANGUAGES,
        help_text="What messages and slips to its people are written in, and the pages that their links open.",
    )


class NewProgram(Rules):
    """A scheme; what is left out gets its default. The service checks the bounds."""

    code = Text(max_length=20)
    name = Text(max_length=200)
    currency = Text(
        required=False,
        max_length=3,
        help_text="What people are entitled to: sat, or money by its code of ISO 4217, such as PKR; it never changes.",
    )
    descriptor = Text(
        required=False,
        allow_blank=True,
        max_length=4_000,
        help_text="The multipath descriptor of a watch-only wallet, with its checksum: wpkh(KEY) or "
        "wsh(sortedmulti(m,KEY,...)) with KEY = [fingerprint/path]tpub/<0;1>/*. Without one the node's wallet signs, "
        "on regtest only.",
    )
    entity = Text(
        required=False, allow_blank=True, max_length=30, help_text="Who spends, in every line booked."
    )
    function = Text(required=False, allow_blank=True, max_length=30, help_text="What for, such as 10.71.")
    fund = Text(required=False, allow_blank=True, max_length=30, help_text="Out of which fund.")
    project = Text(
        required=False,
        allow_blank=True,
        max_length=30,
        help_text="For which project; else the program's code.",
    )


class ProgramOut(serializers.ModelSerializer[Program]):
    """A scheme and its rules; fee rates are satoshis per 1,000 virtual bytes."""

    network = serializers.ChoiceField(choices=[(n.value, n.value) for n in Network])
    created_by = Username()

    class Meta:
        model = Program
        fields = ["id", "code", "name", "currency", "network", *RULES, "created_by", "created_at"]
        read_only_fields = fields


class FundsOut(serializers.Serializer[Any]):
    """Satoshis: in the books, set aside for approved lists with their fees, and free."""

    booked_sat = serializers.IntegerField()
    reserved_sat = serializers.IntegerField()
    available_sat = serializers.IntegerField()


class WalletOut(serializers.Serializer[Any]):
    """Where to fund a program; no address until the engine has made the wallet, and ``reason`` says why."""

    is_ready = serializers.BooleanField()
    network = serializers.ChoiceField(choices=[(n.value, n.value) for n in Network])
    name = serializers.CharField()
    signer = serializers.ChoiceField(choices=Signer.choices)
    descriptor = serializers.CharField()
    funding_address = serializers.CharField(allow_null=True)
    ready_at = serializers.DateTimeField(allow_null=True)
    reason = serializers.CharField()


class NewMember(StrictSerializer):
    """Whom to give which role."""

    username = Text(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices)


class MemberOut(serializers.Serializer[Any]):
    """One role of one user in the program."""

    id = serializers.IntegerField()
    username = Username(source="user")
    role = serializers.ChoiceField(choices=Role.choices)
    granted_by = Username()
    created_at = serializers.DateTimeField()
