"""Every status, what it means, and the table of the changes that are allowed."""

from dataclasses import dataclass

from django.db import models

from govpay.errors import Conflict


class DisbursementStatus(models.TextChoices):
    """Where an officers' list stands."""

    DRAFT = "draft", "Draft"  # Lines are loaded; only the maker works on it.
    SUBMITTED = (
        "submitted",
        "Submitted",
    )  # Destinations are copied, the manifest is fixed; waits for an approver.
    APPROVED = (
        "approved",
        "Approved",
    )  # Funds are reserved and the allotment is encumbered; waits for a releaser.
    RELEASED = "released", "Released"  # The engine may pay it.
    COMPLETED = "completed", "Completed"  # Every payment is settled or cancelled.
    REJECTED = "rejected", "Rejected"  # An approver said no.
    CANCELLED = "cancelled", "Cancelled"  # Withdrawn before release.


class PaymentStatus(models.TextChoices):
    """A line's own status; what the chain says of it is its payout's status, never copied here."""

    PENDING = "pending", "Cleared"  # To be paid once its list is released; then its payout tells.
    HELD = "held", "Held"  # An officer or a rule stopped this line; the rest is paid.
    CANCELLED = "cancelled", "Cancelled"  # Never to be paid in this disbursement.
    VOIDED = "voided", "Voided"  # Its payout can never confirm; a reissue in another list may pay it.


class PayoutStatus(models.TextChoices):
    """Where a sealed group of payments stands."""

    SEALED = "sealed", "Sealed"  # Payments and outpoints are claimed; nothing has left the database.
    UNSEALED = "unsealed", "Unsealed"  # Given up before commitment; its payments are free again.
    COMMITTED = "committed", "Committed"  # A signer may have seen it; never again unpaid and re-payable.
    SIGNED = "signed", "Signed"  # Raw bytes and journal entry are stored.
    SENT = "sent", "Sent"  # A node accepted the bytes.
    MINED = "mined", "Mined"  # In a block of the active chain.
    SETTLED = "settled", "Settled"  # Buried as deep as the program asks.
    FROZEN = "frozen", "Frozen"  # Something is wrong that only a person can judge; an alarm is open.
    VOIDING = (
        "voiding",
        "Voiding",
    )  # Given up by two people; its anchor goes back to us unless it confirms first.
    VOIDED = "voided", "Voided"  # Its coin is spent otherwise, 100 blocks deep: none of its txs can confirm.


class ImportStatus(models.TextChoices):
    """Where a file stands that is imported in the background."""

    MAPPING = "mapping", "Mapping"  # The file is stored; an officer says which column holds what.
    WAITING = "waiting", "Waiting"  # The file is stored; a worker takes it in some seconds.
    CHECKING = "checking", "Checking"  # A worker reads it, part by part.
    READY = "ready", "Ready"  # Every row is checked; nothing counts until an officer confirms.
    LOADING = "loading", "Loading"  # An officer confirmed; a worker writes it, whole.
    DONE = "done", "Done"  # It counts.
    REFUSED = "refused", "Refused"  # Rows, control totals or the file are wrong; nothing of it counts.
    CANCELLED = "cancelled", "Cancelled"  # An officer withdrew it, or nobody confirmed it in time.


class InterventionStatus(models.TextChoices):
    """Where a person's request about a payout or wallet stands."""

    PROPOSED = "proposed", "Proposed"  # Waits for a second person.
    APPROVED = "approved", "Approved"  # The engine may act on it.
    DONE = "done", "Done"  # The engine did it.
    REJECTED = "rejected", "Rejected"  # A second person said no.
    WITHDRAWN = "withdrawn", "Withdrawn"  # Whoever proposed it took it back.
    FAILED = "failed", "Failed"  # What it asked for was no longer possible; nothing was changed.


class ProposalStatus(models.TextChoices):
    """Where a change of rules or roles stands."""

    PROPOSED = "proposed", "Proposed"  # Waits for a second person, until it expires.
    CONFIRMED = "confirmed", "Confirmed"  # A second person agreed, and it was done at once.
    REJECTED = "rejected", "Rejected"  # A second person said no.
    WITHDRAWN = "withdrawn", "Withdrawn"  # Whoever proposed it took it back.


class WarrantStatus(models.TextChoices):
    """Where a step of an allotment or of its cash stands."""

    PROPOSED = "proposed", "Proposed"  # Waits for a treasurer who is somebody else.
    CONFIRMED = "confirmed", "Confirmed"  # The period's total has moved by it.
    REJECTED = "rejected", "Rejected"  # A treasurer said no.
    WITHDRAWN = "withdrawn", "Withdrawn"  # Whoever proposed it took it back.


class GrievanceStatus(models.TextChoices):
    """Where what a person complains of stands."""

    LODGED = "lodged", "Lodged"  # Waits for somebody to take it; its clock runs.
    WORKING = "working", "Working"  # It has an owner; its clock runs.
    ANSWERED = "answered", "Answered"  # The person can read the answer, and agree or not.
    CLOSED = "closed", "Closed"  # The person agreed, or said nothing in time.
    WITHDRAWN = "withdrawn", "Withdrawn"  # The person took it back.


class EntitlementStatus(models.TextChoices):
    """Where a line of a released list stands whose person has no address yet."""

    WAITING = "waiting", "Waiting"  # Its person may bring an address until its term is over.
    CLAIMED = "claimed", "Claimed"  # Its person has an address now; an officer lists it.
    LISTED = "listed", "Listed"  # An approved list pays it, and holds its money.
    EXPIRED = "expired", "Expired"  # Nobody claimed it in time; its money went back.
    WITHDRAWN = "withdrawn", "Withdrawn"  # People took its line back.


class BankFileStatus(models.TextChoices):
    """Where a file of credit transfers stands."""

    WAITING = (
        "waiting",
        "Being written",
    )  # Its lines are fixed; a worker writes and checks it in some seconds.
    READY = "ready", "Ready"  # It holds to the schema and its hash is kept; a treasurer takes it to the bank.
    FETCHED = "fetched", "Fetched"  # Somebody has it, and the bank may have: its lines are in transit.
    ANSWERED = "answered", "Answered"  # The bank has paid or rejected every line.


class DecisionStatus(models.TextChoices):
    """Where what a trust's board decides stands."""

    OPEN = "open", "Open"  # Its proposer signed; waits for a second member, until it expires.
    CARRIED = "carried", "Carried"  # Two members signed, and it was done at once.
    WITHDRAWN = "withdrawn", "Withdrawn"  # Its proposer took it back.
    VOID = "void", "Void"  # The board that it was proposed to is another.


class LegStatus(models.TextChoices):
    """Where the bitcoin leg of somebody stands who elected currency."""

    ASKED = "asked", "Asked"  # Its list is submitted, and pays the trust's address.
    TAKEN = "taken", "Taken"  # Released: the trust has promised the currency, at a price that is fixed.
    REFUSED = "refused", "Refused"  # The trust did not take it; its line is held, and its person chooses.
    OWED = "owed", "Owed"  # The trust has the bitcoin, and owes the currency.
    INSTRUCTED = "instructed", "Instructed"  # A bank is told to pay it.
    PAID = "paid", "Paid"  # The bank has paid it.
    FREED = "freed", "Freed"  # Its payment was withdrawn or is void; nothing is owed.


class VoucherStatus(models.TextChoices):
    """Where a voucher stands."""

    WAITING = "waiting", "Not printed"  # Its code is not made yet; nobody can redeem it.
    ISSUED = "issued", "Issued"  # Its code was shown once; an agent redeems it until its term is over.
    REDEEMED = "redeemed", "Redeemed"  # An agent paid it.
    EXPIRED = "expired", "Expired"  # Nobody redeemed it in time; its money went back.
    CANCELLED = "cancelled", "Cancelled"  # Two people took it back; another may stand in for it.


@dataclass(frozen=True)
class Arrow:
    """One allowed change and why it happens."""

    old: str
    new: str
    reason: str


D = DisbursementStatus
P = PaymentStatus
PO = PayoutStatus
IM = ImportStatus
PR = ProposalStatus
I = InterventionStatus  # noqa: E741 - the one-letter names make the table readable.
W = WarrantStatus
G = GrievanceStatus
E = EntitlementStatus
BF = BankFileStatus
DE = DecisionStatus
L = LegStatus
V = VoucherStatus

TRANSITIONS: dict[str, tuple[Arrow, ...]] = {
    "disbursement": (
        Arrow(D.DRAFT, D.SUBMITTED, "the maker fixed the list"),
        Arrow(D.DRAFT, D.CANCELLED, "the maker withdrew the list"),
        Arrow(D.SUBMITTED, D.APPROVED, "an approver agreed to the manifest"),
        Arrow(D.SUBMITTED, D.REJECTED, "an approver refused"),
        Arrow(D.SUBMITTED, D.CANCELLED, "the maker withdrew the list"),
        Arrow(D.APPROVED, D.RELEASED, "a releaser let the engine pay"),
        Arrow(D.APPROVED, D.CANCELLED, "withdrawn; the encumbrance is lifted"),
        Arrow(D.RELEASED, D.COMPLETED, "every payment is settled or cancelled"),
        Arrow(D.COMPLETED, D.RELEASED, "a reorganization unsettled a payout"),
    ),
    "payment": (
        Arrow(P.PENDING, P.HELD, "an officer, a rule, or the node's refusal, stopped the line"),
        Arrow(P.HELD, P.PENDING, "a second officer, or the end of what a rule saw, let the line go on"),
        Arrow(P.PENDING, P.CANCELLED, "its disbursement was withdrawn"),
        Arrow(P.HELD, P.CANCELLED, "the line or its disbursement was withdrawn"),
        Arrow(P.PENDING, P.VOIDED, "what paid it is dead: it can never arrive"),
        Arrow(P.VOIDED, P.PENDING, "a reorganization of 100 blocks made its payout possible again"),
    ),
    "payout": (
        Arrow(PO.SEALED, PO.COMMITTED, "its coins are there; the signer may see it"),
        Arrow(PO.SEALED, PO.UNSEALED, "a coin was gone before anybody could sign"),
        Arrow(PO.COMMITTED, PO.SIGNED, "the signed bytes are stored"),
        Arrow(PO.COMMITTED, PO.MINED, "a block holds it before its bytes were stored"),
        Arrow(PO.COMMITTED, PO.FROZEN, "the signer or the chain contradicts the seal"),
        Arrow(PO.COMMITTED, PO.VOIDING, "two people gave it up"),
        Arrow(PO.COMMITTED, PO.VOIDED, "its coin was spent otherwise, for good"),
        Arrow(PO.SIGNED, PO.SENT, "a node accepted the bytes"),
        Arrow(PO.SIGNED, PO.MINED, "a block holds it before a reply was read"),
        Arrow(PO.SIGNED, PO.FROZEN, "the node refuses the bytes or a stranger spent its coin"),
        Arrow(PO.SIGNED, PO.VOIDING, "two people gave it up"),
        Arrow(PO.SIGNED, PO.VOIDED, "its coin was spent otherwise, for good"),
        Arrow(PO.SENT, PO.MINED, "a block holds it"),
        Arrow(PO.SENT, PO.FROZEN, "a stranger spent its coin"),
        Arrow(PO.SENT, PO.VOIDING, "two people gave it up"),
        Arrow(PO.SENT, PO.VOIDED, "its coin was spent otherwise, for good"),
        Arrow(PO.MINED, PO.SENT, "a reorganization took its block away"),
        Arrow(PO.MINED, PO.VOIDING, "a reorganization took its block away after it was given up"),
        Arrow(PO.MINED, PO.SETTLED, "buried deep enough"),
        Arrow(PO.SETTLED, PO.MINED, "a reorganization made it shallow again"),
        Arrow(PO.SETTLED, PO.SENT, "a deep reorganization took its block away"),
        Arrow(PO.SETTLED, PO.VOIDING, "a deep reorganization took its block away after it was given up"),
        Arrow(PO.FROZEN, PO.MINED, "a block holds it after all"),
        Arrow(PO.FROZEN, PO.COMMITTED, "two people sent it back to its signer"),
        Arrow(PO.FROZEN, PO.SIGNED, "two people let its stored bytes go out again"),
        Arrow(PO.FROZEN, PO.VOIDING, "two people gave it up"),
        Arrow(PO.FROZEN, PO.VOIDED, "its coin was spent otherwise, for good"),
        Arrow(PO.VOIDING, PO.MINED, "a block holds a version that pays"),
        Arrow(PO.VOIDING, PO.FROZEN, "the signer or the chain contradicts the void"),
        Arrow(PO.VOIDING, PO.VOIDED, "its coin was spent otherwise, for good"),
        Arrow(PO.VOIDED, PO.VOIDING, "a reorganization of 100 blocks took the void away"),
        Arrow(PO.VOIDED, PO.FROZEN, "a reorganization of 100 blocks took the stranger's spend away"),
    ),
    "import": (
        Arrow(IM.MAPPING, IM.WAITING, "an officer said which column holds what"),
        Arrow(
            IM.MAPPING, IM.CANCELLED, "an officer withdrew it, or nobody said in time what its columns hold"
        ),
        Arrow(IM.WAITING, IM.CHECKING, "a worker took the file"),
        Arrow(IM.WAITING, IM.CANCELLED, "an officer withdrew it"),
        Arrow(IM.CHECKING, IM.READY, "every row is checked"),
        Arrow(IM.CHECKING, IM.REFUSED, "the file, its rows or its control totals are wrong"),
        Arrow(IM.CHECKING, IM.CANCELLED, "an officer withdrew it"),
        Arrow(IM.READY, IM.LOADING, "an officer confirmed it"),
        Arrow(IM.READY, IM.CANCELLED, "an officer withdrew it, or nobody confirmed it in time"),
        Arrow(IM.LOADING, IM.DONE, "everything is written"),
        Arrow(IM.LOADING, IM.REFUSED, "it clashes with what was written meanwhile"),
    ),
    "intervention": (
        Arrow(I.PROPOSED, I.APPROVED, "a second person agreed, or none was needed"),
        Arrow(I.PROPOSED, I.REJECTED, "a second person refused"),
        Arrow(I.PROPOSED, I.WITHDRAWN, "its proposer took it back"),
        Arrow(I.PROPOSED, I.FAILED, "it is no longer possible"),
        Arrow(I.APPROVED, I.DONE, "the engine did it"),
        Arrow(I.APPROVED, I.FAILED, "it is no longer possible"),
    ),
    "proposal": (
        Arrow(PR.PROPOSED, PR.CONFIRMED, "a second person agreed, and it was done"),
        Arrow(PR.PROPOSED, PR.REJECTED, "a second person refused"),
        Arrow(PR.PROPOSED, PR.WITHDRAWN, "its proposer took it back"),
    ),
    "warrant": (
        Arrow(W.PROPOSED, W.CONFIRMED, "a treasurer agreed"),
        Arrow(W.PROPOSED, W.REJECTED, "a treasurer refused"),
        Arrow(W.PROPOSED, W.WITHDRAWN, "whoever proposed it took it back"),
    ),
    "grievance": (
        Arrow(G.LODGED, G.WORKING, "somebody took it"),
        Arrow(G.LODGED, G.WITHDRAWN, "the person took it back"),
        Arrow(G.WORKING, G.ANSWERED, "its owner answered"),
        Arrow(G.WORKING, G.WITHDRAWN, "the person took it back"),
        Arrow(G.ANSWERED, G.WORKING, "the person is not satisfied"),
        Arrow(G.ANSWERED, G.CLOSED, "the person agreed, or said nothing in time"),
    ),
    "entitlement": (
        Arrow(E.WAITING, E.CLAIMED, "its person has an address now"),
        Arrow(E.WAITING, E.EXPIRED, "nobody claimed it in time"),
        Arrow(E.WAITING, E.WITHDRAWN, "its line was withdrawn"),
        Arrow(E.CLAIMED, E.LISTED, "a list that pays it was approved"),
        Arrow(E.CLAIMED, E.WITHDRAWN, "its line was withdrawn"),
    ),
    "bankfile": (
        Arrow(BF.WAITING, BF.READY, "it is written and holds to the schema"),
        Arrow(BF.READY, BF.FETCHED, "somebody took it to the bank"),
        Arrow(BF.FETCHED, BF.ANSWERED, "the bank has answered every line"),
    ),
    "decision": (
        Arrow(DE.OPEN, DE.CARRIED, "two members signed, and it was done"),
        Arrow(DE.OPEN, DE.WITHDRAWN, "its proposer took it back"),
        Arrow(DE.OPEN, DE.VOID, "another board took its place"),
    ),
    "leg": (
        Arrow(L.ASKED, L.TAKEN, "its list was released, and the trust can pay"),
        Arrow(L.ASKED, L.REFUSED, "its list was released, and the trust cannot pay"),
        Arrow(L.ASKED, L.FREED, "its line was withdrawn"),
        Arrow(L.TAKEN, L.OWED, "its payout settled"),
        Arrow(L.TAKEN, L.FREED, "its line was withdrawn, or its payout is void"),
        Arrow(L.REFUSED, L.FREED, "its line was withdrawn"),
        Arrow(L.OWED, L.INSTRUCTED, "it is in a bank file"),
        Arrow(L.INSTRUCTED, L.OWED, "the bank refused or returned it"),
        Arrow(L.INSTRUCTED, L.PAID, "the bank paid it"),
    ),
    "voucher": (
        Arrow(V.WAITING, V.ISSUED, "its code was made and shown once"),
        Arrow(V.WAITING, V.EXPIRED, "nobody printed it in time"),
        Arrow(V.WAITING, V.CANCELLED, "two people took it back"),
        Arrow(V.ISSUED, V.REDEEMED, "an agent paid it"),
        Arrow(V.ISSUED, V.EXPIRED, "nobody redeemed it in time"),
        Arrow(V.ISSUED, V.CANCELLED, "two people took it back"),
    ),
}

# What the feed of events tells of: each status of these is a type of event. A trigger writes the events.
FED: dict[str, type[models.TextChoices]] = {
    "disbursement": D,
    "payment": P,
    "payout": PO,
    "intervention": I,
    "entitlement": E,
    "grievance": G,
}
# Payouts that the engine still has to move by itself.
PAYOUT_ACTIVE = (PO.SEALED, PO.COMMITTED, PO.SIGNED, PO.SENT, PO.VOIDING)
# Payouts past the commit point, whose coins are not for good spent by them or otherwise.
PAYOUT_OPEN = (PO.COMMITTED, PO.SIGNED, PO.SENT, PO.MINED, PO.FROZEN, PO.VOIDING)
# Entitlements that hold money of their own list.
ENTITLEMENT_OPEN = (E.WAITING, E.CLAIMED)
# Vouchers that may still be paid.
VOUCHER_LIVE = (V.WAITING, V.ISSUED)
# Grievances whose clock runs.
GRIEVANCE_OPEN = (G.LODGED, G.WORKING)
# Payouts of which nothing more can come: their list does not wait for them.
PAYOUT_CLOSED = (PO.SETTLED, PO.UNSEALED, PO.VOIDED)


class StatusConflict(Conflict):
    """The row is not in the status that the change starts from."""

    code = "status_conflict"


def label_of(subject: str, status: str) -> str:
    """Return how a status of such a subject is called on its own page."""
    for arrow in TRANSITIONS[subject]:
        for each in (arrow.old, arrow.new):
            if each == status and isinstance(each, models.TextChoices):
                return str(each.label)
    return status


def reason_of(subject: str, old: str, new: str) -> str:
    """Return why this change may happen; raise StatusConflict when the table has no such arrow."""
    for arrow in TRANSITIONS[subject]:
        if (arrow.old, arrow.new) == (old, new):
            return arrow.reason
    raise StatusConflict(f"A {subject} cannot go from {old} to {new}.", subject=subject, old=old, new=new)
