"""Blacking out: two people, salt and bytes gone together, the tree whole, and no other way to take anything away."""

from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from govpay.errors import Forbidden, InvalidInput, NotFound, SamePersonTwice
from ledger import grants
from ledger.models import Leaf, LeafPayload, LeafSalt, Redaction, RedactionRequest
from ledger.seals import checkpoints, redaction, sealer, verification
from tests import factories
from tests.ledger.seals.scene import post

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")


@pytest.fixture
def ids() -> list[int]:
    found = post("a", "b", "c")
    sealer.seal()
    checkpoints.issue()
    return found


@pytest.fixture
def clerk(ids: list[int]) -> User:
    return factories.make_user("clerk", "ledger.redact_leaf")


@pytest.fixture
def judge(ids: list[int]) -> User:
    return factories.make_user("judge", "ledger.redact_leaf")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@transaction.atomic
def delete_the_salt_only(asked: RedactionRequest) -> None:
    judge = User.objects.get(username="judge")
    Redaction.objects.create(leaf=asked.leaf, request=asked, approved_by="judge", user=judge)
    LeafSalt.objects.filter(leaf=asked.leaf).delete()


def kept() -> tuple[int, int, int]:
    return LeafSalt.objects.count(), LeafPayload.objects.count(), Redaction.objects.count()


class TestRedaction:
    def test_deletes_salt_and_bytes_and_leaves_the_tree_whole(
        self, ids: list[int], clerk: User, judge: User
    ) -> None:
        before = list(Leaf.objects.order_by("index").values_list("index", "hash"))
        asked = redaction.ask(by=clerk, entry_id=ids[1], why="The memo named a person.")
        assert kept() == (3, 3, 0)
        done = redaction.carry_out(by=judge, request_id=asked.pk)
        assert (done.leaf_id, done.approved_by, done.request.asked_by) == (1, "judge", "clerk")
        assert kept() == (2, 2, 1)
        assert [(i, bytes(h)) for i, h in Leaf.objects.order_by("index").values_list("index", "hash")] == [
            (i, bytes(h)) for i, h in before
        ]
        assert verification.verify().findings == []
        post("d")
        sealer.seal()
        assert checkpoints.issue() is not None

    def test_takes_two_people(self, ids: list[int], clerk: User, judge: User) -> None:
        asked = redaction.ask(by=clerk, entry_id=ids[1], why="The memo named a person.")
        with pytest.raises(SamePersonTwice):
            redaction.carry_out(by=clerk, request_id=asked.pk)
        for leaf, name, user in (
            (1, "clerk", clerk),
            (1, "clergy", clerk),
            (1, "clerk", judge),
            (1, "judge", None),
            (2, "judge", judge),
        ):
            with pytest.raises(IntegrityError, match="two people"), transaction.atomic():
                Redaction.objects.create(leaf_id=leaf, request=asked, approved_by=name, user=user)
        assert kept() == (3, 3, 0)

    def test_takes_two_people_whatever_they_are_called(
        self, ids: list[int], clerk: User, judge: User
    ) -> None:
        asked = redaction.ask(by=clerk, entry_id=ids[1], why="The memo named a person.")
        clerk, judge = factories.rename(clerk, "clergy"), factories.rename(judge, "clerk")
        for by in (clerk, judge):
            with pytest.raises(SamePersonTwice):
                redaction.carry_out(by=by, request_id=asked.pk)
        assert kept() == (3, 3, 0)
        assert redaction.carry_out(by=factories.rename(judge, "judge"), request_id=asked.pk).leaf_id == 1

    def test_takes_the_right(self, ids: list[int], clerk: User) -> None:
        stranger = factories.make_user("stranger")
        with pytest.raises(Forbidden):
            redaction.ask(by=stranger, entry_id=ids[1], why="x")
        asked = redaction.ask(by=clerk, entry_id=ids[1], why="x")
        with pytest.raises(Forbidden):
            redaction.carry_out(by=stranger, request_id=asked.pk)
        assert kept() == (3, 3, 0)

    def test_happens_once(self, ids: list[int], clerk: User, judge: User) -> None:
        first, second = (redaction.ask(by=clerk, entry_id=ids[1], why="x") for _ in range(2))
        redaction.carry_out(by=judge, request_id=first.pk)
        for again in (first, second):
            with pytest.raises(redaction.AlreadyRedacted):
                redaction.carry_out(by=judge, request_id=again.pk)
        with pytest.raises(redaction.AlreadyRedacted):
            redaction.ask(by=clerk, entry_id=ids[1], why="x")
        assert kept() == (2, 2, 1)

    def test_is_asked_with_a_reason_about_a_sealed_entry(self, ids: list[int], clerk: User) -> None:
        for why in ("", "  ", "x" * 301):
            with pytest.raises(InvalidInput):
                redaction.ask(by=clerk, entry_id=ids[1], why=why)
        (young,) = post("young")
        for entry_id in (young, 10**12):
            with pytest.raises(NotFound):
                redaction.ask(by=clerk, entry_id=entry_id, why="x")
        assert not RedactionRequest.objects.exists()


class TestGuards:
    @pytest.mark.parametrize("table", grants.BLACKED_OUT)
    def test_let_nothing_be_deleted_that_nobody_agreed_to(
        self, ids: list[int], clerk: User, judge: User, table: str
    ) -> None:
        redaction.carry_out(
            by=judge, request_id=redaction.ask(by=clerk, entry_id=ids[1], why="The memo named a person.").pk
        )
        for statement in (f"DELETE FROM {table} WHERE leaf_id = 0", f"TRUNCATE {table}"):
            with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
                execute(statement)
        assert kept() == (2, 2, 1)

    def test_let_no_redaction_be_halfway(self, ids: list[int], clerk: User, judge: User) -> None:
        asked = redaction.ask(by=clerk, entry_id=ids[1], why="x")
        with pytest.raises(IntegrityError, match="still there"):
            delete_the_salt_only(asked)
        assert kept() == (3, 3, 0)

    @pytest.mark.parametrize("table", ["ledger_redaction", "ledger_redactionrequest"])
    def test_keep_who_and_why(self, ids: list[int], clerk: User, judge: User, table: str) -> None:
        asked = redaction.ask(by=clerk, entry_id=ids[1], why="x")
        redaction.carry_out(by=judge, request_id=asked.pk)
        for statement in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
                execute(statement)


class TestCommand:
    def test_asks_and_agrees(self, ids: list[int], clerk: User, judge: User, tmp_path: Path) -> None:
        call_command("redact", "ask", ids[1], by="clerk", why="The memo named a person.")
        asked = RedactionRequest.objects.get()
        with pytest.raises(CommandError, match="same_person_twice"):
            call_command("redact", "agree", asked.pk, by="clerk")
        call_command("redact", "agree", asked.pk, by="judge")
        assert kept() == (2, 2, 1)
        with pytest.raises(CommandError, match="There is no user nobody"):
            call_command("redact", "agree", asked.pk, by="nobody")
