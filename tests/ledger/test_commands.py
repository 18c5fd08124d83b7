"""What the ledger's commands print, and how they exit."""

import io
import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from govpay.errors import NotFound
from ledger import books, chart
from ledger.management.commands import reconcile as reconcile_command
from ledger.models import ReconciliationRun
from ledger.reconciliation import service
from tests.ledger import witness
from tests.ledger.witness import FEE_SAT, SCOPE, World, digest_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def world(empty_world: World) -> World:
    """A deposit of 1,000,000 sat and a mined payout of two payments."""
    empty_world.deposit(1, 1_000_000)
    empty_world.pay(1, 1, [1_000, 2_000])
    return empty_world


def run(command: str, *arguments: str) -> tuple[int, str]:
    """Return exit code and output."""
    out = io.StringIO()
    try:
        call_command(command, *arguments, stdout=out)
    except SystemExit as stopped:
        return int(stopped.code or 0), out.getvalue()
    return 0, out.getvalue()


def run_json(command: str, *arguments: str) -> tuple[int, Any]:
    code, text = run(command, "--json", *arguments)
    return code, json.loads(text)


class TestTrialBalance:
    def test_prints_every_account_and_totals_that_agree(self, world: World) -> None:
        code, text = run("trial_balance")
        assert code == 0
        rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
        wallet_sat = f"{1_000_000 - 3_000 - FEE_SAT:,}"
        assert rows == [
            ["Assets:HotWallet:P7", "Funding wallet", "1,000,000", "3,300", wallet_sat, ""],
            ["Assets:InTransit:P7", "Payments in transit", "3,000", "0", "3,000", ""],
            ["Equity:Appropriation:P7", "Appropriation", "0", "1,000,000", "", "1,000,000"],
            ["Expenses:NetworkFees:P7", "Network fees", "300", "0", "300", ""],
            ["Expenses:Transfers:P7", "Transfers to people", "0", "0", "", ""],
            ["Liabilities:BeneficiariesPayable:P7", "Beneficiaries payable", "0", "0", "", ""],
            ["Total", "BTC, smallest units", "1,003,300", "1,003,300", "1,000,000", "1,000,000"],
        ]
        assert text.rstrip().endswith("Debits equal credits.")

    def test_gives_the_same_as_json(self, world: World) -> None:
        code, found = run_json("trial_balance", "--scope", SCOPE)
        assert code == 0
        assert (found["scope"], found["as_of"], found["is_balanced"]) == (SCOPE, None, True)
        assert found["totals"] == {"BTC": {"debit": 1_003_300, "credit": 1_003_300}}
        assert {account["code"]: account["balance"] for account in found["accounts"]} == {
            "Assets:HotWallet:P7": 996_700,
            "Assets:InTransit:P7": 3_000,
            "Equity:Appropriation:P7": -1_000_000,
            "Expenses:NetworkFees:P7": 300,
            "Expenses:Transfers:P7": 0,
            "Liabilities:BeneficiariesPayable:P7": 0,
        }

    @pytest.mark.parametrize(
        ("at", "read"),
        [
            ("2020-01-01", "2020-01-01T00:00:00+00:00"),
            ("2020-01-01T00:00:00Z", "2020-01-01T00:00:00+00:00"),
            ("2020-01-01T05:00:00+05:00", "2020-01-01T05:00:00+05:00"),
        ],
    )
    def test_looks_back_to_a_time(self, world: World, at: str, read: str) -> None:
        code, found = run_json("trial_balance", "--as-of", at)
        assert (code, found["as_of"]) == (0, read)
        assert found["totals"] == {"BTC": {"debit": 0, "credit": 0}}

    @pytest.mark.parametrize(
        ("arguments", "debit"),
        [
            (["--known-at", "2020-01-01"], 0),
            (["--known-at", "2100-01-01"], 1_003_300),
            (["--as-of", "2100-01-01", "--known-at", "2020-01-01"], 0),
            (["--layer", "settled"], 1_003_300),
            (["--layer", "pending"], 0),
            (["--layer", "encumbered"], 0),
        ],
    )
    def test_shows_what_was_known_and_each_layer(
        self, world: World, arguments: list[str], debit: int
    ) -> None:
        code, found = run_json("trial_balance", *arguments)
        assert (code, found["totals"]) == (0, {"BTC": {"debit": debit, "credit": debit}})

    def test_exits_1_when_debits_and_credits_differ(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # The books cannot be brought to this; what reads them must say so all the same.
        crooked = books.AccountBalance("Assets:HotWallet:P7", "Funding wallet", "asset", "BTC", 8, 5, 4)
        monkeypatch.setattr(books, "trial_balance", lambda **_: books.TrialBalance([crooked]))
        code, text = run("trial_balance")
        assert code == 1
        assert text.rstrip().endswith("DEBITS AND CREDITS DIFFER.")
        assert run_json("trial_balance")[0] == 1

    @pytest.mark.parametrize(
        "arguments",
        [["--as-of", "yesterday"], ["--known-at", "soon"], ["--layer", "all"], ["--scope", "program:8"]],
    )
    def test_refuses_what_it_cannot_read(self, world: World, arguments: list[str]) -> None:
        with pytest.raises(CommandError):
            call_command("trial_balance", *arguments)


class TestReconcile:
    def test_exits_0_and_says_clean(self, world: World) -> None:
        code, text = run("reconcile")
        assert code == 0
        first, *rest = text.splitlines()
        assert first == (f"{SCOPE} at block 100 {world.block_hash}: clean: claims, books and blocks agree")
        cells = [
            [cell.strip() for cell in re.split("[│┃]", line)] for line in rest if re.search("[│┃]", line)
        ]
        assert cells == [
            ["Outcome", "Count", "sat"],
            ["claims", "2", "3,000"],
            ["matched", "2", "3,000"],
            ["in flight", "0", "0"],
            ["wallet in the books", "", "996,700"],
            ["signed, in no block yet", "", "0"],
            ["explained by breaks", "", "0"],
            ["unspent on the chain", "1", "996,700"],
        ]

    def test_tells_a_log_how_far_it_is(self, world: World, capsys: pytest.CaptureFixture[str]) -> None:
        run("reconcile")
        assert capsys.readouterr().err.splitlines() == [
            f"{SCOPE}: reading blocks",
            f"{SCOPE}: asking the node for what is unspent at block 100",
            f"{SCOPE}: comparing",
        ]

    def test_exits_1_and_lists_the_breaks(self, world: World) -> None:
        txid = digest_of("payout", 1)
        world.bend_output(txid, 1, amount_sat=2_001)
        code, text = run("reconcile", "--scope", SCOPE)
        assert code == 1
        assert "BREAKS" in text.splitlines()[0]
        assert "Payment 2 is paid 2001 sat instead of 2000." in " ".join(text.split())
        assert "Payout 1 cost 299 sat; 300 sat are booked" in " ".join(text.split())

    def test_gives_runs_and_breaks_as_json(self, world: World) -> None:
        world.bend_output(digest_of("payout", 1), 0, amount_sat=900)
        code, found = run_json("reconcile")
        assert code == 1
        (stored,) = ReconciliationRun.objects.all()
        (shown,) = found["runs"]
        assert (shown["id"], shown["status"], shown["scope"]) == (stored.pk, "breaks", SCOPE)
        assert shown["digest"] == bytes(stored.digest).hex()
        assert shown["break_count"] == 2
        assert [(b["kind"], b["expected"], b["found"]) for b in shown["breaks"]] == [
            ("amount", "1000", "900"),
            ("fee", "300", "400"),
        ]

    def test_prints_no_more_rows_than_anybody_reads(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reconcile_command, "MOST_PRINTED", 1)
        world.bend_output(digest_of("payout", 1), 0, amount_sat=900)
        assert "... and 1 more; the run" in run("reconcile")[1]
        found = run_json("reconcile")[1]["runs"][0]
        assert (found["break_count"], len(found["breaks"])) == (2, 1)

    def test_exits_1_on_a_source_that_proves_nothing(self, world: World) -> None:
        world.failures = [witness.stale() for _ in range(2 * service.ATTEMPTS)]
        code, text = run("reconcile")
        assert code == 1
        assert text.splitlines() == [
            f"{SCOPE}: INCONCLUSIVE: nothing is proved",
            "The follower is behind.",
        ]
        code, found = run_json("reconcile")
        assert (code, found["runs"][0]["status"], found["runs"][0]["counts"]) == (
            1,
            "inconclusive",
            {"stale_source": 1},
        )

    def test_refuses_a_scope_that_does_not_exist(self, world: World) -> None:
        with pytest.raises(CommandError, match="There is no scope 'program:8' to reconcile"):
            call_command("reconcile", "--scope", "program:8")
        assert ReconciliationRun.objects.count() == 0

    def test_says_so_where_there_is_nothing_yet(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(witness.Witness, "scopes", lambda self: [])
        assert run("reconcile") == (0, "There is nothing to reconcile yet: no program exists.\n")


class TestScope:
    @pytest.mark.parametrize(
        "text", ["", "program:", "program:0", "program:-1", "program:1 ", "program:٣", "treasury:1"]
    )
    def test_that_is_no_programs_is_refused(self, text: str) -> None:
        with pytest.raises(NotFound):
            chart.scope_accounts(text)

    def test_of_a_program_names_its_accounts(self) -> None:
        assert chart.scope_accounts("program:12") == chart.program_accounts(12)
