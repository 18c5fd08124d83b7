"""Makes .venv from requirements.lock, each file checked against its hash; needs the standard library only."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

from deploy.local import debian
from deploy.local.errors import LocalStackError

ROOT = Path(__file__).resolve().parent.parent.parent
LOCK = "requirements.lock"
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def install(root: Path) -> None:
    """Make ``root/.venv`` hold exactly what the lock names; a half-made one is made again."""
    var, target = root / "var", root / ".venv"
    try:
        var.mkdir(exist_ok=True)
        handle = (var / "bootstrap.lock").open("w")
    except PermissionError as error:
        raise LocalStackError(
            f"{error.filename} cannot be written: clone the repository as this user."
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        stamp = target / ".lock.sha256"
        # In the form that sha256sum checks, which is how bootstrap.sh knows that there is nothing to do.
        line = f"{hashlib.sha256((root / LOCK).read_bytes()).hexdigest()}  {LOCK}\n"
        if stamp.is_file() and stamp.read_text() == line:
            return
        if target.exists():
            print("Removing an unfinished or outdated .venv.", flush=True)
            shutil.rmtree(target)
        _fill(root, target)
        stamp.write_text(line)
        print("The packages are installed.", flush=True)


def _fill(root: Path, target: Path) -> None:
    cache = root / "var" / "debian"
    has_pip = find_spec("ensurepip") is not None
    print(f"Making .venv with Python {sys.version.split()[0]}.", flush=True)
    venv.EnvBuilder(with_pip=has_pip, symlinks=True).create(target)
    python = str(target / "bin" / "python")
    if has_pip:
        pip = [python, "-m", "pip"]
    else:
        print("This Python has no pip; taking Debian's.", flush=True)
        folder = debian.unpack("python3-pip-whl", suite=debian.read_codename(), depends=False, cache=cache)
        pip = [python, str(next(folder.glob("usr/share/python-wheels/pip-*.whl")) / "pip")]
    arguments = ["install", "--no-input", "--disable-pip-version-check", "--progress-bar=off"]
    arguments += ["--require-hashes", "--only-binary=:all:", "-r", str(root / LOCK)]
    _run_pip([*pip, *arguments], root, _choose_certificates(cache))


def _choose_certificates(cache: Path) -> dict[str, str]:
    """Return what tells pip where certificates are, on a machine that was installed without any."""
    if SYSTEM_CERTIFICATES.exists() or "PIP_CERT" in os.environ:
        return {}
    folder = debian.unpack("ca-certificates", suite=debian.read_codename(), depends=False, cache=cache)
    bundle = folder / "bundle.pem"
    found = sorted(folder.glob("usr/share/ca-certificates/mozilla/*.crt"))
    bundle.write_bytes(b"\n".join(path.read_bytes() for path in found))
    return {"PIP_CERT": str(bundle)}


def _run_pip(words: list[str], root: Path, extra: dict[str, str]) -> None:
    total = sum(1 for line in (root / LOCK).read_text().splitlines() if "==" in line and line[0] not in " #")
    log = root / "var" / "bootstrap.log"
    print(f"Installing {total} packages from {LOCK} (about a minute).", flush=True)
    seen = 0
    with (
        log.open("w") as output,
        subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=os.environ | extra,
        ) as pip,
    ):
        assert pip.stdout is not None
        for line in pip.stdout:
            output.write(line)
            if line.startswith(("Collecting ", "Processing ")):
                seen += 1
                if seen % 10 == 0 or seen == total:
                    print(f"  {seen} of {total} fetched", flush=True)
            elif line.startswith("Installing collected packages"):
                print("  unpacking", flush=True)
    if pip.returncode != 0:
        reason = log.read_text().rpartition("ERROR: ")[2].strip() or f"pip answered {pip.returncode}"
        raise LocalStackError(
            f"The packages could not be installed ({' '.join(reason.split())}); all of pip's words: {log}."
        )


def main() -> int:
    """Install, and answer 1 with one sentence when that cannot be done."""
    try:
        install(ROOT)
    except LocalStackError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted; the next run begins again.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
