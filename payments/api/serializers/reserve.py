"""Holdings of the public sector, scans of what is on their addresses, and proposals of holdings."""

from typing import Any

from rest_framework import serializers

from govpay.api.serializers import StrictSerializer, Text, Whole
from ledger.models import Badge, ReserveScan
from ledger.models.lot import MOST_SAT
from payments.api.serializers.fields import NOTE_HELP
from payments.models import Holding, HoldingKind
from payments.models.reserve import MOST_ADDRESSES
from payments.reserve.addresses import MAX_INDEX
from payments.services import proposals

MAX_ID = 2**63 - 1
MAX_DESCRIPTOR = 4_000
STATES = [(name, name) for name in ("waiting", "running", "inconclusive", "done")]


class HoldingProposal(StrictSerializer):
    """A holding that there should be, or what of one should be otherwise; what is left out stays."""

    holding_id = Whole(
        required=False, min_value=1, max_value=MAX_ID, help_text="Which to change; without it a new one."
    )
    scope = Text(required=False, max_length=40, help_text="The institution in the books, such as reserve:1.")
    name = Text(required=False, max_length=60)
    kind = serializers.ChoiceField(required=False, choices=HoldingKind.choices)
    network = Text(required=False, max_length=20, help_text="Of declared addresses: where they are.")
    descriptor = Text(
        required=False,
        max_length=MAX_DESCRIPTOR,
        help_text="Watch-only, of one branch, with its checksum; the node makes its addresses.",
    )
    first_index = Whole(required=False, min_value=0, max_value=MAX_INDEX)
    last_index = Whole(required=False, min_value=0, max_value=MAX_INDEX)
    addresses = serializers.ListField(
        required=False,
        child=Text(max_length=120),
        min_length=1,
        max_length=MOST_ADDRESSES,
        help_text="Addresses; of declared ones each with a space and the satoshis that are said to be on it.",
    )
    cap_sat = Whole(
        required=False,
        min_value=1,
        max_value=MOST_SAT,
        help_text="What an address should hold at most; 50000000000 if nothing is said.",
    )
    is_ended = serializers.BooleanField(required=False)
    note = Text(max_length=proposals.MAX_NOTE, help_text=NOTE_HELP)


class BalanceOut(serializers.Serializer[Any]):
    """What an address held at a scan; of a declared one what was stated, and no outputs."""

    address = serializers.CharField()
    network = serializers.CharField()
    scope = serializers.CharField()
    holding_id = serializers.IntegerField(source="holding_number")
    badge = serializers.ChoiceField(choices=Badge.choices)
    amount_sat = serializers.IntegerField()
    utxo_count = serializers.IntegerField(allow_null=True)
    is_spent = serializers.BooleanField()
    is_reused = serializers.BooleanField()
    is_over_cap = serializers.BooleanField()


class HoldingOut(serializers.ModelSerializer[Holding]):
    """A holding, and whether this node verifies it."""

    address_count = serializers.IntegerField()
    badge = serializers.SerializerMethodField()
    proposal_id = serializers.IntegerField()

    class Meta:
        model = Holding
        fields = (
            *("id", "scope", "name", "kind", "badge", "network", "descriptor", "first_index", "last_index"),
            *("address_count", "cap_sat", "ended_at", "proposal_id"),
        )
        read_only_fields = fields

    def get_badge(self, row: Holding) -> Badge:
        """Say how its balances are known."""
        return row.badge


class ScanOut(serializers.ModelSerializer[ReserveScan]):
    """A scan; one that ``is_lost`` was of a block that left the active chain since."""

    is_lost = serializers.SerializerMethodField()

    class Meta:
        model = ReserveScan
        fields = ("id", "network", "block_hash", "height", "block_at", "scanned_at", "is_lost")
        read_only_fields = fields

    def get_is_lost(self, row: ReserveScan) -> bool:
        """Say whether its block left the chain."""
        return hasattr(row, "loss")


class TotalOut(serializers.Serializer[Any]):
    """What the newest scan found of a holding."""

    holding_id = serializers.IntegerField(source="holding_number")
    scope = serializers.CharField()
    name = serializers.CharField(source="holding")
    badge = serializers.ChoiceField(choices=Badge.choices)
    amount_sat = serializers.IntegerField()
    address_count = serializers.IntegerField()
    reused_count = serializers.IntegerField()
    over_cap_count = serializers.IntegerField()


class ReserveOut(serializers.Serializer[Any]):
    """Where scanning stands, the newest scan whose block is in the chain, and what it found."""

    state = serializers.ChoiceField(choices=STATES)
    began_at = serializers.DateTimeField(source="status.began_at", allow_null=True, default=None)
    ended_at = serializers.DateTimeField(source="status.ended_at", allow_null=True, default=None)
    due_at = serializers.DateTimeField(source="status.due_at", allow_null=True, default=None)
    fault = serializers.CharField(source="status.fault", default="")
    message = serializers.CharField(source="status.message", default="")
    scan = ScanOut(allow_null=True)
    holdings = TotalOut(source="totals", many=True)
