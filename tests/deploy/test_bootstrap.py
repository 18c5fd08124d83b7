"""The first step on a bare machine: made once, made again when unfinished, one sentence when it cannot be."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local import bootstrap
from deploy.local.errors import LocalStackError
from deploy.local.stack import ROOT

LOCK_TEXT = "no-such-package==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a repository with a lock whose one package nobody has."""
    (tmp_path / "requirements.lock").write_text(LOCK_TEXT)
    folder = tmp_path / "deploy" / "local"
    folder.mkdir(parents=True)
    shutil.copy(ROOT / "deploy" / "local" / "bootstrap.sh", folder)
    return tmp_path


def stamp(root: Path, digest: str) -> None:
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / ".venv" / "bin" / "python").symlink_to(shutil.which("sh") or "/bin/sh")
    (root / ".venv" / ".lock.sha256").write_text(f"{digest}  requirements.lock\n")


def run_script(root: Path, path: str) -> "subprocess.CompletedProcess[str]":
    script = root / "deploy" / "local" / "bootstrap.sh"
    return subprocess.run([script], env={"PATH": path}, capture_output=True, text=True)


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """Give a PATH with the few programs that the script itself uses, and no Python 3.11."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("sh", "dirname", "sha256sum"):
        (folder / name).symlink_to(shutil.which(name) or name)
    for name in ("python3", "python3.11"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n")
        (folder / name).chmod(0o755)
    return str(folder)


class TestScript:
    def test_says_nothing_when_the_lock_is_installed(self, root: Path, bare_path: str) -> None:
        stamp(root, hashlib.sha256(LOCK_TEXT.encode()).hexdigest())
        done = run_script(root, bare_path)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    def test_names_what_to_install_when_no_python_is_the_right_one(self, root: Path, bare_path: str) -> None:
        stamp(root, "0" * 64)
        done = run_script(root, bare_path)
        assert done.returncode == 1
        assert done.stderr == (
            "Python 3.11 is missing: install it (on Debian 12: apt-get install python3.11) and run again.\n"
        )
        assert (root / ".venv" / "bin" / "python").exists()


class TestInstall:
    def test_leaves_an_installed_lock_alone(self, root: Path) -> None:
        stamp(root, hashlib.sha256(LOCK_TEXT.encode()).hexdigest())
        kept = root / ".venv" / "kept"
        kept.touch()
        bootstrap.install(root)
        assert kept.exists()

    def test_begins_again_after_an_unfinished_one_and_stamps_no_failure(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        half = root / ".venv" / "half-unpacked"
        half.mkdir(parents=True)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        with pytest.raises(
            LocalStackError, match="No matching distribution found for no-such-package"
        ) as caught:
            bootstrap.install(root)
        assert "\n" not in str(caught.value)
        assert not half.exists()
        assert not (root / ".venv" / ".lock.sha256").exists()
        assert "Removing an unfinished or outdated .venv." in capsys.readouterr().out
