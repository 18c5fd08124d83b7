"""The statement as banks give it: valid under the standard's own schema, and its figures are those of the books.

The schema is the one that ISO 20022 publishes for camt.053.001.08 (version of 14 February 2019).
"""

from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from govpay.errors import NotFound
from ledger import books, exports
from ledger.books import Draft, Line
from ledger.exports import Selection
from ledger.exports.camt053 import NoStatement
from ledger.models import AccountKind
from tests.ledger.months import CODES, HASH, day

SCHEMA = etree.XMLSchema(etree.parse(Path(__file__).with_name("camt.053.001.08.xsd")))
NAMES = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}


def statement(account: str, **chosen: Any) -> Any:
    """Return the statement, which the schema finds valid."""
    text = "".join(exports.journal(Selection(account=account, **chosen), "camt053"))
    document = etree.fromstring(text.encode())
    SCHEMA.assertValid(document)
    return document


def texts(document: Any, path: str) -> list[str]:
    return [
        found.text for found in document.xpath("/".join(f"c:{p}" for p in path.split("/")), namespaces=NAMES)
    ]


STMT = "BkToCstmrStmt/Stmt/"


class TestStatement:
    def test_gives_the_wallet_of_a_month_in_satoshis(self, entry_ids: list[int]) -> None:
        found = statement(CODES.hot_wallet, effective_from=day(11, 1), effective_before=day(12, 1))
        assert texts(found, STMT + "Bal/Tp/CdOrPrtry/Cd") == ["OPBD", "CLBD"]
        assert texts(found, STMT + "Bal/Amt") == ["818766", "728065"]
        assert texts(found, STMT + "Bal/CdtDbtInd") == ["CRDT", "CRDT"]
        assert sorted(texts(found, STMT + "Ntry/Amt")) == ["1", "90700"]
        assert texts(found, STMT + "Ntry/CdtDbtInd") == ["DBIT", "DBIT"]
        assert texts(found, STMT + "TxsSummry/TtlNtries/NbOfNtries") == ["2"]
        assert texts(found, STMT + "TxsSummry/TtlNtries/Sum") == ["90701"]
        assert texts(found, STMT + "TxsSummry/TtlNtries/TtlNetNtry/CdtDbtInd") == ["DBIT"]
        assert texts(found, STMT + "TxsSummry/TtlCdtNtries/NbOfNtries") == ["0"]
        assert set(found.xpath("//@Ccy")) == {"XTS"}
        assert texts(found, STMT + "Acct/Nm") == [CODES.hot_wallet]
        assert "whole satoshis" in texts(found, STMT + "AddtlStmtInf")[0]

    def test_names_payments_and_blocks(self, entry_ids: list[int]) -> None:
        found = statement(CODES.in_transit, effective_before=day(11, 1))
        refs = texts(found, STMT + "Ntry/NtryDtls/TxDtls/Refs/EndToEndId")
        assert refs == ["payment:1", "payment:2", "payment:3", "NOTPROVIDED"]
        assert texts(found, STMT + "Ntry/AddtlNtryInf") == [f"block 101 {HASH}"]
        assert texts(found, STMT + "Ntry/BkTxCd/Prtry/Cd") == ["payout_sent"] * 3 + ["settlement"]
        assert texts(found, STMT + "Bal/Amt") == ["0", "0"]

    def test_leaves_out_what_is_not_settled(self, entry_ids: list[int]) -> None:
        found = statement(CODES.hot_wallet, effective_from=day(11, 5), effective_before=day(11, 6))
        assert texts(found, STMT + "Ntry/Amt") == []
        assert texts(found, STMT + "Bal/Amt") == ["728065", "728065"]

    def test_gives_other_currencies_with_their_point(self, entry_ids: list[int]) -> None:
        found = statement("Assets:Bank:PKR")
        assert texts(found, STMT + "Ntry/Amt") == ["145000.50"]
        assert set(found.xpath("//@Ccy")) == {"PKR"}
        assert texts(found, STMT + "AddtlStmtInf") == []

    def test_balances_are_what_the_entries_sum_to(self, entry_ids: list[int]) -> None:
        for code in (CODES.hot_wallet, CODES.in_transit):
            found = statement(code)
            sides = {"CRDT": 1, "DBIT": -1}
            moved = sum(
                int(amount) * sides[side]
                for amount, side in zip(
                    texts(found, STMT + "Ntry/Amt"), texts(found, STMT + "Ntry/CdtDbtInd"), strict=True
                )
            )
            assert moved == int(texts(found, STMT + "Bal/Amt")[1]) == books.balance(code)

    def test_of_a_quiet_account_says_so(self, entry_ids: list[int]) -> None:
        books.open_accounts("s", [books.NewAccount("Assets:Quiet", "Quiet", AccountKind.ASSET, "PKR", 2)])
        found = statement("Assets:Quiet", effective_before=day(12, 1))
        assert texts(found, STMT + "Bal/Amt") == ["0.00", "0.00"]
        assert texts(found, STMT + "Ntry/Amt") == []

    def test_is_the_same_message_only_while_it_says_the_same(self, entry_ids: list[int]) -> None:
        first = texts(statement(CODES.hot_wallet), STMT + "Id")
        assert texts(statement(CODES.hot_wallet), STMT + "Id") == first
        assert texts(statement(CODES.hot_wallet, effective_from=day(11, 1)), STMT + "Id") != first

    def test_holds_texts_of_any_kind(self, db: None) -> None:
        long = "Assets:" + "A" * 100
        books.open_accounts(
            "s",
            [
                books.NewAccount(long, "x", AccountKind.ASSET),
                books.NewAccount("Equity:B", "y", AccountKind.EQUITY),
            ],
        )
        memo = "<&>\"' \x01\x0b\x1f\ufffe\uffff ]]> عطية \U0001f600" + "z" * 200
        books.post(
            [
                Draft(
                    kind="<kind>",
                    scope="s",
                    idempotency_key=key,
                    lines=[Line(long, amount), Line("Equity:B", -amount)],
                    effective_at=day(11, 1),
                    memo=text,
                    actor="a",
                )
                for key, amount, text in (("1", 21 * 10**14, memo), ("2", 1, "\x01"), ("3", 5, ""))
            ]
        )
        found = statement(long)
        assert texts(found, STMT + "Acct/Nm") == [long[:70]]
        shown = texts(found, STMT + "Ntry/NtryDtls/TxDtls/RmtInf/Ustrd")
        assert [text[:20] for text in shown] == ["<&>\"'     ]]> عطية \U0001f600", "-"]
        assert max(len(text) for text in shown) == 140
        assert texts(found, STMT + "Bal/Amt")[1] == str(21 * 10**14 + 6)


class TestRefusal:
    def test_of_all_accounts_at_once(self, entry_ids: list[int]) -> None:
        with pytest.raises(NoStatement):
            "".join(exports.journal(Selection(), "camt053"))

    def test_of_what_is_no_asset(self, entry_ids: list[int]) -> None:
        with pytest.raises(NoStatement):
            statement(CODES.payable)

    @pytest.mark.parametrize("code", ["Assets:Nowhere", "x' OR true --"])
    def test_of_an_account_that_does_not_exist(self, entry_ids: list[int], code: str) -> None:
        with pytest.raises(NotFound):
            statement(code)

    def test_of_a_currency_with_too_many_digits(self, db: None) -> None:
        books.open_accounts(
            "s",
            [
                books.NewAccount("Assets:A", "x", AccountKind.ASSET, "ETH", 9),
                books.NewAccount("Equity:B", "y", AccountKind.EQUITY, "ETH", 9),
            ],
        )
        books.post(
            [
                Draft(
                    kind="k",
                    scope="s",
                    idempotency_key="1",
                    lines=[Line("Assets:A", 1), Line("Equity:B", -1)],
                    effective_at=day(11, 1),
                    actor="a",
                )
            ]
        )
        with pytest.raises(NoStatement):
            statement("Assets:A")
