"""Key files: whatever is done to one, it opens with its passphrase to its own secret, or is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from payments.signer import vault
from payments.signer.refusal import KeyRefused

PASSPHRASE = b"correct horse battery staple"
SECRET = b"twelve or twenty-four words"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vault") / "key.json"
    vault.write(path, SECRET, PASSPHRASE, {"kind": "bitcoin", "xpub": "tpub"})
    return path


@pytest.fixture
def found(kept: Path, tmp_path: Path) -> Path:
    path = tmp_path / "key.json"
    path.write_bytes(kept.read_bytes())
    path.chmod(0o600)
    return path


def refusal(path: Path, passphrase: bytes = PASSPHRASE) -> str:
    """The code by which the file does not open."""
    with pytest.raises(KeyRefused) as refused:
        vault.open_(vault.read(path, "bitcoin", ("xpub",)), passphrase)
    return refused.value.code


class TestOpen:
    def test_gives_the_secret_to_its_passphrase_only(self, found: Path) -> None:
        assert vault.open_(vault.read(found, "bitcoin", ("xpub",)), PASSPHRASE) == SECRET
        for wrong in (b"", PASSPHRASE + b" ", PASSPHRASE[:-1], PASSPHRASE.upper()):
            assert refusal(found, wrong) == "passphrase"
        assert SECRET not in found.read_bytes()

    def test_costs_a_guesser_128_mib(self, found: Path) -> None:
        content = json.loads(found.read_text())
        assert (content["kdf"], content["cost"]) == ("scrypt", 2**17)
        assert len(bytes.fromhex(content["salt"])) == 16

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("xpub", "tpubX"),
            ("salt", "00" * 16),
            ("salt", ""),
            ("salt", "zz"),
            ("nonce", "00" * 12),
            ("nonce", ""),
            ("nonce", "00" * 200),
            ("sealed", ""),
            ("sealed", "00" * 43),
            ("sealed", 5),
            ("cost", 2**14),
            ("cost", 2**40),
            ("cost", 2**17 - 1),
            ("cost", "131072"),
            ("cost", None),
            ("cost", 131072.0),
            ("cost", [2]),
            ("kdf", "none"),
            ("more", "unknown"),
        ],
    )
    def test_refuses_an_altered_field(self, found: Path, name: str, value: Any) -> None:
        content = json.loads(found.read_text())
        found.write_text(json.dumps(content | {name: value}))
        assert refusal(found) in ("passphrase", "key_file")

    @pytest.mark.parametrize("name", ["kdf", "cost", "salt", "nonce", "sealed", "xpub", "kind", "format"])
    def test_refuses_a_missing_field(self, found: Path, name: str) -> None:
        content = json.loads(found.read_text())
        del content[name]
        found.write_text(json.dumps(content))
        assert refusal(found) in ("passphrase", "key_file")

    @settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_refuses_a_file_that_ends_too_soon(self, found: Path, kept: Path, data: st.DataObject) -> None:
        whole = kept.read_bytes().rstrip(b"\n")
        found.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
        assert refusal(found) == "key_file"

    def test_refuses_what_is_no_object_or_never_ends(self, found: Path) -> None:
        for text in ("", "[]", "null", '"x"', "[" * 9_999, '{"a":' * 1_900, "\0" * 100, "x" * 50_000):
            found.write_text(text)
            assert refusal(found) == "key_file"
        found.write_bytes(b"\xff\xfe" * 100)
        assert refusal(found) == "key_file"

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o666, 0o601])
    def test_refuses_a_file_that_is_open_to_others(self, found: Path, mode: int) -> None:
        found.chmod(mode)
        assert refusal(found) == "key_permissions"

    def test_says_when_the_host_has_too_little_memory(
        self, found: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> bytes:
            raise MemoryError

        monkeypatch.setattr(vault, "_derive", fail)
        assert refusal(found) == "key_memory"


class TestWrite:
    def test_is_its_owners_alone_and_never_replaces(self, tmp_path: Path) -> None:
        path = tmp_path / "key.json"
        path.write_text("something")
        with pytest.raises(KeyRefused) as refused:
            vault.write(path, SECRET, PASSPHRASE, {"kind": "bitcoin"})
        assert (refused.value.code, path.read_text()) == ("key_exists", "something")
        vault.write(tmp_path / "other.json", SECRET, PASSPHRASE, {"kind": "bitcoin"})
        assert (tmp_path / "other.json").stat().st_mode & 0o777 == 0o600
        # Nor through a link that somebody put there.
        (tmp_path / "link.json").symlink_to(tmp_path / "elsewhere.json")
        with pytest.raises(KeyRefused):
            vault.write(tmp_path / "link.json", SECRET, PASSPHRASE, {"kind": "bitcoin"})
        assert not (tmp_path / "elsewhere.json").exists()

    def test_gives_each_file_a_salt_and_a_nonce_of_its_own(self, kept: Path, tmp_path: Path) -> None:
        vault.write(tmp_path / "again.json", SECRET, PASSPHRASE, {"kind": "bitcoin", "xpub": "tpub"})
        one, other = json.loads(kept.read_text()), json.loads((tmp_path / "again.json").read_text())
        for name in ("salt", "nonce", "sealed"):
            assert one[name] != other[name]
