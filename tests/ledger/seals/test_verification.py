"""Whatever is changed behind the guards is found, and the entry it belongs to is named."""

import pytest
from django.db import connection
from django.utils import timezone

from ledger import books, chart
from ledger.models import Account, Elements, Entry, Leaf
from ledger.seals import canonical, checkpoints, leaf, note, sealer, tree, verification
from tests.conftest import books_may_be_emptied
from tests.ledger.seals.scene import another_writer, post, tampering

pytestmark = pytest.mark.usefixtures("opened_books", "seal_key")
# Each leaves the third entry, ``%(entry)s``, at leaf 2, other than it was sealed.
HARMS = [
    ("UPDATE ledger_entry SET memo = 'Another' WHERE id = %(entry)s", "entry_changed", "memo"),
    ("UPDATE ledger_entry SET effective_at = now() WHERE id = %(entry)s", "entry_changed", "effective_at"),
    ("UPDATE ledger_entry SET recorded_at = now() WHERE id = %(entry)s", "entry_changed", "recorded_at"),
    ("UPDATE ledger_entry SET actor = 'x' WHERE id = %(entry)s", "entry_changed", "actor"),
    ("UPDATE ledger_entry SET approver = 'x' WHERE id = %(entry)s", "entry_changed", "approver"),
    ("UPDATE ledger_entry SET kind = 'x' WHERE id = %(entry)s", "entry_changed", "kind"),
    ("UPDATE ledger_entry SET scope = 'x' WHERE id = %(entry)s", "entry_changed", "scope"),
    ("UPDATE ledger_entry SET source_ref = 'x' WHERE id = %(entry)s", "entry_changed", "source_ref"),
    (
        "UPDATE ledger_entry SET idempotency_key = 'x' WHERE id = %(entry)s",
        "entry_changed",
        "idempotency_key",
    ),
    ("UPDATE ledger_entry SET input_hash = '\\x01' WHERE id = %(entry)s", "entry_changed", "input_hash"),
    (
        "UPDATE ledger_entry SET block_height = 5, block_hash = repeat('a', 64) WHERE id = %(entry)s",
        "entry_changed",
        "block_hash, block_height",
    ),
    (
        "UPDATE ledger_entry SET original_at = effective_at - interval '1 day' WHERE id = %(entry)s",
        "entry_changed",
        "original_at",
    ),
    ("UPDATE ledger_posting SET layer = 'pending' WHERE entry_id = %(entry)s", "entry_changed", "lines"),
    (
        "UPDATE ledger_posting SET account_id = (SELECT max(id) FROM ledger_account) WHERE entry_id = %(entry)s",
        "entry_changed",
        "lines",
    ),
    ("UPDATE ledger_entry SET reversal_of_id = id WHERE id = %(entry)s", "entry_changed", "reversal_of"),
    ("UPDATE ledger_posting SET amount = amount * 2 WHERE entry_id = %(entry)s", "entry_changed", "lines"),
    ("UPDATE ledger_posting SET reference = 99 WHERE entry_id = %(entry)s", "entry_changed", "lines"),
    ("DELETE FROM ledger_posting WHERE entry_id = %(entry)s", "entry_changed", "lines"),
    (
        "INSERT INTO ledger_posting (entry_id, account_id, amount) SELECT %(entry)s, id, 1 FROM ledger_account LIMIT 1",
        "entry_changed",
        "lines",
    ),
    (
        "DELETE FROM ledger_posting WHERE entry_id = %(entry)s; DELETE FROM ledger_entry WHERE id = %(entry)s",
        "entry_missing",
        "no longer in the books",
    ),
    ("UPDATE ledger_leaf SET hash = sha256(hash) WHERE index = 2", "bytes_changed", "leaf 2"),
    ("UPDATE ledger_leafsalt SET salt = sha256(salt) WHERE leaf_id = 2", "bytes_changed", "leaf 2"),
    ("UPDATE ledger_leafsalt SET salt = '\\x00' WHERE leaf_id = 2", "bytes_changed", "leaf 2"),
    (
        "UPDATE ledger_leafpayload SET payload = payload || '\\x20' WHERE leaf_id = 2",
        "bytes_changed",
        "leaf 2",
    ),
    ("DELETE FROM ledger_leafpayload WHERE leaf_id = 2", "bytes_missing", "are gone"),
    ("DELETE FROM ledger_leafsalt WHERE leaf_id = 2", "bytes_missing", "are gone"),
]
TREE_HARMS = [
    ("DELETE FROM ledger_leaf WHERE index = 2", "leaf_missing"),
    ("DELETE FROM ledger_leaf WHERE index = 4", "leaf_missing"),
    ("DELETE FROM ledger_checkpoint; DELETE FROM ledger_seal WHERE size = 5", "seal_missing"),
    ("UPDATE ledger_seal SET start = 2 WHERE size = 5", "seal_changed"),
    ("UPDATE ledger_seal SET root = sha256(root) WHERE size = 3", "seal_changed"),
    ("INSERT INTO ledger_subtree (level, index, hash) VALUES (1, 0, sha256('x'))", "subtree_changed"),
    ("UPDATE ledger_checkpoint SET note = replace(note, 'govpay', 'other')", "checkpoint_changed"),
    ("UPDATE ledger_checkpoint SET note = 'x'", "checkpoint_changed"),
    ("UPDATE ledger_checkpoint SET verifier = 'x'", "key_unknown"),
    (
        "UPDATE ledger_checkpoint SET seal_id = (SELECT id FROM ledger_seal WHERE size = 3)",
        "checkpoint_changed",
    ),
]


@pytest.fixture
def ids() -> list[int]:
    """Five entries under two seals, and a checkpoint."""
    made = post("a", "b", "c")
    sealer.seal()
    made += post("d", "e")
    sealer.seal()
    checkpoints.issue()
    return made


def harm(statement: str, **values: int) -> None:
    with books_may_be_emptied(), connection.cursor() as cursor:
        for part in statement.split("; "):
            cursor.execute(part, values)


class TestVerify:
    def test_finds_nothing_in_honest_books(self, ids: list[int]) -> None:
        report = verification.verify()
        assert (report.entries, report.seals, report.checkpoints, report.findings) == (5, 2, 1, [])

    def test_finds_nothing_in_empty_books(self) -> None:
        assert verification.verify() == verification.Report()

    @pytest.mark.parametrize(("statement", "code", "words"), HARMS)
    def test_names_the_entry_that_was_changed(
        self, ids: list[int], statement: str, code: str, words: str
    ) -> None:
        harm(statement, entry=ids[2])
        first = verification.verify().findings[0]
        assert (first.code, first.entry_id) == (code, ids[2])
        assert words in first.message
        assert f"ntry {ids[2]} " in first.message

    @pytest.mark.parametrize(("statement", "code"), TREE_HARMS)
    def test_names_what_of_the_tree_was_changed(self, ids: list[int], statement: str, code: str) -> None:
        harm(statement)
        assert code in {finding.code for finding in verification.verify().findings}

    def test_finds_every_changed_byte_of_what_was_sealed(self, ids: list[int]) -> None:
        found = Leaf.objects.select_related("payload", "salt").get(index=2)
        payload, salt = bytes(found.payload.payload), bytes(found.salt.salt)
        for place in range(len(payload)):
            changed = payload[:place] + bytes([payload[place] ^ 1]) + payload[place + 1 :]
            assert leaf.digest(salt, changed) != bytes(found.hash)
        with tampering("ledger_leafpayload"), connection.cursor() as cursor:
            for place in (0, len(payload) // 2, len(payload) - 1):
                changed = payload[:place] + bytes([payload[place] ^ 1]) + payload[place + 1 :]
                cursor.execute("UPDATE ledger_leafpayload SET payload = %s WHERE leaf_id = 2", [changed])
                (finding,) = verification.verify().findings
                assert (finding.code, finding.entry_id) == ("bytes_changed", ids[2])

    def test_names_entries_that_were_skipped(self, ids: list[int]) -> None:
        """The last two lose their seal; the horizon still says that all before it is sealed."""
        harm(
            "DELETE FROM ledger_checkpoint; UPDATE ledger_seal SET horizon_xid = "
            "(SELECT horizon_xid FROM ledger_seal WHERE size = 5) WHERE size = 3; DELETE FROM ledger_seal WHERE size = 5; "
            "DELETE FROM ledger_leaf WHERE index > 2"
        )
        assert [(f.code, f.entry_id) for f in verification.verify().findings] == [
            ("entry_unsealed", ids[3]),
            ("entry_unsealed", ids[4]),
        ]

    def test_does_not_miss_what_waits_for_its_seal(self, ids: list[int]) -> None:
        post("late")
        with another_writer() as slow:
            slow.post("slow")
            assert verification.verify().findings == []

    def test_compares_the_hashes_of_whole_subtrees(self) -> None:
        post(*(f"k{number}" for number in range(tree.FANOUT + 1)))
        sealer.seal()
        assert verification.verify().findings == []
        harm("UPDATE ledger_subtree SET hash = sha256(hash)")
        (finding,) = verification.verify().findings
        assert finding.code == "subtree_changed"

    def test_trusts_an_older_key_only_when_it_is_told(self, ids: list[int], settings: object) -> None:
        old = checkpoints.own_keys()
        settings.GOVPAY_SEAL_KEY = bytes(32)  # type: ignore[attr-defined]
        assert [finding.code for finding in verification.verify().findings] == ["key_unknown"]
        assert verification.verify(keys=old).findings == []
        with pytest.raises(note.NoteRefused):
            verification.verify(keys=["x"])

    def test_checks_witnesses_lines(self, ids: list[int]) -> None:
        witness = note.Signer("witness.example/w1", bytes(32), note.WITNESS)
        found = checkpoints.get()
        line = witness.sign(note.Note.parse(found.note).text, at_s=1).line()
        checkpoints.cosign(found, line=line, verifier=str(witness.verifier))
        assert verification.verify().findings == []
        other = witness.sign("another\n1\n", at_s=1).line()
        with tampering("ledger_cosignature"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_cosignature SET line = %s", [other])
        assert [finding.code for finding in verification.verify().findings] == ["checkpoint_changed"]
        assert Entry.objects.count() == 5


class TestOldAccounts:
    def test_may_be_classified_after_their_entries_were_sealed(self, opened_books: None) -> None:
        chart.open_program(8)
        with tampering("ledger_account"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_account SET object = '' WHERE scope = 'program:8'")
        codes = chart.program_accounts(8)
        books.post(
            [
                books.Draft(
                    kind="test",
                    scope="program:8",
                    idempotency_key="old",
                    lines=[books.Line(codes.transfers, 5), books.Line(codes.payable, -5)],
                    effective_at=timezone.now(),
                    actor="test",
                )
            ]
        )
        sealer.seal()
        assert verification.verify().findings == []
        assert chart.classify_program(8, Elements(entity="021", fund="F1", project="OLD")) == 6
        assert verification.verify().findings == []
        found = Account.objects.get(code=codes.transfers)
        assert found.elements == Elements("021", "", "272", "F1", "OLD")
        with pytest.raises(chart.ProgramClassified):
            chart.classify_program(8, Elements(entity="022"))
        with tampering("ledger_account"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_account SET currency = 'XTS' WHERE scope = 'program:8'")
        assert [finding.code for finding in verification.verify().findings] == ["entry_changed"]

    @pytest.mark.parametrize("version", ["govpay/entry/1", "govpay/entry/2"])
    def test_may_stand_beside_accounts_that_were_classified_before(
        self, opened_books: None, monkeypatch: pytest.MonkeyPatch, version: str
    ) -> None:
        chart.open_program(8)
        codes = chart.program_accounts(8)
        with tampering("ledger_account"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_account SET object = '' WHERE code = %s", [codes.payable])
        encode = canonical.encode
        with monkeypatch.context() as older:
            older.setattr(canonical, "encode", lambda entry: encode(entry, version))
            lines = [books.Line(codes.transfers, 5), books.Line(codes.payable, -5)]
            books.post(
                [
                    books.Draft(
                        kind="test",
                        scope="program:8",
                        idempotency_key="mixed",
                        lines=lines,
                        effective_at=timezone.now(),
                        actor="test",
                    )
                ]
            )
            sealer.seal()
        assert chart.classify_program(8, Elements(entity="021")) == 1
        assert verification.verify().findings == []
        with tampering("ledger_account"), connection.cursor() as cursor:
            cursor.execute("UPDATE ledger_account SET object = '22' WHERE code = %s", [codes.transfers])
        assert [finding.code for finding in verification.verify().findings] == ["entry_changed"]
