"""Makes a list of what people chose instead of currency that no trust paid: the same money, in the same cycle.

It is a draft like any other: its officer submits it, and two others approve and release. What an earlier list held is
withdrawn by then, which is proof that nothing of it is paid.
"""

from django.contrib.auth.models import User
from django.db import connection, transaction

from govpay.errors import Conflict, NotFound
from ledger import audit
from payments.models import Cycle, Disbursement, Instead, Rail, Role
from payments.services import authority, drafts

# Whose bitcoin a trust is asked for again is paid to the trust's address, like everybody's who elected currency.
CHOICES = {
    Rail.BITCOIN.value: [Instead.BITCOIN.value, Instead.AGAIN.value],
    Rail.VOUCHER.value: [Instead.VOUCHER.value],
}
# Who is on a later list of the cycle is paid by that one, or was taken off it; unless it was withdrawn as a whole.
CHOSEN = """
FROM payments_payment p JOIN payments_trustleg g ON g.payment_id = p.id
WHERE p.disbursement_id = %(list)s AND p.status = 'cancelled' AND g.instead = ANY(%(choices)s::text[]) AND NOT EXISTS (
    SELECT FROM payments_payment r JOIN payments_disbursement d ON d.id = r.disbursement_id
    WHERE r.cycle_id = p.cycle_id AND r.beneficiary_id = p.beneficiary_id AND r.id > p.id
        AND d.status NOT IN ('cancelled', 'rejected'))
"""
INSERT = """
INSERT INTO payments_payment (disbursement_id, cycle_id, line, beneficiary_id, amount_{unit}, status, rail)
SELECT %(made)s, p.cycle_id, row_number() OVER (ORDER BY p.line), p.beneficiary_id, p.amount, 'pending', %(rail)s
"""


class NothingChosen(Conflict):
    """Nobody on the list has chosen to be paid like this who is on no later list of the cycle."""

    code = "nothing_chosen"


@transaction.atomic
def of_list(*, by: User, disbursement_id: int, rail: str) -> Disbursement:
    """Make a draft on a rail, bitcoin or voucher, of those who chose it when a trust did not take their line of this list.

    Raises NotFound, RoleMissing, NothingChosen.
    """
    mine = Disbursement.objects.filter(pk=disbursement_id, program__memberships__user_id=by.pk)
    original = mine.select_related("program").distinct().first()
    if original is None:
        raise NotFound("There is no such disbursement in your programs.")
    authority.require(user=by, program_id=original.program_id, roles=(Role.OFFICER,))
    # Two lists of one cycle are made one after the other, so that nobody is in both.
    cycle = Cycle.objects.select_for_update(no_key=True).get(pk=original.cycle_id)
    count, total, ids = _chosen(original, rail)
    if not count:
        raise NothingChosen(
            f"Nobody on list {original.pk} has chosen to be paid by {rail} who is on no later list of {cycle}.",
            rail=rail,
        )
    # Made again after it was withdrawn, it is another list of the same lines.
    times = Disbursement.objects.filter(cycle=cycle).count()
    made = drafts.make(
        by=by,
        original=original,
        cycle=cycle,
        count=count,
        total=total,
        lines=f"govpay-choices-1\n{times}\n{ids}",
        rail=rail,
    )
    with connection.cursor() as cursor:
        cursor.execute(
            INSERT.format(unit=original.program.unit) + CHOSEN,
            {"made": made.pk, "rail": rail, "list": original.pk, "choices": CHOICES[rail]},
        )
        # The cycle is locked, so that only a bug could make the counts differ.
        assert cursor.rowcount == count, (cursor.rowcount, count)
    audit.record("list.of_choices", made, by=by, scope=original.program.scope)
    return made


def rails_of(disbursement: Disbursement) -> list[str]:
    """Return the rails on which a list can be made of what people chose instead."""
    every = [choice for choices in CHOICES.values() for choice in choices]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT g.instead {CHOSEN}", {"list": disbursement.pk, "choices": every})
        found = {choice for (choice,) in cursor.fetchall()}
    return [rail for rail, choices in CHOICES.items() if found.intersection(choices)]


def _chosen(disbursement: Disbursement, rail: str) -> tuple[int, int, str]:
    """Return how many lines there are, what they add up to, and their numbers."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), coalesce(sum(p.amount), 0)::bigint, coalesce(string_agg(p.id::text, ',' ORDER BY p.id), '')"
            f" {CHOSEN}",
            {"list": disbursement.pk, "choices": CHOICES[rail]},
        )
        count, total, ids = cursor.fetchone()
    return int(count), int(total), str(ids)
