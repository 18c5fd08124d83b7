"""The ledger's API: what it shows, to whom, at which cost, and what it refuses."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from ledger import books, chart
from ledger.books import Draft, Line
from ledger.models import Account, Break, Entry, Posting, ReconciliationRun, RunUnderWay
from ledger.reconciliation import service
from tests import factories
from tests.ledger import statements, witness
from tests.ledger.witness import FEE_SAT, SCOPE, World

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CODES = chart.program_accounts(7)
READ = [
    "accounts/",
    "entries/",
    "entries/1/",
    "postings/",
    "trial-balance/",
    "reconciliation-runs/",
    "reconciliation-runs/1/",
    "reconciliation-runs/1/breaks/",
]

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> User:
    """Reads the books and may not reconcile."""
    return factories.make_user("reader", "ledger.view_entry")


@pytest.fixture
def controller() -> User:
    """Reads the books and has them reconciled."""
    return factories.make_user("controller", "ledger.view_entry", "ledger.add_reconciliationrun")


@pytest.fixture
def client(reader: User) -> APIClient:
    """The reader's client."""
    return client_of(reader)


@pytest.fixture
def world(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A deposit of 1,000,000 sat and a mined payout of two payments, which a made-up chain agrees with."""
    settings.LEDGER_EVIDENCE = "tests.ledger.witness.backend"
    monkeypatch.setattr(service, "WAIT_S", 0)
    world = World()
    monkeypatch.setattr(witness, "world", world)
    world.open_books()
    world.deposit(1, 1_000_000)
    world.pay(1, 1, [1_000, 2_000])
    return world


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


def get(client: APIClient, path: str, **query: object) -> Any:
    """Return the body of a 200."""
    answer = client.get(f"/api/v1/{path}", query)
    assert answer.status_code == 200, answer.content
    return answer.json()


def refusal(client: APIClient, path: str, query: dict[str, object] | None = None) -> tuple[int, str]:
    """Return status and code of a problem."""
    answer = client.get(f"/api/v1/{path}", query)
    assert answer["Content-Type"] == "application/problem+json"
    body = answer.json()
    return answer.status_code, body["errors"][0]["code"] if "errors" in body else body["code"]


WALLET_ELEMENTS = {"entity": "", "function": "", "object": "614", "fund": "", "project": ""}


def post_entries(count: int, *, lines: int = 2, first: int = 0) -> list[int]:
    """Post entries an hour apart."""
    chart.open_program(7)
    return books.post(
        Draft(
            kind="funding",
            scope=SCOPE,
            idempotency_key=f"entry {first + n}",
            lines=[Line(CODES.hot_wallet, 5), Line(CODES.appropriation, -5)] * (lines // 2),
            effective_at=NOON + timedelta(hours=first + n),
            source_ref=f"outpoint:{first + n}",
            actor="engine",
        )
        for n in range(count)
    )


def moved() -> tuple[int, ...]:
    return tuple(model.objects.count() for model in (Account, Entry, Posting, ReconciliationRun, Break))


class TestAccess:
    @pytest.mark.parametrize("path", READ)
    def test_sends_strangers_to_sign_in(self, path: str) -> None:
        assert refusal(APIClient(), path) == (401, "not_authenticated")

    @pytest.mark.parametrize("path", READ)
    def test_is_denied_without_the_right_to_read(self, path: str) -> None:
        assert refusal(client_of(factories.make_user("nobody")), path) == (403, "forbidden")
        other = factories.make_user("other", "ledger.add_reconciliationrun", "ledger.view_account")
        assert refusal(client_of(other), path) == (403, "forbidden")

    def test_lets_a_reader_read_only(self, client: APIClient, world: World) -> None:
        before = moved()
        answer = client.post("/api/v1/reconciliation-runs/", {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert moved() == before

    def test_of_one_who_may_reconcile_takes_reading_too(self, world: World) -> None:
        before = moved()
        other = client_of(factories.make_user("other", "ledger.add_reconciliationrun"))
        assert other.post("/api/v1/reconciliation-runs/", {}, format="json").status_code == 403
        assert moved() == before

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            (method, path)
            for method in ("post", "put", "patch", "delete")
            for path in READ
            if (method, path) != ("post", "reconciliation-runs/")
        ],
    )
    def test_has_no_way_to_write(self, controller: User, world: World, method: str, path: str) -> None:
        before = moved()
        answer = getattr(client_of(controller), method)(f"/api/v1/{path}", {}, format="json")
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
        assert moved() == before


class TestAccounts:
    def test_shows_balances(self, client: APIClient, world: World) -> None:
        found = get(client, "accounts/")["results"]
        assert {account["code"]: account["balance"] for account in found} == {
            CODES.hot_wallet: 1_000_000 - 3_000 - FEE_SAT,
            CODES.in_transit: 3_000,
            CODES.payable: 0,
            CODES.appropriation: -1_000_000,
            CODES.transfers: 0,
            CODES.network_fees: FEE_SAT,
        }
        account = Account.objects.get(code=CODES.in_transit)
        assert found[1] == {
            "id": account.pk,
            "code": "Assets:InTransit:P7",
            "name": "Payments in transit",
            "kind": "asset",
            "scope": "program:7",
            "currency": "BTC",
            "scale": 8,
            "balance": 3_000,
            **WALLET_ELEMENTS,
        }

    def test_filters_and_pages(self, client: APIClient, world: World) -> None:
        chart.open_program(8)
        assert len(get(client, "accounts/", scope="program:8")["results"]) == 6
        assert len(get(client, "accounts/", kind="expense")["results"]) == 4
        assert [a["name"] for a in get(client, "accounts/", code=CODES.payable)["results"]] == [
            "Beneficiaries payable"
        ]
        seen, address = [], "/api/v1/accounts/?page_size=5"
        while address:
            page = client.get(address).json()
            seen += [account["code"] for account in page["results"]]
            address = page["next"]
        assert seen == list(Account.objects.order_by("pk").values_list("code", flat=True))

    def test_takes_one_statement(self, client: APIClient, world: World) -> None:
        chart.open_program(8)
        assert statements.count(lambda: get(client, "accounts/")) == 1

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"kind": "gold"}, "invalid_choice"),
            ({"scop": "program:7"}, "unknown_parameter"),
            ({"scope": "x" * 41}, "max_length"),
            ({"scope": "a\0b"}, "null_characters_not_allowed"),
            ({"page_size": "0"}, "page_size_invalid"),
            ({"cursor": "x"}, "cursor_invalid"),
        ],
    )
    def test_refuses_what_it_does_not_understand(
        self, client: APIClient, query: dict[str, object], code: str
    ) -> None:
        assert refusal(client, "accounts/", query) == (400, code)


class TestEntries:
    def test_shows_the_latest_first_with_totals(self, client: APIClient, world: World) -> None:
        sent, deposit = get(client, "entries/")["results"]
        assert (deposit["kind"], deposit["line_count"], deposit["amount_sat"]) == ("funding", 2, 1_000_000)
        entry = Entry.objects.get(kind="payout_sent")
        assert sent == {
            "id": entry.pk,
            "kind": "payout_sent",
            "scope": "program:7",
            "idempotency_key": "payout_sent:payout:1",
            "effective_at": entry.effective_at.isoformat().replace("+00:00", "Z"),
            "recorded_at": entry.recorded_at.isoformat().replace("+00:00", "Z"),
            "line_count": 4,
            "amount_sat": 3_000 + FEE_SAT,
            "memo": "",
            "source_ref": "payout:1",
            "actor": "engine",
            "approver": "",
            "original_at": None,
            "reversal_of_id": None,
            "reversed_by_id": None,
            "block_hash": "",
            "block_height": None,
        }

    def test_links_a_reversal_both_ways(self, client: APIClient) -> None:
        (entry_id,) = post_entries(1)
        reversal_id = books.reverse(
            entry_id, idempotency_key="r", effective_at=NOON, memo="Wrong", actor="auditor"
        )
        reversal, entry = get(client, "entries/")["results"]
        assert (reversal["id"], reversal["reversal_of_id"], reversal["reversed_by_id"]) == (
            reversal_id,
            entry_id,
            None,
        )
        assert (entry["id"], entry["reversal_of_id"], entry["reversed_by_id"]) == (
            entry_id,
            None,
            reversal_id,
        )

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"scope": "program:7"}, [3, 2, 1, 0]),
            ({"scope": "program:8"}, []),
            ({"kind": "funding"}, [3, 2, 1, 0]),
            ({"kind": "settlement"}, []),
            ({"source_ref": "outpoint:2"}, [2]),
            ({"effective_from": "2026-11-24T13:00:00Z"}, [3, 2, 1]),
            ({"effective_before": "2026-11-24T13:00:00Z"}, [0]),
            (
                {"effective_from": "2026-11-24T18:30:00+05:30", "effective_before": "2026-11-24T14:00:00Z"},
                [1],
            ),
            ({"effective_from": "0001-01-01T00:00:00+14:00"}, [3, 2, 1, 0]),
            ({"effective_before": "9999-12-31T23:59:59-14:00"}, [3, 2, 1, 0]),
        ],
    )
    def test_filters(self, client: APIClient, query: dict[str, object], expected: list[int]) -> None:
        ids = post_entries(4)
        found = get(client, "entries/", **query)["results"]
        assert [entry["id"] for entry in found] == [ids[n] for n in expected]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ({"effective_from": "yesterday"}, "invalid"),
            ({"effective_at": "2026-11-24"}, "unknown_parameter"),
            ({"source_ref": "x" * 101}, "max_length"),
        ],
    )
    def test_refuses_what_it_does_not_understand(
        self, client: APIClient, query: dict[str, object], code: str
    ) -> None:
        assert refusal(client, "entries/", query) == (400, code)

    def test_takes_one_statement_however_many_there_are(self, client: APIClient) -> None:
        post_entries(3)
        assert statements.count(lambda: get(client, "entries/")) == 1
        post_entries(40, first=3, lines=20)
        assert statements.count(lambda: get(client, "entries/")) == 1
        assert len(get(client, "entries/")["results"]) == 43


class TestEntry:
    def test_shows_every_line_in_order(self, client: APIClient, world: World) -> None:
        entry_id = Entry.objects.get(kind="payout_sent").pk
        entry = get(client, f"entries/{entry_id}/")
        assert (entry["id"], entry["line_count"], entry["amount_sat"]) == (entry_id, 4, 3_300)
        wallet = -3_000 - FEE_SAT
        assert [(p["account_code"], p["amount"], p["reference"]) for p in entry["postings"]] == [
            (CODES.in_transit, 1_000, 1),
            (CODES.in_transit, 2_000, 2),
            (CODES.network_fees, FEE_SAT, None),
            (CODES.hot_wallet, wallet, None),
        ]
        assert {(p["entry_id"], p["currency"], p["scale"]) for p in entry["postings"]} == {
            (entry_id, "BTC", 8)
        }

    def test_takes_two_statements_however_long_it_is(self, client: APIClient) -> None:
        (entry_id,) = post_entries(1, lines=1_000)
        assert statements.count(lambda: get(client, f"entries/{entry_id}/")) == 2
        assert len(get(client, f"entries/{entry_id}/")["postings"]) == 1_000

    @pytest.mark.parametrize("entry_id", [1, 0, 2**63 - 1, 2**63, 10**30])
    def test_does_not_exist(self, client: APIClient, entry_id: int) -> None:
        assert refusal(client, f"entries/{entry_id}/") == (404, "not_found")


class TestPostings:
    def test_filters_by_payment_account_and_entry(self, client: APIClient, world: World) -> None:
        entry_id = Entry.objects.get(kind="payout_sent").pk
        (line,) = get(client, "postings/", reference=2)["results"]
        assert (line["account_code"], line["amount"], line["entry_id"]) == (CODES.in_transit, 2_000, entry_id)
        found = get(client, "postings/", account=CODES.hot_wallet)["results"]
        assert [line["amount"] for line in found] == [-3_300, 1_000_000]
        assert len(get(client, "postings/", entry=entry_id)["results"]) == 4
        assert get(client, "postings/", account="Assets:Nowhere")["results"] == []

    def test_takes_one_statement(self, client: APIClient) -> None:
        post_entries(5, lines=20)
        assert statements.count(lambda: get(client, "postings/")) == 1

    @pytest.mark.parametrize("text", ["0", "-1", str(2**63), "1.5", "x", "NaN"])
    def test_refuses_what_is_no_payment(self, client: APIClient, text: str) -> None:
        assert refusal(client, "postings/", {"reference": text})[0] == 400


class TestTrialBalance:
    def test_shows_what_was_known_at_a_time_and_other_layers(self, client: APIClient, world: World) -> None:
        for asked, debit in (
            ({"known_at": "2020-01-01T00:00:00Z"}, 0),
            ({"known_at": "2100-01-01T00:00:00Z"}, 1_003_300),
            ({"layer": "settled"}, 1_003_300),
            ({"layer": "encumbered"}, 0),
        ):
            trial = get(client, "trial-balance/", scope=SCOPE, **asked)
            assert {name: trial[name] for name in asked} == asked
            assert trial["totals"] == [{"currency": "BTC", "debit": debit, "credit": debit}]

    def test_shows_debits_and_credits_of_a_scope(self, client: APIClient, world: World) -> None:
        chart.open_program(8)
        trial = get(client, "trial-balance/", scope=SCOPE)
        assert (trial["scope"], trial["as_of"], trial["is_balanced"]) == ("program:7", None, True)
        assert trial["totals"] == [{"currency": "BTC", "debit": 1_003_300, "credit": 1_003_300}]
        assert trial["accounts"][0] == {
            "code": "Assets:HotWallet:P7",
            "name": "Funding wallet",
            "kind": "asset",
            "currency": "BTC",
            "scale": 8,
            "debit": 1_000_000,
            "credit": 3_300,
            "balance": 996_700,
            **WALLET_ELEMENTS,
        }
        assert [account["balance"] for account in trial["accounts"]] == [
            996_700,
            3_000,
            -1_000_000,
            300,
            0,
            0,
        ]
        assert len(get(client, "trial-balance/")["accounts"]) == 12

    def test_looks_back_in_time(self, client: APIClient) -> None:
        post_entries(3)
        trial = get(client, "trial-balance/", as_of="2026-11-24T13:00:00Z")
        assert trial["totals"] == [{"currency": "BTC", "debit": 10, "credit": 10}]
        assert trial["as_of"] == "2026-11-24T13:00:00Z"
        trial = get(client, "trial-balance/", as_of="0001-01-01T00:00:00Z")
        assert trial["totals"] == [{"currency": "BTC", "debit": 0, "credit": 0}]

    def test_takes_one_statement(self, client: APIClient, world: World) -> None:
        assert statements.count(lambda: get(client, "trial-balance/")) == 1

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ({"scope": "program:9"}, (404, "not_found")),
            ({"scope": " program:7"}, (404, "not_found")),
            ({"scope": "a\0"}, (400, "null_characters_not_allowed")),
            ({"scope": ""}, (400, "blank")),
            ({"as_of": "yesterday"}, (400, "invalid")),
            ({"known_at": "soon"}, (400, "invalid")),
            ({"layer": "all"}, (400, "invalid_choice")),
            ({"at": "2026-11-24T13:00:00Z"}, (400, "unknown_parameter")),
            ({"when": "now"}, (400, "unknown_parameter")),
        ],
    )
    def test_refuses_what_it_does_not_understand(
        self, client: APIClient, world: World, query: dict[str, object], expected: tuple[int, str]
    ) -> None:
        assert refusal(client, "trial-balance/", query) == expected


class TestReconciliationRuns:
    def test_are_made_on_demand(self, controller: User, world: World) -> None:
        client = client_of(controller)
        answer = client.post("/api/v1/reconciliation-runs/", {"scope": SCOPE}, format="json")
        assert answer.status_code == 201
        (run,) = answer.json()["runs"]
        stored = ReconciliationRun.objects.get()
        assert (run["id"], run["scope"], run["status"], run["reason"]) == (stored.pk, SCOPE, "clean", "")
        assert (run["block_hash"], run["block_height"]) == (world.block_hash, 100)
        assert run["counts"]["matched"] == 2
        assert run["digest"] == bytes(stored.digest).hex()
        assert get(client, f"reconciliation-runs/{stored.pk}/") == run
        assert get(client, "reconciliation-runs/")["results"] == [run]
        assert get(client, f"reconciliation-runs/{stored.pk}/breaks/")["results"] == []

    def test_cover_every_scope_without_a_body(self, controller: User, world: World) -> None:
        answer = client_of(controller).post("/api/v1/reconciliation-runs/")
        assert answer.status_code == 201
        assert [run["scope"] for run in answer.json()["runs"]] == [SCOPE]

    def test_tell_their_breaks(self, controller: User, world: World) -> None:
        client = client_of(controller)
        world.bend_output(witness.digest_of("payout", 1), 0, amount_sat=999)
        answer = client.post("/api/v1/reconciliation-runs/", {}, format="json")
        assert answer.status_code == 201
        (run,) = answer.json()["runs"]
        assert (run["status"], run["counts"]["amount"]) == ("breaks", 1)
        found = get(client, f"reconciliation-runs/{run['id']}/breaks/", kind="amount")["results"]
        stored = Break.objects.get(kind="amount")
        assert found == [
            {
                "id": stored.pk,
                "kind": "amount",
                "unit": "payout:1",
                "amount_sat": None,
                "payment_id": 1,
                "payout_id": 1,
                "txid": witness.digest_of("payout", 1),
                "vout": 0,
                "expected": stored.expected,
                "found": stored.found,
                "message": stored.message,
            }
        ]
        assert get(client, "reconciliation-runs/", status="clean")["results"] == []
        assert len(get(client, "reconciliation-runs/", status="breaks", scope=SCOPE)["results"]) == 1

    def test_are_inconclusive_when_a_source_is_stale(self, controller: User, world: World) -> None:
        world.failures = [witness.stale()] * service.ATTEMPTS
        answer = client_of(controller).post("/api/v1/reconciliation-runs/", {}, format="json")
        assert answer.status_code == 201
        assert [(run["status"], run["reason"]) for run in answer.json()["runs"]] == [
            ("inconclusive", "The follower is behind.")
        ]

    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            ({"scope": "program:9"}, 404, "not_found"),
            ({"scope": ""}, 400, "blank"),
            ({"scope": None}, 400, "null"),
            ({"scope": True}, 400, "invalid"),
            ({"scope": "x" * 41}, 400, "max_length"),
            ({"scope": "a\0b"}, 400, "null_characters_not_allowed"),
            ({"scopes": "program:7"}, 400, "unknown_field"),
            ([], 400, "invalid"),
        ],
    )
    def test_are_refused_for_what_is_no_scope(
        self, controller: User, world: World, body: Any, status: int, code: str
    ) -> None:
        before = moved()
        answer = client_of(controller).post("/api/v1/reconciliation-runs/", body, format="json")
        problem = answer.json()
        found = problem["errors"][0]["code"] if "errors" in problem else problem["code"]
        assert (answer.status_code, found) == (status, code)
        assert moved() == before

    def test_under_way_say_how_far_they_are(self, client: APIClient) -> None:
        RunUnderWay.objects.create(
            scope=SCOPE, is_full=True, started_at=NOON, seen_at=NOON, step="reading blocks", done=7, total=9
        )
        (row,) = get(client, "reconciliation-runs/under-way/")["results"]
        assert row | {"id": 0} == {
            "id": 0,
            "scope": SCOPE,
            "is_full": True,
            "started_at": "2026-11-24T12:00:00Z",
            "seen_at": "2026-11-24T12:00:00Z",
            "step": "reading blocks",
            "done": 7,
            "total": 9,
        }

    @pytest.mark.parametrize("path", ["reconciliation-runs/1/", "reconciliation-runs/1/breaks/"])
    def test_do_not_exist(self, client: APIClient, path: str) -> None:
        assert refusal(client, path) == (404, "not_found")

    def test_take_one_statement_a_page(self, client: APIClient, world: World) -> None:
        for _ in range(3):
            service.reconcile(scope=SCOPE, now=NOON)
        assert statements.count(lambda: get(client, "reconciliation-runs/")) == 1
        run_id = ReconciliationRun.objects.values_list("pk", flat=True)[0]
        assert statements.count(lambda: get(client, f"reconciliation-runs/{run_id}/breaks/")) == 2
