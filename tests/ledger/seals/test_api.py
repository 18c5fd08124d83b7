"""Checkpoints over the API: who reads the books reads them, and nobody makes them there."""

from base64 import b64decode
from typing import Any

import pytest
from rest_framework.test import APIClient

from ledger.models import Entry
from ledger.seals import checkpoints, leaf, note, sealer, tree
from tests import factories
from tests.ledger.seals.scene import post, tampering

WITNESS = note.Signer("witness.example/w1", bytes(32), note.WITNESS)


def client(*rights: str) -> APIClient:
    made = APIClient()
    made.force_authenticate(factories.make_user("reader", *rights))
    return made


@pytest.fixture
def two(opened_books: None, seal_key: None) -> None:
    """Checkpoints over one and three entries; a witness saw the first."""
    for keys in ("a", "bc"):
        post(*keys)
        sealer.seal()
        checkpoints.issue()
    first = checkpoints.get(1)
    line = WITNESS.sign(note.Note.parse(first.note).text, at_s=5).line()
    checkpoints.cosign(first, line=line, verifier=str(WITNESS.verifier))


@pytest.mark.usefixtures("two")
class TestCheckpoints:
    def test_are_listed_latest_first(self) -> None:
        body: Any = client("ledger.view_entry").get("/api/v1/checkpoints/").json()
        assert [row["size"] for row in body["results"]] == [3, 1]
        newest = checkpoints.get()
        assert body["results"][0]["head"] == bytes(newest.seal.root).hex()
        assert body["results"][0]["verifier"] == newest.verifier

    def test_are_notes_that_the_published_key_checks(self) -> None:
        body: Any = client("ledger.view_entry").get(f"/api/v1/checkpoints/{checkpoints.get(1).pk}/").json()
        signed = note.Note.parse(body["note"])
        signed.require(note.Verifier.parse(body["verifier"]))
        signed.require(WITNESS.verifier)
        assert note.TreeHead.parse(signed.text).root.hex() == body["head"]

    def test_are_not_there_when_nobody_signed_them(self) -> None:
        answer = client("ledger.view_entry").get(f"/api/v1/checkpoints/{checkpoints.get().pk + 1}/")
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")

    @pytest.mark.parametrize(
        "path",
        ["checkpoints/", "checkpoints/1/", "checkpoints/consistency/?old=1&new=3", "entries/1/proof/"],
    )
    def test_are_read_by_those_who_read_the_books_and_made_by_nobody(self, path: str) -> None:
        reader = client("ledger.view_entry", "ledger.add_reconciliationrun")
        verbs = ("post", "put", "patch", "delete")
        assert {getattr(reader, verb)(f"/api/v1/{path}").status_code for verb in verbs} == {405}
        reader.force_authenticate(factories.make_user("stranger"))
        assert reader.get(f"/api/v1/{path}").status_code == 403


class TestProof:
    @pytest.fixture(autouse=True)
    def _reader(self, two: None) -> None:
        self.client = client("ledger.view_entry")

    def get(self, path: str) -> tuple[int, Any]:
        answer = self.client.get(f"/api/v1/{path}")
        return answer.status_code, answer.json()

    def test_leads_from_an_entry_to_the_signed_head(self) -> None:
        for entry in Entry.objects.order_by("pk"):
            status, body = self.get(f"entries/{entry.pk}/proof/")
            assert (status, body["tree_size"]) == (200, 3)
            hashed = leaf.digest(b64decode(body["salt"]), b64decode(body["payload"]))
            assert hashed.hex() == body["leaf_hash"]
            assert f'"idempotency_key":"{entry.idempotency_key}"'.encode() in b64decode(body["payload"])
            path = [bytes.fromhex(step) for step in body["path"]]
            root = note.TreeHead.parse(note.Note.parse(checkpoints.get(3).note).text).root
            assert tree.is_included(hashed, body["leaf_index"], 3, path, root)

    def test_is_text_that_other_programs_read(self) -> None:
        entry = Entry.objects.order_by("pk")[1]
        _, body = self.get(f"entries/{entry.pk}/proof/")
        header, index, *rest = body["proof"].split("\n")
        assert (header, index) == ("c2sp.org/tlog-proof@v1", f"index {body['leaf_index']}")
        end = rest.index("")
        assert [b64decode(step).hex() for step in rest[:end]] == body["path"]
        signed = note.Note.parse("\n".join(rest[end + 1 :]))
        signed.require(note.Verifier.parse(checkpoints.get().verifier))

    def test_leads_to_an_older_head_where_that_covers_it(self) -> None:
        first, second, _ = Entry.objects.order_by("pk")
        assert self.get(f"entries/{first.pk}/proof/?size=1")[1]["path"] == []
        status, body = self.get(f"entries/{second.pk}/proof/?size=1")
        assert (status, body["code"]) == (409, "not_sealed")

    def test_waits_for_the_seal(self) -> None:
        (late,) = post("late")
        status, body = self.get(f"entries/{late}/proof/")
        assert (status, body["code"]) == (409, "not_sealed")
        sealer.seal()
        assert self.get(f"entries/{late}/proof/")[1]["code"] == "not_sealed"
        checkpoints.issue()
        assert self.get(f"entries/{late}/proof/")[1]["tree_size"] == 4

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("entries/{entry}/proof/?size=2", 404),
            ("entries/999999999/proof/", 404),
            ("entries/{entry}/proof/?size=0", 400),
            ("entries/{entry}/proof/?size=x", 400),
            ("entries/{entry}/proof/?sise=3", 400),
            ("checkpoints/consistency/", 400),
            ("checkpoints/consistency/?old=1&new=4", 422),
            ("checkpoints/consistency/?old=3&new=2", 422),
            ("checkpoints/consistency/?old=0&new=3", 400),
        ],
    )
    def test_is_refused_for_what_there_is_not(self, path: str, status: int) -> None:
        entry = Entry.objects.order_by("pk")[0].pk
        assert self.get(path.format(entry=entry))[0] == status

    def test_stands_without_the_bytes_that_were_blacked_out(self) -> None:
        entry = Entry.objects.order_by("pk")[0]
        with tampering("ledger_leafpayload", "ledger_leafsalt"):
            entry.leaf.payload.delete()
            entry.leaf.salt.delete()
        status, body = self.get(f"entries/{entry.pk}/proof/")
        assert (status, body["salt"], body["payload"]) == (200, None, None)
        path = [bytes.fromhex(step) for step in body["path"]]
        root = bytes.fromhex(body["head"])
        assert tree.is_included(bytes.fromhex(body["leaf_hash"]), body["leaf_index"], 3, path, root)

    @pytest.mark.parametrize(("old", "new"), [(1, 3), (2, 3), (1, 2), (3, 3)])
    def test_shows_that_the_tree_only_grew(self, old: int, new: int) -> None:
        status, body = self.get(f"checkpoints/consistency/?old={old}&new={new}")
        assert status == 200
        old_root, new_root = bytes.fromhex(body["old_head"]), bytes.fromhex(body["new_head"])
        assert tree.is_consistent(old, new, old_root, new_root, [bytes.fromhex(s) for s in body["path"]])
        if new == 3:
            assert new_root == bytes(checkpoints.get(3).seal.root)
