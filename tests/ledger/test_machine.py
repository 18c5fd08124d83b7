"""The books against a small model of them: whatever is posted, undone, dated and sealed in whatever order, they agree.

The verbs: post, backdate, replay, hold pending, resolve, reverse, reorganize, correct, close, seal a period, seal the tree,
die, restart.

The model is a list of entries in memory. Each step is committed; each example has a program and a stretch of time of its
own, because nothing that was written can be taken back.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from govpay.errors import SamePersonTwice
from ledger import books, chart, periods, selectors
from ledger.books import Draft, Line
from ledger.models import Entry, Layer, Leaf
from ledger.seals import checkpoints, leaf, proofs, sealer, tree, verification
from tests import factories

HOUR = timedelta(hours=1)
LAYERS = [layer.value for layer in Layer]
HELD = LAYERS[1:]
NOBODYS = datetime(2001, 1, 1, tzinfo=UTC)
numbers = count(1)

hours = st.integers(min_value=0, max_value=16)
amounts = st.integers(min_value=1, max_value=2**40)
picks = st.integers(min_value=0, max_value=10**6)


@dataclass
class Known:
    """An entry of the model."""

    pk: int
    key: str
    effective: datetime
    original: datetime | None
    lines: list[Line]
    arguments: dict[str, Any]
    is_undone: bool = False

    @property
    def held(self) -> list[Line]:
        return [line for line in self.lines if line.layer != "settled"]


@dataclass
class Month:
    """A period of the model."""

    name: str
    ends: datetime
    status: str = "open"
    closed_by: User | None = None
    closed_with: int = field(default=0)


class Died(Exception):
    """The sealer is gone."""


class Machine(RuleBasedStateMachine):
    """Does to the books and to the model the same, and compares."""

    people: list[User]

    @initialize(stage=st.integers(0, 2))
    def start(self, stage: int) -> None:
        self.number = next(numbers)
        self.base = NOBODYS + self.number * timedelta(days=30)
        self.codes = chart.program_accounts(self.number)
        chart.open_program(self.number)
        self.entries: list[Known] = []
        self.months: list[Month] = []
        self.seen: list[tuple[datetime, dict[str, int]]] = []
        for _ in range(3):
            self.open_period(4)
        # Most examples begin where it matters: with a period that is sealed, and the next one closing.
        if stage:
            self.close(0)
            self.seal_or_reopen(1, True)
        if stage == 2:
            self.close(0)

    # What the model says.

    @property
    def sealed_until(self) -> datetime:
        return max((m.ends for m in self.months if m.status == "sealed"), default=self.base)

    @property
    def open_from(self) -> datetime:
        return max((m.ends for m in self.months if m.status != "open"), default=self.base)

    def sums(self, layer: str, as_of: datetime | None = None) -> dict[str, int]:
        found = dict.fromkeys(self.codes, 0)
        for entry in self.entries:
            if as_of is None or entry.effective <= as_of:
                for line in entry.lines:
                    if line.layer == layer:
                        found[line.account_code] += line.amount
        return found

    def standing(self, pick: int, *, holds: bool | None = None) -> Known | None:
        found = [e for e in self.entries if not e.is_undone and (holds is None or bool(e.held) == holds)]
        return found[pick % len(found)] if found else None

    # What is done.

    def write(self, key: str, lines: list[Line], at: datetime, *, keeps: bool = False) -> None:
        arguments: dict[str, Any] = {
            "kind": "test",
            "scope": chart.program_scope(self.number),
            "idempotency_key": key,
            "lines": lines,
            "effective_at": at,
            "keeps_date": keeps,
            "actor": "engine",
        }
        (pk,) = books.post([Draft(**arguments)])
        self.add(pk, key, lines, at, arguments, keeps=keeps)

    def add(
        self,
        pk: int,
        key: str,
        lines: list[Line],
        at: datetime,
        arguments: dict[str, Any] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        is_late = at < self.open_from and not keeps
        effective, original = (self.open_from, at) if is_late else (at, None)
        self.entries.append(Known(pk, key, effective, original, lines, arguments or {}))

    def undo(self, entry: Known, verb: str, lines: list[Line], hour: int) -> None:
        key, at = f"{self.number}:{verb}:{entry.pk}", self.base + hour * HOUR
        call = {"reverse": books.reverse, "settle": books.settle, "drop": books.drop}[verb]
        pk = call(entry.pk, idempotency_key=key, effective_at=at, memo="", actor="engine")
        assert call(entry.pk, idempotency_key=key, effective_at=at, memo="", actor="engine") == pk
        entry.is_undone = True
        self.add(pk, key, lines, at)
        for other in (books.reverse, books.settle, books.drop):
            if entry.held or other is books.reverse:
                with pytest.raises(books.AlreadyUndone):
                    other(entry.pk, idempotency_key=f"{key}:again", effective_at=at, memo="", actor="engine")

    @rule(amount=amounts, hour=hours, layer=st.sampled_from(LAYERS), keeps=st.booleans())
    def post(self, amount: int, hour: int, layer: str, keeps: bool) -> None:
        key, at = f"{self.number}:{len(self.entries)}", self.base + hour * HOUR
        debit, credit = (self.codes.transfers, self.codes.payable)
        lines = [Line(debit, amount, None, layer), Line(credit, -amount, None, layer)]
        if keeps and at < self.sealed_until:
            with pytest.raises(books.PeriodSealed):
                self.write(key, lines, at, keeps=True)
        else:
            self.write(key, lines, at, keeps=keeps)

    @precondition(lambda self: any(month.status == "closing" for month in self.months))
    @rule(amount=amounts)
    def correct(self, amount: int) -> None:
        month = next(month for month in self.months if month.status == "closing")
        lines = [Line(self.codes.transfers, amount), Line(self.codes.payable, -amount)]
        self.write(f"{self.number}:{len(self.entries)}", lines, month.ends - HOUR, keeps=True)
        other = next(person for person in self.people if person != month.closed_by)
        digest = periods.figures(selectors.get_period(month.name)).digest
        with pytest.raises(periods.PeriodChanged):
            periods.seal(by=other, name=month.name, digest=digest)

    @rule(amounts=st.lists(amounts, min_size=2, max_size=5), hour=hours)
    def post_batch(self, amounts: list[int], hour: int) -> None:
        first, at = len(self.entries), self.base + hour * HOUR
        drafts = [
            {
                "kind": "test",
                "scope": chart.program_scope(self.number),
                "idempotency_key": f"{self.number}:{first + n}",
                "lines": [Line(self.codes.hot_wallet, amount), Line(self.codes.appropriation, -amount)],
                "effective_at": at,
                "actor": "engine",
            }
            for n, amount in enumerate(amounts)
        ]
        for pk, draft in zip(books.post(Draft(**draft) for draft in drafts), drafts, strict=True):
            self.add(pk, draft["idempotency_key"], draft["lines"], at, draft)

    @rule(pick=picks)
    def replay(self, pick: int) -> None:
        posted = [entry for entry in self.entries if entry.arguments]
        if posted:
            entry = posted[pick % len(posted)]
            assert books.post([Draft(**entry.arguments)]) == [entry.pk]

    @rule(pick=picks, amount=amounts)
    def reuse_a_key(self, pick: int, amount: int) -> None:
        posted = [entry for entry in self.entries if entry.arguments]
        if posted:
            entry = posted[pick % len(posted)]
            lines = [Line(self.codes.in_transit, amount), Line(self.codes.hot_wallet, -amount)]
            with pytest.raises(books.IdempotencyConflict):
                books.post([Draft(**entry.arguments | {"lines": lines})])

    @rule(pick=picks, hour=hours)
    def reverse(self, pick: int, hour: int) -> None:
        entry = self.standing(pick)
        if entry is not None:
            mirror = [line._replace(amount=-line.amount) for line in entry.lines]
            self.undo(entry, "reverse", mirror, hour)

    @rule(chosen=st.sets(picks, min_size=1, max_size=3), hour=hours, again=st.booleans())
    def reorganize(self, chosen: set[int], hour: int, again: bool) -> None:
        """Blocks leave the chain: what they proved is undone in one batch, and perhaps proved by another block."""
        gone = {entry.pk: entry for pick in chosen if (entry := self.standing(pick, holds=False))}
        at = self.base + hour * HOUR
        keys = {pk: f"{self.number}:reorg:{pk}" for pk in gone}
        call = {"effective_at": at, "memo": "The block left the chain.", "actor": "engine"}
        if not gone:
            return
        undone = books.reverse_each(keys, **call)
        assert books.reverse_each(keys, **call) == undone
        for pk, entry in zip(undone, gone.values(), strict=True):
            entry.is_undone = True
            self.add(pk, keys[entry.pk], [line._replace(amount=-line.amount) for line in entry.lines], at)
        with pytest.raises(books.AlreadyUndone):
            books.reverse_each({pk: f"{key}:again" for pk, key in keys.items()}, **call)
        for entry in gone.values() if again else ():
            self.write(f"{self.number}:{len(self.entries)}", entry.lines, at)

    @rule(pick=picks, crashes=st.booleans())
    def seal_the_tree(self, pick: int, crashes: bool) -> None:
        """Entries get their leaves, perhaps by a sealer that comes after one that died; the head is signed."""
        before = sealer.newest()

        def die(point: str) -> None:
            raise Died

        if crashes and sealer.has_work():
            with pytest.raises(Died):
                sealer.seal(failpoint=die)
            assert sealer.newest() == before
        sealer.seal()
        assert not sealer.has_work()
        assert sealer.seal() == []
        newest = sealer.newest()
        if newest is None:
            assert not self.entries
            return
        checkpoint = checkpoints.issue()
        assert checkpoint is not None
        assert checkpoint == checkpoints.issue()
        leaves = dict(
            Leaf.objects.filter(entry__in=[e.pk for e in self.entries]).values_list("entry", "index")
        )
        assert len(leaves) == len(self.entries)
        for entry in self.entries[pick % max(len(self.entries), 1) :][:1]:
            proof = proofs.of_entry(entry.pk)
            assert (proof.index, proof.checkpoint) == (leaves[entry.pk], checkpoint)
            assert proof.salt is not None
            assert proof.payload is not None
            assert f'"idempotency_key":"{entry.key}"'.encode() in proof.payload
            hashed = leaf.digest(proof.salt, proof.payload)
            root = bytes(newest.root)
            assert tree.is_included(hashed, proof.index, newest.size, proof.path, root)
        if before is not None:
            grown = proofs.between(before.size, newest.size)
            assert grown.old_head == bytes(before.root)
            path = list(grown.path)
            assert tree.is_consistent(before.size, newest.size, bytes(before.root), bytes(newest.root), path)

    @rule(pick=picks, hour=hours, verb=st.sampled_from(["settle", "drop"]))
    def resolve(self, pick: int, hour: int, verb: str) -> None:
        entry = self.standing(pick, holds=True)
        if entry is not None:
            lines = [line._replace(amount=-line.amount) for line in entry.held]
            if verb == "settle":
                lines += [line._replace(layer="settled") for line in entry.held]
            self.undo(entry, verb, lines, hour)

    @rule(pick=picks, verb=st.sampled_from([books.settle, books.drop]))
    def resolve_what_holds_nothing(self, pick: int, verb: Any) -> None:
        entry = self.standing(pick, holds=False)
        if entry is not None:
            with pytest.raises(books.NothingHeld):
                verb(
                    entry.pk,
                    idempotency_key=f"{entry.key}:no",
                    effective_at=self.base,
                    memo="",
                    actor="engine",
                )

    @precondition(lambda self: len(self.months) < 5)
    @rule()
    def open_another(self) -> None:
        self.open_period(2)

    def open_period(self, hour: int) -> None:
        ends = max((month.ends for month in self.months), default=self.base) + hour * HOUR
        name = f"{self.number}-{len(self.months)}"
        periods.open_next(by=self.people[0], name=name, ends_at=ends)
        self.months.append(Month(name, ends))

    @precondition(lambda self: any(month.status == "open" for month in self.months))
    @rule(who=st.integers(0, 1))
    def close(self, who: int) -> None:
        month = next(month for month in self.months if month.status == "open")
        if any(other.status == "closing" for other in self.months):
            with pytest.raises(periods.PeriodOrder):
                periods.close(by=self.people[who], name=month.name)
            return
        periods.close(by=self.people[who], name=month.name)
        month.status, month.closed_by, month.closed_with = "closing", self.people[who], len(self.entries)

    @precondition(lambda self: any(month.status == "closing" for month in self.months))
    @rule(who=st.integers(0, 1), seals=st.booleans())
    def seal_or_reopen(self, who: int, seals: bool) -> None:
        month = next(month for month in self.months if month.status == "closing")
        if not seals:
            periods.reopen(by=self.people[who], name=month.name, note="")
            month.status = "open"
            return
        digest = periods.figures(selectors.get_period(month.name)).digest
        refusal = None
        if self.people[who] == month.closed_by:
            refusal = SamePersonTwice
        elif any(entry.effective < month.ends for entry in self.entries[month.closed_with :]):
            refusal = periods.PeriodChanged
        if refusal is not None:
            with pytest.raises(refusal):
                periods.seal(by=self.people[who], name=month.name, digest=digest)
        else:
            periods.seal(by=self.people[who], name=month.name, digest=digest)
            month.status = "sealed"

    @rule()
    def restart_and_look(self) -> None:
        connection.close()
        with connection.cursor() as cursor:
            cursor.execute("SELECT clock_timestamp()")
            self.seen.append((cursor.fetchone()[0], self.sums("settled")))

    # What must hold.

    @invariant()
    def balances_agree(self) -> None:
        for layer in LAYERS:
            trial = books.trial_balance(chart.program_scope(self.number), layer=layer)
            assert trial.is_balanced
            assert {account.code: account.balance for account in trial.accounts} == self.sums(layer)

    @invariant()
    def times_agree(self) -> None:
        rows = Entry.objects.filter(scope=chart.program_scope(self.number)).order_by("pk")
        found = list(rows.values_list("pk", "effective_at", "original_at"))
        assert found == sorted((entry.pk, entry.effective, entry.original) for entry in self.entries)

    @rule(hour=hours)
    def looks_back(self, hour: int) -> None:
        as_of = self.base + hour * HOUR
        trial = books.trial_balance(chart.program_scope(self.number), as_of)
        assert {account.code: account.balance for account in trial.accounts} == self.sums("settled", as_of)
        for known_at, sums in self.seen:
            trial = books.trial_balance(chart.program_scope(self.number), known_at=known_at)
            assert {account.code: account.balance for account in trial.accounts} == sums

    def teardown(self) -> None:
        for month in getattr(self, "months", []):
            if month.status == "closing":
                periods.reopen(by=self.people[0], name=month.name, note="")
            if month.status != "sealed":
                periods.close(by=self.people[0], name=month.name)
                digest = periods.figures(selectors.get_period(month.name)).digest
                periods.seal(by=self.people[1], name=month.name, digest=digest)
        sealer.seal()
        assert verification.verify().findings == []
        for month in getattr(self, "months", []):
            assert periods.is_as_sealed(selectors.get_period(month.name))


@pytest.mark.django_db(transaction=True)
class TestBooks:
    def test_agree_with_the_model_whatever_is_done(self, settings: Any) -> None:
        settings.GOVPAY_SEAL_KEY = bytes(range(32))
        Machine.people = [factories.make_user(name, periods.RIGHT) for name in ("dalia", "emil")]
        run_state_machine_as_test(
            Machine,
            settings=hypothesis_settings(
                max_examples=12,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
