"""Which bitcoind is taken, and the one sentence when there is none."""

from pathlib import Path

import pytest

from deploy.local import bitcoind
from deploy.local.errors import LocalStackError


def make_program(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "bitcoind"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


class TestFind:
    def test_takes_the_named_one_before_the_one_on_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        named, on_path = make_program(tmp_path / "named"), make_program(tmp_path / "path")
        monkeypatch.setenv("GOVPAY_BITCOIND", str(named))
        monkeypatch.setenv("PATH", str(on_path.parent))
        assert bitcoind.find(tmp_path) == [str(named)]

    def test_takes_the_one_on_path(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        on_path = make_program(tmp_path / "path")
        monkeypatch.delenv("GOVPAY_BITCOIND", raising=False)
        monkeypatch.setenv("PATH", str(on_path.parent))
        assert bitcoind.find(tmp_path) == [str(on_path)]

    def test_refuses_a_named_one_that_is_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GOVPAY_BITCOIND", str(tmp_path / "absent"))
        with pytest.raises(LocalStackError, match="not a program: install Bitcoin Core") as caught:
            bitcoind.find(tmp_path)
        assert "\n" not in str(caught.value)

    def test_says_what_to_install_when_there_is_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("GOVPAY_BITCOIND", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LocalStackError, match=r"^No bitcoind: install Bitcoin Core") as caught:
            bitcoind.find(tmp_path)
        assert "\n" not in str(caught.value)

    def test_refuses_a_folder_that_is_not_whole(self, tmp_path: Path) -> None:
        with pytest.raises(LocalStackError, match=r"delete .* and run again"):
            bitcoind.beside_libraries(tmp_path)
