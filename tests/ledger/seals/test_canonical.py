"""An entry's sealed bytes: the same for ever, one spelling only, and salted before they are hashed."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.seals import canonical, leaf, tree
from ledger.seals.canonical import SealedEntry, SealedLine
from tests.ledger.seals.growing import naive_head

ENTRY = SealedEntry(
    id=9_007_199_254_740_993,
    kind="payout_sent",
    scope="program:7",
    idempotency_key="payout_sent:payout:12",
    input_hash=bytes(range(32)),
    effective_at=datetime(2026, 11, 24, 10, 0, 0, 5, tzinfo=UTC),
    original_at=None,
    recorded_at=datetime(2026, 11, 24, 15, 0, 1, tzinfo=timezone(timedelta(hours=5))),
    memo='Añadido "a"\n\x7fقیمت',
    source_ref="payout:12",
    actor="engine",
    approver="",
    block_hash="",
    block_height=None,
    reversal_of=None,
    lines=[
        SealedLine("Assets:InTransit:P7", ["A", "", "", "F1", ""], "BTC", 8, "settled", 2**63 - 1, 41),
        SealedLine("Assets:HotWallet:P7", [""] * 5, "BTC", 8, "settled", 1 - 2**63, None),
    ],
)
# What version 1 of this entry is, for ever.
GOLDEN = (
    '{"actor":"engine","approver":"","block_hash":"","block_height":null,'
    '"effective_at":"2026-11-24T10:00:00.000005Z","id":"9007199254740993",'
    '"idempotency_key":"payout_sent:payout:12",'
    '"input_hash":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","kind":"payout_sent",'
    '"lines":[["Assets:InTransit:P7",["A","","","F1",""],"BTC",8,"settled","9223372036854775807","41"],'
    '["Assets:HotWallet:P7",["","","","",""],"BTC",8,"settled","-9223372036854775807",null]],'
    '"memo":"Añadido \\"a\\"\\n\x7fقیمت","original_at":null,"recorded_at":"2026-11-24T10:00:01.000000Z","reversal_of":null,'
    '"scope":"program:7","source_ref":"payout:12","version":"govpay/entry/1"}'
).encode()


# What version 2 of it is, for ever: the heading, and a line for each line.
GOLDEN_2 = (
    '{"actor":"engine","approver":"","block_hash":"","block_height":null,'
    '"effective_at":"2026-11-24T10:00:00.000005Z","id":"9007199254740993",'
    '"idempotency_key":"payout_sent:payout:12",'
    '"input_hash":"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f","kind":"payout_sent","lines":2,'
    '"memo":"Añadido \\"a\\"\\n\x7fقیمت","original_at":null,"recorded_at":"2026-11-24T10:00:01.000000Z","reversal_of":null,'
    '"scope":"program:7","source_ref":"payout:12","version":"govpay/entry/2"}\n'
    '["Assets:InTransit:P7",["A","","","F1",""],"BTC",8,"settled","9223372036854775807","41"]\n'
    '["Assets:HotWallet:P7",["","","","",""],"BTC",8,"settled","-9223372036854775807",null]\n'
).encode()


class TestEncode:
    def test_gives_the_golden_bytes_of_version_1(self) -> None:
        assert canonical.encode(ENTRY, "govpay/entry/1") == GOLDEN

    def test_gives_the_golden_bytes_of_version_2(self) -> None:
        assert canonical.encode(ENTRY, "govpay/entry/2") == GOLDEN_2

    @given(
        st.builds(
            SealedLine,
            account=st.text(max_size=8),
            elements=st.lists(st.text(max_size=3), min_size=5, max_size=5),
            currency=st.text(max_size=3),
            scale=st.integers(0, 18),
            layer=st.text(max_size=8),
            amount=st.integers(-(2**63), 2**63 - 1),
            reference=st.none() | st.integers(-(2**63), 2**63 - 1),
        )
    )
    def test_writes_lines_as_any_writer_of_json_does(self, line: SealedLine) -> None:
        """Sorted, without spaces, in UTF-8: RFC 8785 for what a line has."""
        reference = None if line.reference is None else str(line.reference)
        known = [line.account, line.elements, line.currency, line.scale, line.layer]
        said = json.dumps(
            [*known, str(line.amount), reference], separators=(",", ":"), ensure_ascii=False
        ).encode("utf-8", "surrogatepass")
        found = canonical._piece(line).encode("utf-8", "surrogatepass")
        assert found == said + b"\n"

    def test_writes_the_original_time_where_there_is_one(self) -> None:
        late = ENTRY._replace(original_at=datetime(2026, 11, 23, tzinfo=UTC))
        assert b'"original_at":"2026-11-23T00:00:00.000000Z"' in canonical.encode(late)

    def test_names_its_version_inside(self) -> None:
        assert canonical.version_of(GOLDEN) == json.loads(GOLDEN)["version"] == "govpay/entry/1"
        assert canonical.version_of(GOLDEN_2) == canonical.NEWEST == "govpay/entry/2"

    def test_refuses_a_version_that_never_was(self) -> None:
        with pytest.raises(canonical.UnknownVersion):
            canonical.encode(ENTRY, "govpay/entry/0")

    @pytest.mark.parametrize(
        "payload", [b"", b"[]", b"{}", b"\xff", b'{"version":"govpay/entry/3"}', b'{"version":[]}']
    )
    def test_reads_no_version_from_other_bytes(self, payload: bytes) -> None:
        with pytest.raises(canonical.UnknownVersion):
            canonical.version_of(payload)


class TestLeaf:
    def test_is_the_salted_hash(self) -> None:
        salt = bytes(range(32))
        assert leaf.digest(salt, GOLDEN) == hashlib.sha256(b"\x00" + salt + GOLDEN).digest()
        golden = "95d58fc80b3c2fbc2d246d0dff83944134f1eebd3b93af4f82115a2284cd4f21"
        assert leaf.digest(salt, GOLDEN).hex() == golden

    def test_of_pieces_holds_the_head_of_their_tree(self) -> None:
        salt = bytes(range(32))
        hashes = [
            hashlib.sha256(
                b"\x00" + hmac.new(salt, number.to_bytes(8, "big"), "sha256").digest() + piece
            ).digest()
            for number, piece in enumerate(GOLDEN_2.splitlines())
        ]
        assert leaf.digest(salt, GOLDEN_2) == hashlib.sha256(b"\x00" + naive_head(hashes)).digest()
        golden = "db51a1ab062a699ec1f40eef80cf00a419dd9d54c66a0c74ff451bda79047172"
        assert leaf.digest(salt, GOLDEN_2).hex() == golden

    @pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 9, 500])
    def test_shows_each_piece_by_itself(self, count: int) -> None:
        salt = leaf.new_salt()
        payload = b"".join(b'["%d"]\n' % number for number in range(count))
        for index in range(count):
            piece = leaf.show(salt, payload, index)
            assert (piece.index, piece.count, piece.data) == (index, count, b'["%d"]' % index)
            pieces = [
                tree.leaf_hash(leaf.piece_salt(salt, number) + b'["%d"]' % number) for number in range(count)
            ]
            found = tree.leaf_hash(piece.salt + piece.data)
            assert tree.is_included(found, index, count, piece.path, naive_head(pieces))

    def test_of_version_1_is_shown_whole_or_not_at_all(self) -> None:
        with pytest.raises(ValueError, match="version 1"):
            leaf.show(bytes(32), GOLDEN, 0)

    def test_has_another_salt_each_time(self) -> None:
        salts = {leaf.new_salt() for _ in range(100)}
        assert (len(salts), {len(salt) for salt in salts}) == (100, {32})

    @pytest.mark.parametrize("length", [0, 31, 33])
    def test_refuses_a_salt_of_another_length(self, length: int) -> None:
        with pytest.raises(ValueError, match="32 bytes"):
            leaf.digest(bytes(length), GOLDEN)
