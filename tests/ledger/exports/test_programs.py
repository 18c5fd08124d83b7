"""What beancount and hledger say of the journals: they agree with the books to the unit, and notice a unit."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ledger import books, exports
from ledger.books import Draft, Line
from ledger.exports import Selection
from ledger.exports.beancount import account
from ledger.models import AccountKind, Layer
from tests.ledger.exports import programs
from tests.ledger.months import SCOPE, day

SELECTIONS = [
    Selection(),
    Selection(scope=SCOPE),
    Selection(effective_before=day(11, 1)),
    Selection(effective_from=day(11, 1)),
    Selection(scope=SCOPE, effective_from=day(11, 4, 10), effective_before=day(11, 7)),
    Selection(source_refs=["payout:1", "disbursement:3"]),
]
RUN = {
    "beancount": programs.run_beancount,
    "hledger": lambda path: programs.run_hledger(path, "balance", "--strict"),
}
ASK = {"beancount": programs.ask_beancount, "hledger": programs.ask_hledger}


def write(folder: Path, form: str, selection: Selection) -> Path:
    """Write the journal and return its path."""
    path = folder / f"books.{form}"
    path.write_text("".join(exports.journal(selection, form)))
    return path


def balances(**chosen: Any) -> dict[tuple[str, str], Decimal]:
    """Return what the books say stands on each account, in the programs' names."""
    return {
        (account(found.code, layer), found.currency): Decimal(found.balance).scaleb(-found.scale)
        for layer in Layer.values
        for found in books.trial_balance(layer=layer, **chosen).accounts
        if found.balance
    }


def text_of(chance: Random, letters: str, most: int) -> str:
    """Return a text of some of the letters."""
    return "".join(chance.choice(letters) for _ in range(chance.randrange(most)))


@pytest.mark.parametrize("form", ["beancount", "hledger"])
class TestPrograms:
    @pytest.mark.parametrize("selection", SELECTIONS, ids=repr)
    def test_find_nothing_wrong(
        self, entry_ids: list[int], tmp_path: Path, form: str, selection: Selection
    ) -> None:
        status, said = RUN[form](write(tmp_path, form, selection))
        assert status == 0, said

    @pytest.mark.parametrize(
        ("selection", "chosen"),
        [
            (Selection(), {}),
            (Selection(scope=SCOPE), {"scope": SCOPE}),
            # What stood before is carried, so that the end is the same.
            (Selection(scope=SCOPE, effective_from=day(11, 4, 10)), {"scope": SCOPE}),
        ],
    )
    def test_agree_with_the_books_to_the_unit(
        self,
        entry_ids: list[int],
        tmp_path: Path,
        form: str,
        selection: Selection,
        chosen: dict[str, str],
    ) -> None:
        found = {pair: total for pair, total in ASK[form](write(tmp_path, form, selection)).items() if total}
        assert found == balances(**chosen)
        assert found["Assets:HotWallet:P7", "BTC"] == Decimal("0.00728065")

    @pytest.mark.parametrize(
        ("pattern", "changed"),
        [
            (
                r"(Assets:InTransit:P7  0\.0005000)0",
                r"\g<1>1",
            ),  # One satoshi more, so that an entry is unbalanced.
            (r"(Equity:Pending:Assets:InTransit:P7  0\.0000000)7", r"\g<1>6"),
            (r"(Assets:Bank:PKR  145000\.5)0", r"\g<1>1"),
        ],
    )
    def test_notice_one_unit(
        self, entry_ids: list[int], tmp_path: Path, form: str, pattern: str, changed: str
    ) -> None:
        path = write(tmp_path, form, Selection())
        text, count = re.subn(pattern, changed, path.read_text(), count=1)
        assert count == 1
        path.write_text(text)
        status, said = RUN[form](path)
        assert status != 0, said

    def test_notice_an_entry_that_is_missing(self, entry_ids: list[int], tmp_path: Path, form: str) -> None:
        path = write(tmp_path, form, Selection())
        blocks = path.read_text().split("\n\n")
        kept = [block for block in blocks if "payout_fee:payout:2:1" not in block]
        assert len(kept) == len(blocks) - 1
        path.write_text("\n\n".join(kept))
        status, said = RUN[form](path)
        assert status != 0
        assert "7280" in said  # What the wallet should hold.

    def test_read_any_text_and_any_amount(self, db: None, tmp_path: Path, form: str) -> None:
        chance = Random(20261129)
        letters = "aZ9 \t\n\r\x0b\x0c\x1c\x85\u2028\u2029\\\"';|,:*!()[]{}^#=~@<>خ你😀\u202e"
        books.open_accounts(
            SCOPE,
            [
                books.NewAccount(
                    "Assets:1-A:Yen", text_of(chance, letters, 200), AccountKind.ASSET, "JPY", 0
                ),
                books.NewAccount("Equity:B:Yen", "\\", AccountKind.EQUITY, "JPY", 0),
            ],
        )
        amounts = [chance.randrange(1, 2**54) for _ in range(200)]
        books.post(
            Draft(
                kind=text_of(chance, letters, 30),
                scope=SCOPE,
                idempotency_key=f"{number}{text_of(chance, letters, 50)}",
                lines=[Line("Assets:1-A:Yen", amount), Line("Equity:B:Yen", -amount, number)],
                effective_at=day(10, 1) + timedelta(hours=number),
                memo=text_of(chance, letters, 300),
                source_ref=text_of(chance, letters, 100),
                actor="a" + text_of(chance, letters, 100),
                approver="b" + text_of(chance, letters, 100),
            )
            for number, amount in enumerate(amounts, 1)
        )
        path = write(tmp_path, form, Selection())
        status, said = RUN[form](path)
        assert status == 0, said
        assert ASK[form](path)["Assets:1-A:Yen", "JPY"] == sum(amounts) == books.balance("Assets:1-A:Yen")

    def test_read_an_empty_journal(self, db: None, tmp_path: Path, form: str) -> None:
        status, said = RUN[form](write(tmp_path, form, Selection()))
        assert status == 0, said
