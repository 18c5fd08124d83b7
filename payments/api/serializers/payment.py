"""Payments and payouts, with what the chain says of them, and the node."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import Hex, StrictSerializer, Text, Whole
from payments.api.serializers.fields import NOTE_HELP, Address
from payments.api.serializers.people import MOST_AT_ONCE
from payments.models import PayoutKind, PayoutTxKind, Rail
from payments.onchain.network import Network
from payments.prices import currency as currencies
from payments.signer import conversion
from payments.states import PaymentStatus, PayoutStatus


class PaymentsToHold(StrictSerializer):
    """Payments of one list, and why they are held; the first of them is row 1 of what is refused."""

    payments = serializers.ListField(
        child=Whole(min_value=1, max_value=2**63 - 1), min_length=1, max_length=MOST_AT_ONCE
    )
    note = Text(max_length=2000, help_text=NOTE_HELP)


class PaymentsHeld(serializers.Serializer[Any]):
    """How many are held now because of it."""

    count = serializers.IntegerField()


class PayoutOut(serializers.Serializer[Any]):
    """A group that one tx pays, or a tx that moves our own coins and has no list.

    The rate is in satoshis per 1,000 virtual bytes. Until a block holds one, figures are those of the newest version.
    """

    id = serializers.IntegerField()
    program_id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=PayoutKind.choices)
    disbursement_id = serializers.IntegerField(allow_null=True)
    parent_id = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(choices=PayoutStatus.choices)
    payment_count = serializers.IntegerField()
    payments_minor = serializers.IntegerField(allow_null=True)
    payments_sat = serializers.IntegerField()
    txid = serializers.CharField(source="current_txid")
    fee_sat = serializers.IntegerField()
    change_sat = serializers.IntegerField()
    vsize_vb = serializers.IntegerField()
    feerate_sat_kvb = serializers.IntegerField()
    attempts = serializers.IntegerField()
    problem = serializers.CharField()
    block_hash = serializers.CharField(source="mined_block_hash", allow_null=True)
    block_height = serializers.IntegerField(source="mined_height", allow_null=True)
    confirmations = serializers.IntegerField()
    created_at = serializers.DateTimeField()


class PaymentOut(serializers.Serializer[Any]):
    """One line, and the voided payment that it stands in for, or the one that stands in for it.

    Where it is on chain is its payout's state; confirmations count blocks that govpay has read.
    """

    id = serializers.IntegerField()
    disbursement_id = serializers.IntegerField()
    line = serializers.IntegerField()
    reference = serializers.CharField(allow_null=True)
    currency = serializers.CharField()
    amount_minor = serializers.IntegerField(
        allow_null=True, help_text="What the person is entitled to, in a program of money."
    )
    amount_sat = serializers.IntegerField(allow_null=True, help_text="Null until a release has converted it.")
    remainder_minor = serializers.IntegerField(
        allow_null=True,
        help_text="What the satoshis are worth less than the entitlement, at the price of the list's quote.",
    )
    status = serializers.ChoiceField(choices=PaymentStatus.choices)
    rail = serializers.ChoiceField(choices=Rail.choices)
    sent_at = serializers.DateTimeField(allow_null=True)
    settled_at = serializers.DateTimeField(allow_null=True)
    address = Address(source="script_pubkey", allow_null=True)
    script_pubkey = Hex(allow_null=True)
    payout_id = serializers.IntegerField(allow_null=True)
    payout_status = serializers.ChoiceField(choices=PayoutStatus.choices, allow_null=True)
    txid = serializers.CharField(allow_null=True)
    vout = serializers.IntegerField(source="paying_vout", allow_null=True)
    reissue_of_id = serializers.IntegerField(allow_null=True)
    reissued_by_id = serializers.IntegerField(allow_null=True)
    block_hash = serializers.CharField(allow_null=True)
    block_height = serializers.IntegerField(allow_null=True)
    confirmations = serializers.IntegerField()
    payout = PayoutOut(required=False, help_text="Where `expand` asked for it, and there is one.")

    def to_representation(self, instance: Any) -> dict[str, Any]:
        """Show what a released line is by its list's quote before it is sealed, too."""
        shown: dict[str, Any] = super().to_representation(instance)
        price, minor = instance["price"], instance["amount_minor"]
        is_paid = instance["script_pubkey"] and instance["status"] in (
            PaymentStatus.PENDING,
            PaymentStatus.HELD,
        )
        if shown["amount_sat"] is None and price is not None and is_paid:
            terms = int(price * conversion.PRICE_UNIT), currencies.scale(instance["currency"])
            amount_sat = conversion.to_sat(minor, *terms)
            rest = minor - conversion.to_minor(amount_sat, *terms)
            shown |= {"amount_sat": amount_sat, "remainder_minor": rest}
        return shown


class PayoutTxOut(serializers.Serializer[Any]):
    """One version of a payout; at most one can ever confirm. ``signed_at`` is empty until its bytes are stored."""

    kind = serializers.ChoiceField(choices=PayoutTxKind.choices)
    txid = serializers.CharField()
    fee_sat = serializers.IntegerField()
    change_sat = serializers.IntegerField()
    vsize_vb = serializers.IntegerField()
    feerate_sat_kvb = serializers.IntegerField()
    built_at = serializers.DateTimeField()
    signed_at = serializers.DateTimeField(allow_null=True)


class PayoutInputOut(serializers.Serializer[Any]):
    """An outpoint that the payout spends."""

    position = serializers.IntegerField()
    txid = serializers.CharField()
    vout = serializers.IntegerField()
    amount_sat = serializers.IntegerField()
    is_live = serializers.BooleanField()


class PayoutDetail(PayoutOut):
    """A payout with its signed txs and its inputs."""

    txs = PayoutTxOut(many=True)
    inputs = PayoutInputOut(many=True)


class NodeOut(serializers.Serializer[Any]):
    """The last look at the node and its age; nothing here asks the node."""

    network = serializers.ChoiceField(choices=[(n.value, n.value) for n in Network])
    is_ok = serializers.BooleanField()
    code = serializers.CharField()
    message = serializers.CharField()
    subversion = serializers.CharField()
    block_hash = serializers.CharField()
    block_height = serializers.IntegerField(allow_null=True)
    checked_at = serializers.DateTimeField(allow_null=True)
    age_s = serializers.IntegerField(allow_null=True)
