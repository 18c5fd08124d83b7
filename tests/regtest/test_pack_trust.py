"""Packs and receipts of a list that paid a trust in people's place: the chain proves the bitcoin, the bank says the rest."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_django
from django.core.management import call_command
from django.shortcuts import render
from django.test import RequestFactory, override_settings

from ledger import verify
from payments.models import BankFile, Payment, TrustLeg
from payments.person import receipt
from payments.services import bank_reports, bank_writing
from payments.trust import following
from tests import banking, factories
from tests.conftest import books_may_be_emptied
from tests.payments.trust.conftest import elect_all, give_price
from tests.regtest import paid_list
from tests.regtest.forger import Forger, Heading, Lines
from tests.regtest.ministry import Ministry

pytestmark = pytest.mark.django_db

# Rs 14,499.88 each at 28,100,000 a bitcoin; the fourth person wants bitcoin.
SAT, MINOR = 51_601, 1_449_988
LEGS = "trust-legs.jsonl"


@pytest.fixture(scope="module")
def honest(
    django_db_setup: None,
    django_db_blocker: pytest_django.DjangoDbBlocker,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Packs and receipts of a list with three legs: paid, rejected and owed again, owed without an account; made once."""
    folder = tmp_path_factory.mktemp("trust")
    with django_db_blocker.unblock(), override_settings(**paid_list.rules()):
        ministry = Ministry.open(deposits_sat=paid_list.DEPOSITS)
        give_price("28100000")
        trust = factories.make_trust(cash_minor=5_000_000 + 3 * MINOR, floor_minor=5_000_000)
        banking.make_paying_account_of(trust.scope)
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[SAT] * 4)
        elect_all(made, trust, ministry.officer, but=(4,))
        made = ministry.go_on(made)
        ministry.pay(made)
        ministry.mine(6)
        following.follow(trust.pk)
        for payment in Payment.objects.filter(disbursement=made, line__in=(1, 2)):
            banking.make_account(payment.beneficiary, ministry.officer)
        decision = factories.decide(trust, "pay", currency="PKR")
        file = BankFile.objects.get(origin="trust", origin_id=decision.pk)
        bank_writing.write(file.pk)
        _, data = bank_writing.fetch(by=factories.board_of(trust)[2], bank_file_id=file.pk)
        sent = data.read()
        (folder / "pain.001.xml").write_bytes(sent)
        said = {f"{file.message_id}-1": ("ACSC", ""), f"{file.message_id}-2": ("RJCT", "AC04")}
        answer = banking.answer(sent, said)
        (folder / "pain.002.xml").write_bytes(answer.getvalue())
        bank_reports.take(by=factories.board_of(trust)[0], scope=trust.scope, file=answer)
        assert list(TrustLeg.objects.order_by("pk").values_list("status", "attempt")) == [
            ("paid", 1),
            ("owed", 2),
            ("owed", 1),
        ]
        paid_list.seal_and_anchor(ministry)
        call_command("audit_pack", str(folder / "list"), disbursement=str(made.pk))
        call_command("audit_pack", str(folder / "all"), all=True)
        call_command("audit_pack", str(folder / "trust"), all=True, scope=trust.scope)
        call_command("audit_pack", str(folder / "program"), all=True, scope=ministry.program.scope)
        for line in (1, 3, 4):
            call_command("receipt", made.payments.get(line=line).pk, str(folder / f"{line}.json"))
        with books_may_be_emptied():
            call_command("flush", interactive=False, verbosity=0)
    return folder


@pytest.fixture
def made(honest: Path, tmp_path: Path) -> Forger:
    """A copy of the list's pack to forge."""
    shutil.copytree(honest / "list", tmp_path / "pack")
    return Forger(tmp_path / "pack")


def check(made: Forger) -> verify.Pack:
    made.reseal()
    pack = verify.Pack(verify.Folder(made.pack), None, (), lambda text: None)
    pack.check()
    return pack


def edit(name: str, line: int, **values: Any) -> Callable[[Forger], None]:
    """Return what changes fields of a record of a file."""

    def forge(made: Forger) -> None:
        records = made.records(name)
        records[line] |= values
        made.write(name, records)

    return forge


def requote(made: Forger) -> None:
    """Another price, and what the satoshis are worth at it."""
    records = made.records(LEGS)
    quote = records[0]["quote"] | {"price": "28000000.00000000"}
    records[0] |= {"quote": quote, "value_minor": "1444828"}
    made.write(LEGS, records)


class TestPack:
    @pytest.mark.parametrize("name", ["list", "all"])
    def test_is_verified_with_the_banks_documents(
        self, honest: Path, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        documents = [each for kind in (1, 2) for each in ("--document", str(honest / f"pain.00{kind}.xml"))]
        done = verify.main(["--quiet", str(honest / name), *documents])
        said = capsys.readouterr().out.splitlines()
        assert (done, said[-1]) == (0, "VERIFIED"), said
        assert f"  [chain] 4 payments of {4 * SAT} sat in blocks" in said
        assert (
            "  [bank's word] transfers of trusts: 1 of 14499.88 PKR paid, 1 of 14499.88 PKR rejected,"
            " 0 of 0.00 PKR not answered"
        ) in said
        assert any(
            "3 payments in bitcoin go to trusts, which owe the people currency" in line for line in said
        )

    @pytest.mark.parametrize("name", ["trust", "program"])
    def test_of_one_scope_says_what_another_may_hold(self, honest: Path, name: str) -> None:
        pack = verify.Pack(verify.Folder(honest / name), "regtest", (), lambda text: None)
        pack.check()
        messages = [message for found in pack.lacks.values() for message in found]
        other = {"trust": "program:", "program": "trust:1"}[name]
        assert messages
        assert all(f"An entry of {other}" in message for message in messages)

    @pytest.mark.parametrize(
        ("forge", "code"),
        [
            (edit(LEGS, 0, value_minor="1449989"), "conversion_differs"),
            (edit(LEGS, 0, amount_sat="51602"), "conversion_differs"),
            (requote, "leg_differs"),
            (edit(LEGS, 0, status="owed"), "leg_differs"),
            (edit(LEGS, 2, status="paid"), "leg_differs"),
            (edit(LEGS, 2, status="taken"), "leg_missing"),
            (edit(LEGS, 2, status="freed"), "leg_missing"),
            (edit(LEGS, 2, status="refused"), "leg_differs"),
            (edit(LEGS, 1, attempt="1"), "leg_differs"),
            (edit(LEGS, 0, trust="trust:2"), "leg_differs"),
            (edit(LEGS, 0, payment="999"), "payment_unknown"),
            (lambda made: made.drop_line(LEGS, 2), "leg_missing"),
            (lambda made: made.write(LEGS, []), "leg_missing"),
            (edit("bank-lines.jsonl", 0, outcome="rejected"), "answer_differs"),
            (edit("bank-lines.jsonl", 1, outcome="settled"), "answer_differs"),
            (edit("bank-files.jsonl", 0, sha256="11" * 32), "document_differs"),
            (edit("bank-reports.jsonl", 0, sha256="11" * 32), "document_differs"),
            (lambda made: made.write("bank-reports.jsonl", []), "answer_missing"),
        ],
    )
    def test_is_refused_where_it_was_forged(
        self, forge: Callable[[Forger], None], code: str, made: Forger
    ) -> None:
        forge(made)
        with pytest.raises(verify.Wrong) as found:
            check(made)
        assert found.value.code == code

    @pytest.mark.parametrize(
        ("kind", "code"),
        [("trust_owe", "leg_differs"), ("trust_pay", "answer_differs"), ("trust_promise", "promise_differs")],
    )
    def test_is_refused_where_the_books_say_more(self, kind: str, code: str, made: Forger) -> None:
        def more(heading: Heading, lines: Lines) -> None:
            changed = [
                line for line in lines if line[2] == "PKR" and (kind != "trust_owe" or line[4] == "settled")
            ]
            for line in (changed[0], changed[-1]):
                line[5] = str(int(line[5]) + (1 if int(line[5]) > 0 else -1))

        made.edit_entry(kind, more)
        with pytest.raises(verify.Wrong) as found:
            check(made)
        assert found.value.code == code


class TestReceipt:
    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (1, "which owes the person 14499.88 PKR. The bank says that it has paid that"),
            (3, "which owes the person 14499.88 PKR. It has not paid that yet."),
            (4, ""),
        ],
    )
    def test_says_what_the_trust_owes_in_the_place_of_bitcoin(
        self, honest: Path, line: int, said: str
    ) -> None:
        found = verify.check_receipt((honest / f"{line}.json").read_bytes(), "regtest")
        words = [remark for remark in found.remarks if "went to trust:1 in the person's place" in remark]
        assert (found.amount_sat, len(words)) == (SAT, 0 if line == 4 else 1)
        assert all(said in remark for remark in words)

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            (
                1,
                "They went to a trust, which owes you 14499.88 PKR instead. Its bank says that it has paid you that.",
            ),
            (
                3,
                "They went to a trust, which owes you 14499.88 PKR instead. Its bank has not paid you that yet.",
            ),
            (4, ""),
        ],
    )
    def test_says_so_to_its_person_on_the_page(
        self, honest: Path, rf: RequestFactory, line: int, said: str
    ) -> None:
        found = verify.check_receipt((honest / f"{line}.json").read_bytes(), "regtest")
        page = render(rf.get("/"), "payments/person/receipt.html", receipt.shown(found, "1:x"))
        text = page.content.decode()
        assert "51,601 satoshis were paid" in text
        assert ("to a trust" in text, said in text) == (bool(said), True)

    def test_is_refused_where_another_entry_stands_for_the_payment(self, honest: Path) -> None:
        record = json.loads((honest / "1.json").read_text(encoding="utf-8"))
        record["trust"]["paid"] = record["trust"]["owed"]
        with pytest.raises(verify.Wrong) as refused:
            verify.check_receipt(f"{verify.canonical(record)}\n".encode())
        assert refused.value.code == "wrong_entry"
