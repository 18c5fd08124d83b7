"""The ledger's admin: who looks, what they see, at which cost, and that nothing can be written."""

import inspect
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from govpay.errors import Unavailable
from ledger import books, chart, conversion, events, rails
from ledger.admin import cells
from ledger.books import Draft, Line
from ledger.models import (
    Account,
    Break,
    Case,
    Checkpoint,
    Cosignature,
    Entry,
    Period,
    Posting,
    ReconciliationRun,
    RunUnderWay,
    Seal,
)
from ledger.reconciliation import service
from ledger.treasury import trust
from tests import factories
from tests.ledger import statements, witness
from tests.ledger.witness import SCOPE, World

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
CODES = chart.program_accounts(7)
ROOT = bytes(range(32))
MODELS = ["account", "entry", "posting", "period", "reconciliationrun", "break", "case", "seal", "checkpoint"]
TRIAL_BALANCE = "/admin/ledger/account/trial-balance/"
RECONCILE = "/admin/ledger/reconciliationrun/reconcile/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def reader() -> Client:
    """A browser of somebody who reads the books and may not reconcile."""
    return browser(factories.make_user("reader", "ledger.view_entry"))


@pytest.fixture
def controller() -> Client:
    """A browser of somebody who reads the books and has them reconciled."""
    return browser(factories.make_user("controller", "ledger.view_entry", "ledger.add_reconciliationrun"))


@pytest.fixture
def world(settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """A deposit of 1,000,000 sat and a mined payout of two payments, of which the chain paid one too little."""
    settings.LEDGER_EVIDENCE = "tests.ledger.witness.backend"
    monkeypatch.setattr(service, "WAIT_S", 0)
    world = World()
    monkeypatch.setattr(witness, "world", world)
    world.open_books()
    world.deposit(1, 1_000_000)
    world.pay(1, 1, [1_000, 2_000])
    return world


@pytest.fixture
def broken(world: World) -> ReconciliationRun:
    """A run that found another amount on chain; a period is open, and a head of the tree is signed."""
    sealed = Seal.objects.create(start=0, size=1_234, root=ROOT, cluster=1, horizon_xid=1, horizon_id=0)
    head = Checkpoint.objects.create(seal=sealed, note="govpay.example/books\n1234\n", verifier="books+1+k")
    Cosignature.objects.create(checkpoint=head, line="\u2014 witness.example/w1 abc", verifier="w1+2+k")
    Period.objects.create(name="2026-10", ends_at=NOON, opened_by="dalia")
    world.bend_output(witness.digest_of("payout", 1), 0, amount_sat=999)
    (run,) = service.reconcile(scope=SCOPE, now=NOON)
    return run


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def list_url(name: str) -> str:
    return reverse(f"admin:ledger_{name}_changelist")


def page_url(name: str, pk: int) -> str:
    return reverse(f"admin:ledger_{name}_change", args=[pk])


def one_of_each() -> dict[str, Any]:
    """Return a row of every model by its name."""
    models = (Account, Entry, Posting, Period, ReconciliationRun, Break, Case, Seal, Checkpoint)
    return {model._meta.model_name: model.objects.order_by("pk")[0] for model in models}  # type: ignore[misc]


def everything() -> list[list[tuple[Any, ...]]]:
    models = (Account, Entry, Posting, Period, ReconciliationRun, Break, Case, Seal, Checkpoint)
    return [
        [
            tuple(bytes(c) if isinstance(c, memoryview) else c for c in row)
            for row in model.objects.values_list()
        ]
        for model in models
    ]


def text_of(client: Client, url: str, query: dict[str, object] | None = None) -> str:
    """Return a page that was found."""
    answer = client.get(url, query)
    assert answer.status_code == 200
    return answer.content.decode()


def post_entries(count: int, *, lines: int = 2, first: int = 0) -> list[int]:
    chart.open_program(7)
    return books.post(
        Draft(
            kind="funding",
            scope=SCOPE,
            idempotency_key=f"entry {first + n}",
            lines=[Line(CODES.hot_wallet, 5), Line(CODES.appropriation, -5)] * (lines // 2),
            effective_at=NOON,
            source_ref=f"outpoint:{first + n}",
            actor="engine",
        )
        for n in range(count)
    )


class TestAccess:
    def test_covers_every_model(self) -> None:
        registered = {m._meta.model_name for m in admin.site._registry if m._meta.app_label == "ledger"}
        # Who may see packs, events, lots, and what was blacked out, is tested beside them.
        assert registered == {
            *MODELS,
            "packjob",
            "redactionrequest",
            "auditevent",
            "lotmovement",
            "reservescan",
        }

    @pytest.mark.parametrize("name", MODELS)
    def test_shows_lists_and_pages_to_readers(
        self, name: str, reader: Client, broken: ReconciliationRun
    ) -> None:
        page = page_url(name, one_of_each()[name].pk)
        assert page in text_of(reader, list_url(name))
        text_of(reader, page)

    @pytest.mark.parametrize("name", MODELS)
    def test_is_denied_to_other_staff(self, name: str, broken: ReconciliationRun) -> None:
        client = browser(factories.make_user("nobody", "ledger.view_account", "ledger.add_reconciliationrun"))
        assert client.get(list_url(name)).status_code == 403
        assert client.get(page_url(name, one_of_each()[name].pk)).status_code == 403
        assert client.get(TRIAL_BALANCE).status_code == 403
        assert "/admin/ledger/" not in text_of(client, "/admin/")

    @pytest.mark.parametrize("url", [TRIAL_BALANCE, RECONCILE, "/admin/ledger/entry/"])
    def test_sends_strangers_to_the_login(self, url: str) -> None:
        answer = Client().get(url)
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))

    @pytest.mark.parametrize("name", MODELS)
    def test_has_no_way_to_write(self, name: str, broken: ReconciliationRun) -> None:
        before = everything()
        client = browser(User.objects.create_superuser("root"))
        row = one_of_each()[name]
        page, add = page_url(name, row.pk), reverse(f"admin:ledger_{name}_add")
        for method, url in (
            ("get", add),
            ("post", add),
            ("post", page),
            ("get", page.replace("/change/", "/delete/")),
            ("post", page.replace("/change/", "/delete/")),
        ):
            assert getattr(client, method)(url, {"memo": "x", "amount": "5"}).status_code == 403
        client.post(list_url(name), {"action": "delete_selected", "_selected_action": [row.pk]})
        assert everything() == before


class TestSeals:
    def test_show_head_size_note_and_witnesses(self, reader: Client, broken: ReconciliationRun) -> None:
        text = text_of(reader, list_url("seal"))
        assert "1,234" in text
        assert ROOT.hex() in text
        text = text_of(reader, page_url("seal", Seal.objects.get().pk))
        assert "Not signed" not in text
        text = text_of(reader, page_url("checkpoint", Checkpoint.objects.get().pk))
        for shown in (ROOT.hex(), "govpay.example/books", "books+1+k", "witness.example/w1", "w1+2+k"):
            assert shown in text

    def test_show_the_note_line_by_line_and_hand_it_out(
        self, reader: Client, broken: ReconciliationRun
    ) -> None:
        head = Checkpoint.objects.get()
        page = page_url("checkpoint", head.pk)
        text = text_of(reader, page)
        assert f'<pre class="gl-lines">{head.note}</pre>' in text
        assert "No final block holds its hash yet." in text
        address = reverse("admin:ledger_checkpoint_note", args=[head.pk])
        assert address in text
        answer = reader.get(address)
        assert (answer.status_code, answer.content) == (200, head.note.encode())
        assert answer["Content-Disposition"] == 'attachment; filename="checkpoint-1234"'
        proof = reverse("admin:ledger_checkpoint_ots", args=[head.pk])
        assert proof not in text
        assert reader.get(proof).status_code == 404
        assert reader.get(reverse("admin:ledger_checkpoint_note", args=[head.pk + 1])).status_code == 404
        other = browser(factories.make_user("stranger"))
        assert [other.get(url).status_code for url in (address, proof)] == [403, 403]

    def test_are_found_by_their_size(self, reader: Client, broken: ReconciliationRun) -> None:
        for name in ("seal", "checkpoint"):
            assert "1,234" in text_of(reader, list_url(name), {"q": "1234"})
            assert "1,234" not in text_of(reader, list_url(name), {"q": "1235"})

    def test_say_that_a_head_was_not_signed(self, reader: Client) -> None:
        alone = Seal.objects.create(start=0, size=1, root=ROOT, cluster=1, horizon_xid=1, horizon_id=0)
        assert "Not signed; a later head covers it." in text_of(reader, page_url("seal", alone.pk))


class TestAccount:
    def test_shows_balances_grouped_and_to_the_right(self, reader: Client, world: World) -> None:
        text = text_of(reader, list_url("account"))
        assert '<span class="gl-number">996,700 sat</span>' in text
        assert '<span class="gl-number">-1,000,000 sat</span>' in text
        page = text_of(reader, page_url("account", Account.objects.get(code=CODES.in_transit).pk))
        assert '<span class="gl-number">3,000 sat</span>' in page
        assert '<span class="gl-number">2,000 sat</span>' in page

    def test_filters_by_scope(self, reader: Client, world: World) -> None:
        chart.open_program(8)
        text = text_of(reader, list_url("account"), {"scope": "program:8"})
        assert "Assets:HotWallet:P8" in text
        assert "Assets:HotWallet:P7" not in text

    def test_says_when_there_is_none(self, reader: Client) -> None:
        assert "No account yet." in text_of(reader, list_url("account"))

    def test_takes_no_statement_a_row(self, reader: Client) -> None:
        chart.open_program(7)
        few = statements.count(lambda: reader.get(list_url("account")))
        for program_id in range(8, 14):
            chart.open_program(program_id)
        assert statements.count(lambda: reader.get(list_url("account"))) == few


class TestTrialBalance:
    def test_shows_every_account_and_equal_totals(self, reader: Client, world: World) -> None:
        text = text_of(reader, TRIAL_BALANCE)
        assert "Balanced" in text
        assert text.count("1,003,300 sat") == 2
        assert [text.count(f">{code}<") for code in CODES] == [1] * 6

    def test_looks_back_in_time_and_at_one_scope(self, reader: Client, world: World) -> None:
        chart.open_program(8)
        text = text_of(reader, TRIAL_BALANCE, {"scope": SCOPE, "as_of": "2020-01-01T00:00"})
        assert "1,000,000 sat" not in text
        assert "Assets:HotWallet:P8" not in text
        assert "Assets:HotWallet:P7" in text

    def test_says_what_is_no_time(self, reader: Client, world: World) -> None:
        assert "Enter a valid date/time." in text_of(reader, TRIAL_BALANCE, {"as_of": "yesterday"})

    def test_says_when_there_is_no_account(self, reader: Client) -> None:
        assert "No account yet." in text_of(reader, TRIAL_BALANCE)

    def test_is_one_click_from_the_accounts(self, reader: Client) -> None:
        assert TRIAL_BALANCE in text_of(reader, list_url("account"))


class TestEntry:
    def test_shows_its_lines(self, reader: Client, world: World) -> None:
        entry = Entry.objects.get(kind="payout_sent")
        text = text_of(reader, page_url("entry", entry.pk))
        for amount in ("1,000 sat", "2,000 sat", "300 sat", "3,300 sat"):
            assert f'<span class="gl-number">{amount}</span>' in text
        assert f"/admin/ledger/posting/?entry={entry.pk}" in text

    def test_shortens_hashes_in_lists(self, reader: Client, world: World) -> None:
        txid = witness.digest_of("deposit", 1)
        text = text_of(reader, list_url("entry"))
        assert f"outpoint:{txid[:8]}…{txid[-6:]}:1" in text

    def test_links_reversals_both_ways(self, reader: Client) -> None:
        (entry_id,) = post_entries(1)
        reversal_id = books.reverse(entry_id, idempotency_key="r", effective_at=NOON, memo="Wrong", actor="a")
        assert f"undone by {reversal_id}" in text_of(reader, page_url("entry", entry_id))
        assert f"undoes {entry_id}" in text_of(reader, page_url("entry", reversal_id))

    @pytest.mark.parametrize("term", ["outpoint:1", "entry 1"])
    def test_is_found_by_source_and_key(self, reader: Client, term: str) -> None:
        ids = post_entries(3)
        text = text_of(reader, list_url("entry"), {"q": term})
        assert [page_url("entry", entry_id) in text for entry_id in ids] == [False, True, False]

    def test_is_filtered_by_kind(self, reader: Client, world: World) -> None:
        text = text_of(reader, list_url("entry"), {"kind": "funding"})
        found = dict(Entry.objects.values_list("kind", "pk"))
        assert page_url("entry", found["funding"]) in text
        assert page_url("entry", found["payout_sent"]) not in text
        assert "Nothing matches" in text_of(reader, list_url("entry"), {"kind": "settlement"})

    def test_takes_no_statement_a_row_or_line(self, reader: Client) -> None:
        ids = post_entries(2)
        few = statements.count(lambda: reader.get(list_url("entry")))
        page = statements.count(lambda: reader.get(page_url("entry", ids[0])))
        long = post_entries(40, first=2, lines=200)
        assert statements.count(lambda: reader.get(list_url("entry"))) == few
        assert statements.count(lambda: reader.get(page_url("entry", long[0]))) == page
        assert "The first 100 of 200 lines" in text_of(reader, page_url("entry", long[0]))

    def test_knows_every_kind_that_is_posted(self) -> None:
        makers = (events, conversion, trust, rails)
        source = "".join(Path(inspect.getfile(module)).read_text() for module in makers)
        assert tuple(part.split('"')[0] for part in source.split('kind="')[1:]) == events.KINDS


class TestPosting:
    def test_is_found_by_payment_and_entry(self, reader: Client, world: World) -> None:
        line = Posting.objects.get(reference=2)
        others = Posting.objects.exclude(pk=line.pk).values_list("pk", flat=True)
        for query in ({"q": "2"}, {"payment": "2"}):
            text = text_of(reader, list_url("posting"), query)
            assert page_url("posting", line.pk) in text
            assert not any(page_url("posting", pk) in text for pk in others)
        text = text_of(reader, list_url("posting"), {"entry": str(line.entry_id)})
        assert text.count("/admin/ledger/posting/") >= 4
        assert "Nothing matches" in text_of(reader, list_url("posting"), {"entry": "x"})

    def test_takes_no_statement_a_row(self, reader: Client) -> None:
        post_entries(1)
        few = statements.count(lambda: reader.get(list_url("posting")))
        post_entries(5, first=1, lines=8)
        assert statements.count(lambda: reader.get(list_url("posting"))) == few


class TestReconciliationRun:
    def test_shows_its_breaks(self, reader: Client, broken: ReconciliationRun) -> None:
        text = text_of(reader, list_url("reconciliationrun"))
        assert '<span class="gl-label gl-bad">Breaks</span>' in text
        page = text_of(reader, page_url("reconciliationrun", broken.pk))
        assert "Another amount" in page
        assert Break.objects.get(kind="amount").message in page
        assert f"/admin/ledger/break/?run={broken.pk}" in page
        assert broken.block_hash in page

    def test_takes_no_statement_a_row(self, reader: Client, broken: ReconciliationRun) -> None:
        few = statements.count(lambda: reader.get(list_url("reconciliationrun")))
        for _ in range(3):
            service.reconcile(scope=SCOPE, now=NOON)
        assert statements.count(lambda: reader.get(list_url("reconciliationrun"))) == few

    def test_says_what_is_under_way(self, reader: Client, world: World) -> None:
        RunUnderWay.objects.create(
            scope=SCOPE, is_full=True, started_at=NOON, seen_at=NOON, step="reading blocks", done=7, total=9
        )
        said = "A run of program:7 is under way. At 2026-11-24 12:00:00 UTC: reading blocks: 7 of 9."
        assert said in text_of(reader, list_url("reconciliationrun"))


class TestReconcileNow:
    def test_reads_all_where_that_is_asked(
        self, controller: Client, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert 'name="is_full"' in text_of(controller, RECONCILE)
        asked: list[bool] = []
        monkeypatch.setattr(service, "reconcile", lambda **call: asked.append(call["is_full"]) or [])
        controller.post(RECONCILE, {"scope": SCOPE})
        controller.post(RECONCILE, {"scope": SCOPE, "is_full": "on"})
        assert asked == [False, True]

    def test_is_offered_to_those_who_may(self, controller: Client, reader: Client) -> None:
        assert RECONCILE in text_of(controller, list_url("reconciliationrun"))
        assert RECONCILE not in text_of(reader, list_url("reconciliationrun"))

    def test_asks_first_and_changes_nothing_by_looking(self, controller: Client, world: World) -> None:
        text = text_of(controller, RECONCILE)
        assert '<option value="program:7">' in text
        assert ReconciliationRun.objects.count() == 0

    @pytest.mark.parametrize("scope", ["", SCOPE])
    def test_stores_a_run_and_says_what_came_of_it(
        self, controller: Client, world: World, scope: str
    ) -> None:
        answer = controller.post(RECONCILE, {"scope": scope})
        run = ReconciliationRun.objects.get()
        assert (answer.status_code, answer["Location"]) == (302, page_url("reconciliationrun", run.pk))
        assert [str(m) for m in get_messages(answer.wsgi_request)] == [
            "program:7: clean at block 100; claims, books and blocks agree."
        ]

    def test_says_how_many_breaks_there_are(self, controller: Client, broken: ReconciliationRun) -> None:
        answer = controller.post(RECONCILE, {"scope": SCOPE})
        (message,) = get_messages(answer.wsgi_request)
        assert str(message).startswith("program:7: ")
        assert str(message).endswith(" breaks at block 100.")
        assert message.level_tag == "error"

    def test_says_when_nothing_is_proved(self, controller: Client, world: World) -> None:
        world.failures = [witness.stale()] * service.ATTEMPTS
        answer = controller.post(RECONCILE, {"scope": SCOPE})
        (message,) = get_messages(answer.wsgi_request)
        assert str(message) == "program:7: inconclusive, nothing is proved. The follower is behind."
        assert message.level_tag == "warning"

    def test_shows_a_refusal_as_a_message(
        self, controller: Client, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**_: object) -> None:
            raise Unavailable("The node does not answer.")

        monkeypatch.setattr(service, "reconcile", refuse)
        answer = controller.post(RECONCILE, {"scope": SCOPE})
        assert (answer.status_code, answer["Location"]) == (302, list_url("reconciliationrun"))
        assert [str(m) for m in get_messages(answer.wsgi_request)] == ["The node does not answer."]
        assert ReconciliationRun.objects.count() == 0

    def test_refuses_a_scope_that_is_not_offered(self, controller: Client, world: World) -> None:
        answer = controller.post(RECONCILE, {"scope": "program:9"})
        assert answer.status_code == 422
        assert "Select a valid choice." in answer.content.decode()
        assert ReconciliationRun.objects.count() == 0

    def test_is_denied_to_readers(self, reader: Client, world: World) -> None:
        assert reader.get(RECONCILE).status_code == 403
        assert reader.post(RECONCILE, {"scope": SCOPE}).status_code == 403
        assert ReconciliationRun.objects.count() == 0

    def test_takes_a_token_against_forgery(self, controller: Client, world: World) -> None:
        strict = Client(enforce_csrf_checks=True)
        strict.force_login(User.objects.get(username="controller"))
        assert strict.post(RECONCILE, {"scope": SCOPE}).status_code == 403
        assert ReconciliationRun.objects.count() == 0


class TestAmount:
    @pytest.mark.parametrize(
        ("units", "currency", "scale", "text"),
        [
            (0, "BTC", 8, "0 sat"),
            (-1_234_567, "BTC", 8, "-1,234,567 sat"),
            (123_456, "PKR", 2, "1,234.56 PKR"),
            (-5, "PKR", 2, "-0.05 PKR"),
            (1_500, "JPY", 0, "1,500 JPY"),
        ],
    )
    def test_is_written_exactly(self, units: int, currency: str, scale: int, text: str) -> None:
        assert f">{text}</span>" in cells.amount(units, currency, scale)
