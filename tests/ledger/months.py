"""The books that exports and reports are compared with by hand: two months of one program, in accountants' words."""

from datetime import UTC, datetime

from ledger import books, chart, events
from ledger.books import Draft, Line
from ledger.models import AccountKind, Elements, Layer

PROGRAM = 7
SCOPE = chart.program_scope(PROGRAM)
CODES = chart.program_accounts(PROGRAM)
HASH = "ab" * 32


def day(month: int, number: int, hour: int = 9) -> datetime:
    """Return a time of the year 2026."""
    return datetime(2026, month, number, hour, tzinfo=UTC)


def drafts() -> list[Draft]:
    """Return the entries in order: a deposit, two lists, two payouts, fees, a reorganization, a promise, rupees."""
    program = {"program_id": PROGRAM}
    block = {"block_hash": HASH, "block_height": 101}
    owed = {"actor": "officer", "approver": "approver"}
    return [
        events.funding(
            **program,
            txid="aa" * 32,
            vout=1,
            amount_sat=1_000_000,
            occurrence=1,
            effective_at=day(10, 2),
            **block,
        ),
        events.commitment(**program, disbursement_id=1, amount=180_000, effective_at=day(10, 5), **owed),
        events.payout_sent(
            **program,
            payout_id=1,
            payment_ids=[1, 2, 3],
            amounts_sat=[50_000, 60_000, 70_000],
            fee_sat=1_234,
            effective_at=day(10, 6),
        ),
        events.settlement(
            **program, payout_id=1, amount_sat=180_000, occurrence=1, effective_at=day(10, 7), **block
        ),
        events.commitment(**program, disbursement_id=2, amount=90_000, effective_at=day(11, 3), **owed),
        events.payout_sent(
            **program,
            payout_id=2,
            payment_ids=[4, 5],
            amounts_sat=[40_000, 50_000],
            fee_sat=700,
            effective_at=day(11, 4),
        ),
        events.payout_fee(**program, payout_id=2, added_sat=1, occurrence=1, effective_at=day(11, 4, 12)),
        Draft(
            kind="promise",
            scope=SCOPE,
            idempotency_key="promise:1",
            lines=[
                Line(CODES.transfers, 25_000, None, Layer.ENCUMBERED.value),
                Line(CODES.payable, -25_000, None, Layer.ENCUMBERED.value),
                Line(CODES.hot_wallet, -7, 6, Layer.PENDING.value),
                Line(CODES.in_transit, 7, 6, Layer.PENDING.value),
            ],
            effective_at=day(11, 5),
            memo='=HYPERLINK("x");\nعطية \\ "quoted", | a tail',
            source_ref="disbursement:3",
            actor="officer",
        ),
        Draft(
            kind="allotment",
            scope="treasury",
            idempotency_key="allotment:1",
            lines=[Line("Assets:Bank:PKR", 14_500_050), Line("Equity:Appropriation:PKR", -14_500_050)],
            effective_at=day(11, 6),
            actor="treasurer",
        ),
    ]


def open_accounts() -> None:
    """Open the accounts of the program and two in rupees, one with a long name that is written from right to left."""
    chart.open_program(PROGRAM, Elements(entity="A01", function="10.71", fund="F1", project="P-9"))
    name = "خزانة " * 33
    books.open_accounts(
        "treasury",
        [
            books.NewAccount("Assets:Bank:PKR", name[:200], AccountKind.ASSET, "PKR", 2),
            books.NewAccount("Equity:Appropriation:PKR", "-1+1", AccountKind.EQUITY, "PKR", 2),
        ],
    )


def post() -> list[int]:
    """Post the two months, and a reversal: the block of the first settlement left the chain in November."""
    open_accounts()
    ids = books.post(drafts())
    undone = books.reverse(
        ids[3],
        idempotency_key="reversal:1",
        effective_at=day(11, 7),
        memo="The block left the chain.",
        actor=events.ENGINE,
    )
    return [*ids, undone]
