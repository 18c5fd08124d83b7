"""Checkpoints over the API: who reads the books reads them, and nobody makes them there."""

from typing import Any

import pytest
from rest_framework.test import APIClient

from ledger.seals import checkpoints, note, sealer
from tests import factories
from tests.ledger.seals.scene import post

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

    @pytest.mark.parametrize("path", ["checkpoints/", "checkpoints/1/"])
    def test_are_read_by_those_who_read_the_books_and_made_by_nobody(self, path: str) -> None:
        reader = client("ledger.view_entry", "ledger.add_reconciliationrun")
        verbs = ("post", "put", "patch", "delete")
        assert {getattr(reader, verb)(f"/api/v1/{path}").status_code for verb in verbs} == {405}
        reader.force_authenticate(factories.make_user("stranger"))
        assert reader.get(f"/api/v1/{path}").status_code == 403
