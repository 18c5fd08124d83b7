"""What the ledger's API takes and shows."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from ledger.models import AccountKind, BreakKind, Layer, RunStatus
from ledger.reconciliation.run import MOST_BREAKS_STORED


class Strict(serializers.Serializer[Any]):
    """Refuses what it does not know, because it would be dropped silently."""

    unknown_code = "unknown_field"

    def to_internal_value(self, data: Any) -> Any:
        """Return the validated fields; raise ValidationError for one that was not declared."""
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                refusal = serializers.ErrorDetail("This is not accepted here.", code=self.unknown_code)
                raise serializers.ValidationError({name: [refusal] for name in unknown})
        return super().to_internal_value(data)


def body(kind: type[Strict], request: Request) -> dict[str, Any]:
    """Return the validated fields of a request's body; raise ValidationError."""
    given = kind(data=request.data)
    given.is_valid(raise_exception=True)
    return dict(given.validated_data)


@extend_schema_field({"type": "string", "pattern": "^[0-9a-f]{64}$"})
class Digest(serializers.Field[Any, Any, str, Any]):
    """32 bytes as hex."""

    def to_representation(self, value: Any) -> str:
        """Return 64 hex digits."""
        return bytes(value).hex()


@extend_schema_field({"type": "string"})
class Username(serializers.Field[Any, Any, str, Any]):
    """A user, by the name that they have now."""

    def to_representation(self, value: Any) -> str:
        """Return the name."""
        return str(value.get_username())


class Account(serializers.Serializer[Any]):
    """An account and what stands on it; debits are positive."""

    id = serializers.IntegerField()
    code = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=AccountKind.choices)
    scope = serializers.CharField()
    currency = serializers.CharField()
    scale = serializers.IntegerField(help_text="Amounts are whole units of 10 to the power of minus scale.")
    entity = serializers.CharField(allow_blank=True, help_text="Who spends; empty where nobody classified.")
    function = serializers.CharField(allow_blank=True, help_text="What for.")
    object = serializers.CharField(allow_blank=True, help_text="On what.")
    fund = serializers.CharField(allow_blank=True, help_text="Out of which fund.")
    project = serializers.CharField(allow_blank=True, help_text="For which project.")
    balance = serializers.IntegerField(help_text="Settled debits minus credits.")


class Entry(serializers.Serializer[Any]):
    """A journal entry; it is never changed, only reversed by another."""

    id = serializers.IntegerField()
    kind = serializers.CharField()
    scope = serializers.CharField()
    idempotency_key = serializers.CharField()
    effective_at = serializers.DateTimeField(help_text="The time under which it counts.")
    original_at = serializers.DateTimeField(
        allow_null=True, help_text="When a late fact happened, in a period that was closed already."
    )
    recorded_at = serializers.DateTimeField(help_text="When it was written.")
    line_count = serializers.IntegerField()
    amount_sat = serializers.IntegerField(help_text="The sum of its debits on satoshi accounts.")
    memo = serializers.CharField(allow_blank=True)
    source_ref = serializers.CharField(allow_blank=True)
    actor = serializers.CharField(allow_blank=True)
    approver = serializers.CharField(allow_blank=True)
    reversal_of_id = serializers.IntegerField(allow_null=True)
    reversed_by_id = serializers.IntegerField(allow_null=True)
    block_hash = serializers.CharField(allow_blank=True, help_text="Empty unless a block proves the entry.")
    block_height = serializers.IntegerField(allow_null=True)


class Posting(serializers.Serializer[Any]):
    """A line of an entry: a signed amount in the account's units; debits are positive."""

    id = serializers.IntegerField()
    entry_id = serializers.IntegerField()
    account_code = serializers.CharField()
    currency = serializers.CharField()
    scale = serializers.IntegerField()
    amount = serializers.IntegerField()
    reference = serializers.IntegerField(allow_null=True, help_text="The payment that the line is about.")
    layer = serializers.ChoiceField(choices=Layer.choices)


class EntryWithPostings(Entry):
    """A journal entry and all its lines, in the order in which they were written."""

    postings = Posting(many=True)


class TrialBalanceQuery(Strict):
    """Which accounts, and when."""

    unknown_code = "unknown_parameter"

    scope = serializers.CharField(
        required=False,
        max_length=40,
        trim_whitespace=False,
        help_text="One scope such as program:1; else all.",
    )
    as_of = serializers.DateTimeField(
        required=False, help_text="The effective time up to which entries count; else now."
    )
    known_at = serializers.DateTimeField(
        required=False, help_text="The time up to which entries were written; else now."
    )
    layer = serializers.ChoiceField(choices=Layer.choices, default=Layer.SETTLED)


class TrialBalanceAccount(serializers.Serializer[Any]):
    """A line of the trial balance."""

    code = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(choices=AccountKind.choices)
    currency = serializers.CharField()
    scale = serializers.IntegerField()
    debit = serializers.IntegerField()
    credit = serializers.IntegerField()
    balance = serializers.IntegerField()
    entity = serializers.CharField(allow_blank=True)
    function = serializers.CharField(allow_blank=True)
    object = serializers.CharField(allow_blank=True)
    fund = serializers.CharField(allow_blank=True)
    project = serializers.CharField(allow_blank=True)


class TrialBalanceTotal(serializers.Serializer[Any]):
    """The sums in one currency, which honest books keep equal."""

    currency = serializers.CharField()
    debit = serializers.IntegerField()
    credit = serializers.IntegerField()


class TrialBalance(serializers.Serializer[Any]):
    """Debits and credits of every account."""

    scope = serializers.CharField(allow_null=True)
    as_of = serializers.DateTimeField(allow_null=True)
    known_at = serializers.DateTimeField(allow_null=True)
    layer = serializers.ChoiceField(choices=Layer.choices)
    is_balanced = serializers.BooleanField()
    totals = TrialBalanceTotal(many=True)
    accounts = TrialBalanceAccount(many=True)


class Checkpoint(serializers.Serializer[Any]):
    """A signed head of the tree over all entries."""

    id = serializers.IntegerField()
    size = serializers.IntegerField(help_text="How many entries it covers.")
    head = Digest(help_text="The head of the Merkle tree (RFC 6962) over them.")
    verifier = serializers.CharField(help_text="The key that signed it: name, id and public key.")
    signed_at = serializers.DateTimeField()


class SignedCheckpoint(Checkpoint):
    """A checkpoint with the note itself."""

    note = serializers.CharField(
        trim_whitespace=False, help_text="C2SP tlog-checkpoint, with the lines of witnesses."
    )


class ProofQuery(Strict):
    """In which tree."""

    unknown_code = "unknown_parameter"

    size = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text="The size of a checkpoint; else the newest one.",
    )


class InclusionProof(serializers.Serializer[Any]):
    """That an entry is in the tree of a signed checkpoint. The leaf's hash follows from salt and payload."""

    entry_id = serializers.IntegerField()
    checkpoint_id = serializers.IntegerField()
    leaf_index = serializers.IntegerField()
    tree_size = serializers.IntegerField()
    leaf_hash = Digest()
    head = Digest(help_text="The head of the tree that the checkpoint signs.")
    path = serializers.ListField(child=Digest(), help_text="RFC 6962 audit path, from the leaf up.")
    salt = serializers.CharField(allow_null=True, help_text="Base64; null where it was blacked out.")
    payload = serializers.CharField(allow_null=True, help_text="Base64 of the bytes that were sealed.")
    proof = serializers.CharField(trim_whitespace=False, help_text="C2SP tlog-proof.")


class ConsistencyQuery(Strict):
    """Between which sizes of the tree."""

    unknown_code = "unknown_parameter"

    old = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    new = serializers.IntegerField(min_value=1, max_value=2**63 - 1)


class ConsistencyProof(serializers.Serializer[Any]):
    """That the tree over ``new_size`` leaves begins with the one over ``old_size``."""

    old_size = serializers.IntegerField()
    new_size = serializers.IntegerField()
    old_head = Digest()
    new_head = Digest()
    path = serializers.ListField(child=Digest(), help_text="RFC 6962 consistency proof.")


class ReconciliationRun(serializers.Serializer[Any]):
    """One comparison of claims, books and blocks at one block."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    status = serializers.ChoiceField(choices=RunStatus.choices)
    reason = serializers.CharField(allow_blank=True, help_text="Why it is inconclusive; else empty.")
    is_full = serializers.BooleanField(
        help_text="Whether all was read, or what changed since the run before."
    )
    previous_id = serializers.IntegerField(
        allow_null=True, help_text="The run from whose watermarks it went on."
    )
    block_hash = serializers.CharField(allow_blank=True)
    block_height = serializers.IntegerField(allow_null=True)
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="By outcome.")
    totals = serializers.DictField(child=serializers.IntegerField(), help_text="In satoshis.")
    break_count = serializers.IntegerField(
        help_text=f"All of them; rows are kept of the first {MOST_BREAKS_STORED:,} at most."
    )
    explained_count = serializers.IntegerField(help_text="How many of the breaks two people have explained.")
    uncased_count = serializers.IntegerField(
        help_text="For how many places there is no case yet; the next runs open theirs."
    )
    digest = Digest(help_text="SHA-256 over what was found: equal in two runs that found the same.")
    started_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField()


class RunUnderWay(serializers.Serializer[Any]):
    """A comparison that goes on now, and how far it is."""

    id = serializers.IntegerField()
    scope = serializers.CharField()
    is_full = serializers.BooleanField(help_text="Whether it was asked to read all.")
    started_at = serializers.DateTimeField()
    seen_at = serializers.DateTimeField(
        help_text="When it was last heard of: it says nothing while it compares, nor once its process died."
    )
    step = serializers.CharField(allow_blank=True)
    done = serializers.IntegerField(help_text="So much of the step is done.")
    total = serializers.IntegerField(help_text="So much there is; 0 where nobody counts.")


class Reconciliation(Strict):
    """What to reconcile."""

    scope = serializers.CharField(
        required=False,
        max_length=40,
        trim_whitespace=False,
        help_text="One scope such as program:1; else all.",
    )
    is_full = serializers.BooleanField(
        required=False, help_text="Read all, which proves the runs before, and not only what changed."
    )


class ReconciliationRuns(serializers.Serializer[Any]):
    """The runs that were made, one a scope."""

    runs = ReconciliationRun(many=True)


class Break(serializers.Serializer[Any]):
    """One typed difference: what was expected, what was found, and where to look."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=BreakKind.choices)
    unit = serializers.CharField(allow_blank=True, help_text="What it is about, in the books' words.")
    amount_sat = serializers.IntegerField(
        allow_null=True, help_text="What the chain moved on the wallet more than the books say."
    )
    payment_id = serializers.IntegerField(allow_null=True)
    payout_id = serializers.IntegerField(allow_null=True)
    txid = serializers.CharField(allow_blank=True)
    vout = serializers.IntegerField(allow_null=True)
    expected = serializers.CharField(allow_blank=True)
    found = serializers.CharField(allow_blank=True)
    message = serializers.CharField()
