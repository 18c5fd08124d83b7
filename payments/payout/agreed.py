"""Checks that what is about to be paid is what people agreed to, by MACs whose key the database lacks.

Whoever can write any row of the database, but runs no process of ours, can make no list payable with this: each step of
a list leaves an Approval whose MAC covers list, manifest, person, group, times and tier. Release checks those of the
approvers, and sealing checks all of them and, by the manifest's hash, every line before it goes into a payout.
"""

import bisect
import hashlib
import hmac
import itertools
import json
from collections import Counter, OrderedDict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.conf import settings

from govpay.errors import Conflict
from ledger.conversion import Converted
from payments.models import Approval, Disbursement, Payment, Quote, Step
from payments.payout import alarms, manifest
from payments.prices import currency as currencies
from payments.signer import conversion
from payments.signer.conversion import PRICE_UNIT
from payments.states import DisbursementStatus

VERSION = "govpay-approval-1"
# Lines whose digest is kept together, and lists whose digests a process keeps.
PART, LISTS_KEPT = 500, 16


class ApprovalForged(Conflict):
    """What the database says of a list's approvals was written by none of our processes, or is of another list."""

    code = "approval_forged"


class ApprovalExpired(Conflict):
    """Too few approvals of the list count still; those who gave them, or others, approve it again."""

    code = "approval_expired"


class Part(NamedTuple):
    """Lines of an agreed manifest in a row: first and last payment's id, how many, and SHA-256 of their text."""

    first: int
    last: int
    length: int
    digest: bytes


class Manifest(NamedTuple):
    """An agreed manifest: its header, its lines in parts, and the quote that converted them as its MAC covers it."""

    header: bytes
    parts: list[Part]
    quoted: list[Any] | None


# Released lists by id and hash: that people agreed to a hash, and what hashes to it, stays true for ever.
_manifests: OrderedDict[tuple[int, bytes], Manifest] = OrderedDict()


def mac_of(key_id: str, *fields: Any) -> bytes | None:
    """Return the HMAC-SHA256 over the fields' canonical JSON under the named key; None when we do not hold it."""
    key = settings.GOVPAY_APPROVAL_KEYS.get(key_id)
    text = json.dumps([key_id, *fields], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return None if key is None else hmac.digest(key, text.encode(), "sha256")


def newest_key() -> str:
    """Return the id of the key that writes MACs."""
    return next(iter(settings.GOVPAY_APPROVAL_KEYS))


def is_mac(mac: Any, key_id: str, *fields: Any) -> bool:
    """Tell whether the MAC is ours and says these fields."""
    expected = mac_of(key_id, *fields)
    return expected is not None and hmac.compare_digest(bytes(mac or b""), expected)


def moment(at: datetime | None) -> str | None:
    """Write a time as MACs do."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="microseconds")


def record(
    disbursement: Disbursement,
    step: Step,
    user_id: int,
    *,
    at: datetime,
    group: str = "",
    expires_at: datetime | None = None,
) -> Approval:
    """Keep one person's word on the list as it is in ``disbursement``, with its MAC."""
    row = Approval(
        disbursement=disbursement,
        step=step,
        user_id=user_id,
        group_name=group,
        manifest_hash=bytes(disbursement.manifest_hash or b""),
        at=at,
        expires_at=expires_at,
        key_id=newest_key(),
    )
    mac = mac_of(row.key_id, *_fields(row, disbursement))
    assert mac is not None
    row.mac = mac
    row.save(force_insert=True)
    return row


def _fields(row: Approval, disbursement: Disbursement) -> tuple[Any, ...]:
    # Who releases money says by which quote, too: what it says is in the MAC, so that no other takes its place.
    quote = disbursement.quote if row.step == Step.RELEASE else None
    return (
        VERSION,
        row.step,
        row.disbursement_id,
        bytes(row.manifest_hash).hex(),
        row.user_id,
        row.group_name,
        moment(row.at),
        moment(row.expires_at),
        disbursement.approval_tier,
        *([] if quote is None else [_quoted(quote)]),
    )


def _quoted(quote: Quote) -> list[Any]:
    times = (moment(quote.taken_at), moment(quote.expires_at))
    return [quote.pk, quote.currency, f"{quote.price:.8f}", *times, bytes(quote.mac).hex()]


def converted(line: Payment, quote: Quote | None) -> Converted | None:
    """Return what a line of a released list of money is by its quote; None of satoshis, and of what waits for an address."""
    if line.amount_minor is None or quote is None or not line.script_pubkey:
        return None
    terms = rate(quote)
    amount_sat = conversion.to_sat(line.amount_minor, *terms)
    return Converted(
        line.amount_minor, amount_sat, line.amount_minor - conversion.to_minor(amount_sat, *terms)
    )


def satoshis(disbursement: Disbursement, amounts: Iterable[int]) -> list[int]:
    """Return what these entitlements of a released list are in satoshis: of money by its quote, else what they are."""
    if disbursement.quote is None:
        return list(amounts)
    terms = rate(disbursement.quote)
    return [conversion.to_sat(amount, *terms) for amount in amounts]


def rate(quote: Quote) -> tuple[int, int]:
    """Return a quote's price in hundred-millionths of major units, and how many digits the currency's minor units have."""
    return int(quote.price * PRICE_UNIT), currencies.scale(quote.currency)


class Agreement:
    """What people said of one list's manifest, all of it verified."""

    def __init__(self, disbursement: Disbursement, rows: Iterable[Approval]) -> None:
        self.disbursement = disbursement
        self.rows = [
            row for row in rows if bytes(row.manifest_hash) == bytes(disbursement.manifest_hash or b"")
        ]
        for row in self.rows:
            if not is_mac(row.mac, row.key_id, *_fields(row, disbursement)):
                raise _forged(disbursement, f"the MAC of approval {row.pk} is not ours")
        if [row.user_id for row in self._of(Step.SUBMIT)] != [disbursement.made_by_id]:
            raise _forged(disbursement, "its maker has not submitted this manifest under this tier")

    def _of(self, step: Step) -> list[Approval]:
        return [row for row in self.rows if row.step == step]

    @property
    def approvals(self) -> list[Approval]:
        """What the approvers said, expired or not; the maker's word is none."""
        return [row for row in self._of(Step.APPROVE) if row.user_id != self.disbursement.made_by_id]

    def missing(self, at: datetime | None) -> dict[str, int]:
        """Return how many approvals of which group are missing at that time; without one, whatever expired counts."""
        # One person counts once, whatever they said how often.
        latest = {
            row.user_id: row
            for row in sorted(self.approvals, key=lambda row: row.at)
            if at is None or (row.expires_at is not None and row.at <= at < row.expires_at)
        }
        given = Counter(row.group_name for row in latest.values())
        needs = self.disbursement.approval_tier["needs"]
        return {group: count - given[group] for group, count in needs.items() if given[group] < count}

    def require_approved(self, at: datetime) -> None:
        """Raise ApprovalForged where too few people approved, ApprovalExpired where too few of them count at that time."""
        if self.missing(None):
            raise _forged(self.disbursement, f"approvals are missing: {self.missing(None)}")
        if missing := self.missing(at):
            names = ", ".join(f"{count} of {group}" for group, count in sorted(missing.items()))
            raise ApprovalExpired(
                f"Approvals of the list have expired; approve it again: {names}.", missing=missing
            )

    def require_released(self) -> None:
        """Raise ApprovalForged unless somebody else than maker and approvers released what was approved then."""
        released = self._of(Step.RELEASE)
        others = {self.disbursement.made_by_id, *(row.user_id for row in self.approvals)}
        if [row.user_id for row in released] != [self.disbursement.released_by_id]:
            raise _forged(self.disbursement, "whoever it names has not released it")
        if released[0].user_id in others:
            raise _forged(self.disbursement, "its releaser made or approved it")
        try:
            self.require_approved(released[0].at)
        except ApprovalExpired as error:
            raise _forged(self.disbursement, "its approvals had expired when it was released") from error


def of(disbursement: Disbursement) -> Agreement:
    """Read and verify what people said of a list; raise ApprovalForged."""
    return Agreement(disbursement, Approval.objects.filter(disbursement=disbursement).order_by("pk"))


def _forged(disbursement: Disbursement, why: str) -> ApprovalForged:
    return ApprovalForged(
        f"List {disbursement.pk} is not what people agreed to: {why}. Nothing of it is paid.",
        disbursement_id=disbursement.pk,
    )


def require_lines(disbursement: Disbursement, rows: Iterable[tuple[Any, ...]]) -> None:
    """Raise ApprovalForged unless the list was approved and released, and these payments are in its manifest.

    ``rows`` are manifest.COLUMNS of locked payments, by number, and their satoshis, which must be what their list's quote
    makes of them, if they have any yet. Where they are all that a part of the manifest says,
    as groups as long as parts are, nothing is read.
    """
    parts = _agreed(disbursement).parts
    firsts = [part.first for part in parts]
    # Before the first part is the last one, by the place's sign, which no line there is in either.
    for place, group in itertools.groupby(rows, lambda row: bisect.bisect_right(firsts, row[0]) - 1):
        part, claimed = parts[place], list(group)
        _require_converted(disbursement, claimed)
        claimed = [row[:-1] for row in claimed]
        # The manifest says the same of no script and of an empty one, which would pay whoever comes first.
        waiting = next((row[0] for row in claimed if not row[2]), None)
        if waiting is not None:
            raise _forged(disbursement, f"payment {waiting} waits for its person and has no script")
        if not part.first <= claimed[0][0] <= claimed[-1][0] <= part.last:
            raise _forged(disbursement, f"payment {claimed[-1][0]} was added to it")
        if len(claimed) < part.length:
            claimed = list(manifest.lines(disbursement, pk__range=(part.first, part.last)))
        if hashlib.sha256(manifest.text_of_lines(claimed)).digest() != part.digest:
            raise _forged(disbursement, f"what it pays from payment {part.first} to {part.last} was changed")


def _require_converted(disbursement: Disbursement, rows: Iterable[tuple[Any, ...]]) -> None:
    quote = disbursement.quote
    if quote is None and not disbursement.program.pays_sat:
        raise _forged(disbursement, "it was released without a quote")
    terms = None if quote is None else rate(quote)
    for payment_id, _, _, amount, _, amount_sat in rows:
        # Of money that is written with the output, unless somebody wanted it before.
        if (amount_sat is not None or terms is None) and amount_sat != (
            amount if terms is None else conversion.to_sat(amount, *terms)
        ):
            raise _forged(
                disbursement, f"payment {payment_id} is of {amount_sat} sat by no quote of its list"
            )


def read(disbursement: Disbursement) -> None:
    """Verify a list and read its manifest ahead of its sealing, which holds the wallet's row; raise ApprovalForged."""
    _agreed(disbursement)


def _agreed(disbursement: Disbursement) -> Manifest:
    key = (disbursement.pk, bytes(disbursement.manifest_hash or b""))
    header = manifest.header(disbursement)
    # Not by its number alone: a row of another price would be believed.
    quoted = None if disbursement.quote is None else _quoted(disbursement.quote)
    known = _manifests.get(key)
    if known is not None and (known.header, known.quoted) == (header, quoted):
        return known
    of(disbursement).require_released()
    whole = hashlib.sha256(header)
    parts = []
    rows = manifest.lines(disbursement).iterator(chunk_size=manifest.CHUNK)
    while chunk := list(itertools.islice(rows, PART)):
        text = manifest.text_of_lines(chunk)
        whole.update(text)
        parts.append(Part(chunk[0][0], chunk[-1][0], len(chunk), hashlib.sha256(text).digest()))
    if whole.digest() != key[1]:
        raise _forged(disbursement, "its lines or totals were changed")
    _manifests[key] = Manifest(header, parts, quoted)
    while len(_manifests) > LISTS_KEPT:
        _manifests.popitem(last=False)
    return _manifests[key]


def alarm(error: ApprovalForged) -> None:
    """Sound the alarm about a list that is not what people agreed to; a person closes it."""
    pk = error.details["disbursement_id"]
    program_id = Disbursement.objects.values_list("program_id", flat=True).get(pk=pk)
    alarms.sound(
        ApprovalForged.code,
        subject="disbursement",
        subject_id=pk,
        program_id=program_id,
        message=error.message,
    )


def watch() -> None:
    """Look through the lists that may be approved, released or paid for what people never said."""
    standing = [DisbursementStatus.SUBMITTED, DisbursementStatus.APPROVED, DisbursementStatus.RELEASED]
    lists = (
        Disbursement.objects.filter(status__in=standing)
        .select_related("quote")
        .prefetch_related("approvals")
        .order_by("pk")
    )
    for disbursement in lists.iterator(chunk_size=PART):
        try:
            agreement = Agreement(disbursement, disbursement.approvals.all())
            if disbursement.status != DisbursementStatus.SUBMITTED and agreement.missing(None):
                raise _forged(disbursement, f"approvals are missing: {agreement.missing(None)}")
            if disbursement.status == DisbursementStatus.RELEASED:
                agreement.require_released()
        except ApprovalForged as error:
            alarm(error)
