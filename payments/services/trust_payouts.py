"""Pays by bank file what a trust owes people in a currency: two members of its board decide, and the bank's answer ends it.

A line settles one leg, at the account that the person has then. Whose account was changed a short time ago, or has another
title by the bank's word, waits. What a bank rejects is owed again, and goes into a later file as another attempt.
"""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.contrib.postgres.expressions import ArraySubquery
from django.db import connection
from django.db.models import OuterRef, Sum
from django.utils import timezone

from govpay.errors import Conflict
from ledger import audit, books
from ledger.treasury import trust as entries
from payments.models import (
    BankAccount,
    BankFile,
    BankReport,
    Quote,
    Trust,
    TrustDecision,
    TrustLeg,
    TrustPurse,
)
from payments.models.history import move
from payments.prices import quotes
from payments.rails import payee
from payments.services import bank_accounts, bank_files, rail_files
from payments.services.bank_origin import Origin
from payments.services.board import NotOnTheBoard, is_member, require_signed
from payments.states import LegStatus
from payments.trust import following, money
from payments.trust.legs import HALF_EVEN

ORIGIN = "trust"
# What may go to a bank now: of everybody with an account that nothing speaks against.
PAYABLE = """
FROM payments_trustleg g JOIN payments_payment p ON p.id = g.payment_id
JOIN payments_disbursement d ON d.id = p.disbursement_id JOIN payments_program r ON r.id = d.program_id
JOIN payments_bankaccount a ON a.beneficiary_id = p.beneficiary_id AND a.is_current
WHERE g.purse_id = %(purse)s AND g.status = 'owed'
    AND (a.changed_at IS NULL OR a.changed_at + make_interval(secs => r.destination_cooling_s) <= %(now)s)
    AND (a.title_match = 'MTCH' OR NOT %(asks)s AND a.title_match <> 'NMTC')
"""
FIND = f"SELECT g.id {PAYABLE} ORDER BY g.id"
FILL = """
INSERT INTO payments_bankfileline
    (bank_file_id, number, end_to_end_id, settles, settles_id, amount_minor, account, words, outcome, reason)
SELECT %(file)s::bigint, o.number, %(message)s::varchar || '-' || o.number, 'trust_leg:' || g.attempt, g.id,
    g.value_minor, a.account, %(words)s::varchar, 'open', ''
FROM unnest(%(ids)s::bigint[]) WITH ORDINALITY AS o(id, number)
JOIN payments_trustleg g ON g.id = o.id JOIN payments_payment p ON p.id = g.payment_id
JOIN payments_bankaccount a ON a.beneficiary_id = p.beneficiary_id AND a.is_current
"""
# Lines that are not of a leg that waits for the bank, of as much as its bitcoin was worth at its quote.
WRONG = f"""
SELECT l.number FROM payments_bankfileline l
LEFT JOIN payments_trustleg g ON g.id = l.settles_id AND l.settles = 'trust_leg:' || g.attempt
LEFT JOIN payments_quote q ON q.id = g.quote_id LEFT JOIN payments_trustpurse u ON u.id = g.purse_id
LEFT JOIN payments_trust t ON t.id = u.trust_id LEFT JOIN payments_payment p ON p.id = g.payment_id
LEFT JOIN LATERAL (SELECT p.amount_sat::numeric * q.price * (10::numeric ^ u.scale::int) AS n) x ON true
LEFT JOIN LATERAL (SELECT {HALF_EVEN.format(n="x.n")} AS value_minor) v ON true
WHERE l.bank_file_id = %(file)s AND (g.status IS DISTINCT FROM 'instructed' OR t.scope IS DISTINCT FROM %(scope)s
    OR u.currency IS DISTINCT FROM %(currency)s OR l.amount_minor IS DISTINCT FROM v.value_minor)
ORDER BY l.number LIMIT 1
"""  # noqa: S608


class NobodyToPay(Conflict):
    """The trust owes nobody in the currency who has an account that may be paid."""

    code = "nobody_to_pay"


class TrustLineWrong(Conflict):
    """A line of a trust's file is not what the trust owes its person: somebody changed one of the two."""

    code = "trust_line_wrong"


def pay(decision: TrustDecision, trust: Trust, *, at: datetime) -> None:
    """Make a file of all that the trust owes in the decision's currency and may pay now.

    Raises NobodyToPay, NoPayingAccount: nothing is instructed then. The caller holds the trust.
    """
    purse = money.lock_purse(trust, decision.terms["currency"])
    with connection.cursor() as cursor:
        cursor.execute(FIND, {"purse": purse.pk, "now": at, "asks": payee.is_on()})
        ids = [pk for (pk,) in cursor.fetchall()]
    if not ids:
        raise NobodyToPay(
            f"{trust} owes nobody in {purse.currency} whose account may be paid now.",
            currency=purse.currency,
            owed_minor=purse.owed_minor,
        )
    legs = TrustLeg.objects.filter(pk__in=ids)
    total_minor = int(legs.aggregate(total=Sum("value_minor"))["total"])

    def fill(made: BankFile) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                FILL, {"file": made.pk, "message": made.message_id, "words": trust.name, "ids": ids}
            )

    bank_files.make(
        origin=ORIGIN,
        origin_id=decision.pk,
        scope=trust.scope,
        currency=purse.currency,
        line_count=len(ids),
        total_minor=total_minor,
        execution_date=(at + rail_files.NEXT_DAY).date(),
        fill=fill,
        now=at,
    )
    move(legs, old=LegStatus.OWED, new=LegStatus.INSTRUCTED, expected=len(ids), locked_ids=ids)


def _require(by: User, bank_file: BankFile) -> None:
    trust = Trust.objects.get(scope=bank_file.scope)
    if not is_member(by, trust.pk):
        raise NotOnTheBoard(f"Only the board of {trust} takes its files to the bank.")


def _check(bank_file: BankFile) -> None:
    """Raise unless two members signed the decision, and each line is of what its bitcoin was worth at a quote of ours.

    And goes to an account whose number is the person's by its keyed hash: what is encrypted beside that could be another's.
    """
    require_signed(TrustDecision.objects.get(pk=bank_file.origin_id))
    of_file = TrustLeg.objects.filter(pk__in=bank_file.lines.values("settles_id"))
    quote_ids = set(of_file.order_by().values_list("quote_id", flat=True))
    for quote in Quote.objects.filter(pk__in=quote_ids):
        quotes.verify(quote)
    with connection.cursor() as cursor:
        cursor.execute(
            WRONG, {"file": bank_file.pk, "scope": bank_file.scope, "currency": bank_file.currency}
        )
        found = cursor.fetchone()
    if found is not None:
        raise _wrong(bank_file, found[0])
    # One that was changed since the decision is the person's too.
    accounts = BankAccount.objects.filter(beneficiary__payments__trust_leg__pk=OuterRef("settles_id"))
    lines = bank_file.lines.annotate(known=ArraySubquery(accounts.values("iban_hash"))).order_by("number")
    rows: Any = lines.values_list("number", "account", "known")
    for number, account, known in rows.iterator(chunk_size=bank_files.ROWS_AT_ONCE):
        if bank_accounts.hash_of(account.get("iban", "")) not in map(bytes, known):
            raise _wrong(bank_file, number)


def _wrong(bank_file: BankFile, number: int) -> TrustLineWrong:
    return TrustLineWrong(
        f"Line {number} of {bank_file} is not what the trust owes.", line=number, bank_file=bank_file.pk
    )


def _written(bank_file: BankFile, now: datetime) -> None:
    """Book nothing: the money is the trust's, and people are owed it, until the bank has paid."""


def _answered(bank_file: BankFile, report: BankReport) -> None:
    """Take what the bank paid out of cash and debts, and owe again what it rejected."""
    trust = money.lock(Trust.objects.get(scope=bank_file.scope).pk)
    purse = money.lock_purse(trust, bank_file.currency)
    paid, rejected = (_legs(report, outcome) for outcome in ("settled", "rejected"))
    if paid:
        _book(purse, paid, report)
        _move(paid, LegStatus.PAID)
    if rejected:
        _move(rejected, LegStatus.OWED)
        for leg in rejected:
            leg.attempt += 1
        TrustLeg.objects.bulk_update(rejected, ["attempt"], batch_size=1_000)
    following.look(trust)
    audit.record("trust.pay", trust, by=report.brought_by, scope=trust.scope)


def _legs(report: BankReport, outcome: str) -> list[TrustLeg]:
    ids = report.lines.filter(outcome=outcome).values("settles_id")
    return list(TrustLeg.objects.filter(pk__in=ids, status=LegStatus.INSTRUCTED).order_by("pk"))


def _book(purse: TrustPurse, legs: list[TrustLeg], report: BankReport) -> None:
    values = [leg.value_minor or 0 for leg in legs]
    purse.cash_minor -= sum(values)
    purse.owed_minor -= sum(values)
    purse.save(update_fields=["cash_minor", "owed_minor"])
    entry = entries.pay(
        scope=purse.trust.scope,
        currency=purse.currency,
        payment_ids=[leg.payment_id for leg in legs],
        values_minor=values,
        key=f"trust_pay:bankreport:{report.pk}",
        source_ref=f"bankreport:{report.pk}",
        memo=f"Report SHA-256 {bytes(report.sha256).hex()}",
        actor=report.brought_by.get_username(),
        effective_at=timezone.now(),
    )
    books.post([entry])


def _move(legs: list[TrustLeg], new: str) -> None:
    rows = TrustLeg.objects.filter(pk__in=[leg.pk for leg in legs])
    move(rows, old=LegStatus.INSTRUCTED, new=new, expected=len(legs))


BANK_ORIGIN = Origin(ORIGIN, _require, _check, _written, _answered)
