"""The tree's heads and proofs: the vectors that certificate logs are tested with, and a naive tree."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.seals import tree
from tests.ledger.seals.growing import Growing, naive_head

# The leaves and heads that implementations of RFC 6962 share.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
HEADS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
INCLUSION = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCY = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def known() -> Growing:
    found = Growing()
    found.add([tree.leaf_hash(bytes.fromhex(data)) for data in INPUTS])
    return found


def numbered(size: int, seed: int = 0) -> list[bytes]:
    return [hashlib.sha256(f"{seed}|{number}".encode()).digest() for number in range(size)]


class TestVectors:
    @pytest.mark.parametrize("size", range(9))
    def test_give_the_known_head(self, size: int) -> None:
        assert tree.head(known().read, size).hex() == HEADS[size]

    @pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
    def test_give_the_known_path(self, index: int, size: int, path: list[str]) -> None:
        listed = known()
        proof = tree.prove_inclusion(listed.read, index, size)
        assert [step.hex() for step in proof] == path
        assert tree.is_included(listed.levels[0][index], index, size, proof, bytes.fromhex(HEADS[size]))

    @pytest.mark.parametrize(("old", "new", "path"), CONSISTENCY)
    def test_give_the_known_consistency(self, old: int, new: int, path: list[str]) -> None:
        proof = tree.prove_consistency(known().read, old, new)
        assert [step.hex() for step in proof] == path
        heads = bytes.fromhex(HEADS[old]), bytes.fromhex(HEADS[new])
        assert tree.is_consistent(old, new, *heads, proof)


class TestGrowth:
    @given(st.lists(st.integers(0, 400), max_size=6))
    def test_in_any_steps_gives_the_naive_head(self, steps: list[int]) -> None:
        listed = Growing()
        for step in steps:
            listed.add(numbered(step, listed.size))
            assert tree.head(listed.read, listed.size) == naive_head(listed.levels[0])

    def test_over_three_levels_gives_the_naive_head(self) -> None:
        listed = Growing()
        listed.add(numbered(tree.FANOUT**2 + 3 * tree.FANOUT + 5))
        assert [len(level) for level in listed.levels] == [66_309, 259, 1]
        assert tree.head(listed.read, listed.size) == naive_head(listed.levels[0])

    def test_by_few_reads_few(self) -> None:
        """A seal costs its own entries and, for a list of any length, at most a few hundred hashes."""
        listed = Growing()
        listed.add(numbered(tree.FANOUT**2 - 1))
        listed.given = 0
        listed.add(numbered(3))
        tree.head(listed.read, listed.size)
        assert listed.given <= 4 * tree.FANOUT


class TestProofs:
    @given(st.data())
    def test_hold_for_every_leaf_and_no_other(self, data: st.DataObject) -> None:
        size = data.draw(st.integers(1, 700))
        index = data.draw(st.integers(0, size - 1))
        other = data.draw(st.integers(0, size - 1))
        listed = Growing()
        listed.add(numbered(size))
        root = naive_head(listed.levels[0])
        proof = tree.prove_inclusion(listed.read, index, size)
        leaf = listed.levels[0][index]
        assert tree.is_included(leaf, index, size, proof, root)
        assert tree.is_included(leaf, other, size, proof, root) == (other == index)
        assert not tree.is_included(leaf, index, size, [*proof, leaf], root)
        if proof:
            assert not tree.is_included(leaf, index, size, proof[:-1], root)
            bent = data.draw(st.integers(0, len(proof) - 1))
            assert not tree.is_included(leaf, index, size, [*proof[:bent], leaf, *proof[bent + 1 :]], root)

    @given(st.data())
    def test_of_consistency_hold_for_the_list_that_grew(self, data: st.DataObject) -> None:
        new = data.draw(st.integers(1, 700))
        old = data.draw(st.integers(0, new))
        listed = Growing()
        listed.add(numbered(new))
        heads = naive_head(listed.levels[0][:old]), naive_head(listed.levels[0])
        proof = tree.prove_consistency(listed.read, old, new)
        assert tree.is_consistent(old, new, *heads, proof)
        if old:
            rewritten = naive_head([*listed.levels[0][: new - 1], bytes(32)])
            assert not tree.is_consistent(old, new, heads[0], rewritten, proof)
        if 0 < old < new:
            forked = naive_head([*listed.levels[0][: old - 1], bytes(32)])
            assert not tree.is_consistent(old, new, forked, heads[1], proof)
            assert not tree.is_consistent(old, new, *heads, proof[:-1])
            assert not tree.is_consistent(old, new, *heads, [*proof, bytes(32)])

    @pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
    def test_of_a_leaf_that_is_not_there_are_refused(self, index: int, size: int) -> None:
        listed = known()
        with pytest.raises(ValueError, match="no leaf"):
            tree.prove_inclusion(listed.read, index, size)
        assert not tree.is_included(bytes(32), index, size, [], bytes(32))

    def test_that_a_longer_list_begins_a_shorter_are_refused(self) -> None:
        with pytest.raises(ValueError, match="not the beginning"):
            tree.prove_consistency(known().read, 5, 4)
        assert not tree.is_consistent(5, 4, bytes(32), bytes(32), [])
