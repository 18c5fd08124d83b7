"""Makes a new list of payments that were voided: the same people and amounts in the same cycle, linked line by line.

Of a program in a currency the same money is owed, and quoted anew when the new list is released.

It is a draft like any other: its officer submits it, with the addresses of that day, and two others approve and release.
"""

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from govpay.errors import Conflict, NotFound
from ledger import audit
from payments.models import Cycle, Disbursement, Payment, Payout, Role
from payments.services import authority, drafts
from payments.states import PaymentStatus, PayoutStatus

# What is void and nothing stands in for. A reissue that was void in its turn is reissued itself.
CANDIDATES = """
FROM payments_payment p WHERE p.status = 'voided' AND {source} AND NOT EXISTS (
    SELECT FROM payments_payment r WHERE r.reissue_of_id = p.id AND r.status <> 'cancelled')
"""
INSERT = """
INSERT INTO payments_payment (disbursement_id, cycle_id, line, beneficiary_id, amount_{unit}, status, reissue_of_id)
SELECT %s, p.cycle_id, row_number() OVER (ORDER BY p.disbursement_id, p.line), p.beneficiary_id, p.amount, %s, p.id
"""


class VoidNotFinal(Conflict):
    """A payout may still confirm: nothing of it is reissued before its void is buried for good."""

    code = "void_not_final"


class NothingToReissue(Conflict):
    """No payment there is void."""

    code = "nothing_to_reissue"


class AlreadyReissued(Conflict):
    """Another list pays these people already."""

    code = "already_reissued"


@transaction.atomic
def of_payout(*, by: User, payout_id: int) -> Disbursement:
    """Make a draft of a voided payout's payments.

    Raises NotFound, RoleMissing, VoidNotFinal, NothingToReissue for a payout that pays nobody, AlreadyReissued.
    """
    payout = (
        Payout.objects.filter(pk=payout_id, wallet__program__memberships__user_id=by.pk)
        .select_related("wallet", "disbursement__program")
        .distinct()
        .first()
    )
    if payout is None:
        raise NotFound("There is no such payout in your programs.")
    authority.require(user=by, program_id=payout.wallet.program_id, roles=(Role.OFFICER,))
    if payout.disbursement is None:
        raise NothingToReissue("This payout pays nobody.")
    return _create(by, payout.disbursement, "payout_id", payout.pk)


@transaction.atomic
def of_list(*, by: User, disbursement_id: int) -> Disbursement:
    """Make a draft of everything in a list that is void by now; raises as ``of_payout`` does."""
    found = (
        Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=by.pk)
        .distinct()
        .first()
    )
    if found is None:
        raise NotFound("There is no such disbursement in your programs.")
    authority.require(user=by, program_id=found.program_id, roles=(Role.OFFICER,))
    return _create(by, found, "disbursement_id", found.pk)


def has_candidates(payout: Payout) -> bool:
    """Say whether the payout is void and has payments that nothing stands in for."""
    if payout.status != PayoutStatus.VOIDED:
        return False
    with connection.cursor() as cursor:
        candidates = CANDIDATES.format(source="p.payout_id = %s")
        cursor.execute(f"SELECT EXISTS (SELECT {candidates})", [payout.pk])
        return bool(cursor.fetchone()[0])


def require_final(lines: QuerySet[Payment]) -> None:
    """Raise VoidNotFinal when a payout that these lines reissue may confirm again, after a deep reorganization."""
    undone = lines.filter(reissue_of__isnull=False).exclude(
        # On other rails what is void stays void: the database sees to it.
        Q(reissue_of__payout__status=PayoutStatus.VOIDED)
        | Q(reissue_of__payout=None, reissue_of__status=PaymentStatus.VOIDED)
    )
    # In an order that no index of all payments has: few lines reissue any, and the planner must begin with those.
    first = undone.order_by("reissue_of__payout_id").values_list("reissue_of__payout_id", flat=True).first()
    if first is not None:
        raise VoidNotFinal(
            f"Payout {first}, whose payments are reissued here, may confirm after all.", payout_id=first
        )


def _create(by: User, original: Disbursement, column: str, source_id: int) -> Disbursement:
    # Two lists of one cycle are made one after the other, so that nobody is in both.
    cycle = Cycle.objects.select_for_update(no_key=True).get(pk=original.cycle_id)
    sources = Payment.objects.filter(**{column: source_id})
    candidates = CANDIDATES.format(source=f"p.{column} = %s")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*), coalesce(sum(p.amount), 0), string_agg(p.id::text, ',' ORDER BY p.id) {candidates}",
            [source_id],
        )
        count, total, ids = cursor.fetchone()
        if not count:
            _refuse(sources)
        made = drafts.make(
            by=by,
            original=original,
            cycle=cycle,
            count=count,
            total=int(total),
            lines=f"govpay-reissue-1\n{ids}",
        )
        cursor.execute(
            INSERT.format(unit=original.program.unit) + candidates,
            [made.pk, PaymentStatus.PENDING, source_id],
        )
        # The cycle is locked, so that only a bug could make the counts differ.
        assert cursor.rowcount == count, (cursor.rowcount, count)
    audit.record("list.reissue", made, by=by, scope=original.program.scope)
    return made


def _refuse(sources: QuerySet[Payment]) -> None:
    voided = sources.filter(status=PaymentStatus.VOIDED)
    if voided.exists():
        raise AlreadyReissued("Another list stands in for these payments already.")
    open_ones = sources.filter(payout__isnull=False).exclude(payout__status=PayoutStatus.SETTLED)
    row = open_ones.values_list("payout_id", "payout__status").first()
    if row is not None:
        payout_id, status = row
        raise VoidNotFinal(
            f"Payout {payout_id} is {status}; it may still pay its people. Only what is voided can be reissued.",
            payout_id=payout_id,
            status=status,
        )
    raise NothingToReissue("No payment there is void.")
