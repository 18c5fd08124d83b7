"""The signer as a program on a host of its own: a home, no settings, no database, secrets through pipes only."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.payments.signer import scene

ROOT = Path(__file__).parents[3]
SECRET = scene.PASSPHRASE.decode()
CAPS = ("--tx-sat", "100000000", "--day-sat", "200000000", "--fee-share-bps", "1000")


@dataclass
class Host:
    """A folder that stands for the host; each call is a process of its own."""

    home: Path

    def run(self, *arguments: str, secrets: tuple[str, ...] = (), says: str = "", code: int = 0) -> str:
        """Run a command, return what it printed; its exit code must be ``code``."""
        process = self.start(*arguments, secrets=secrets)
        out, err = process.communicate(says, timeout=120)
        assert process.returncode == code, f"{process.returncode}: {out}{err}"
        for secret in secrets:
            assert secret not in out + err
        return out if code == 0 else err

    def start(self, *arguments: str, secrets: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Start a command with these secrets in a pipe."""
        options: list[str] = []
        kept: tuple[int, ...] = ()
        if secrets:
            reader, writer = os.pipe()
            os.write(writer, "".join(f"{secret}\n" for secret in secrets).encode())
            os.close(writer)
            options, kept = ["--passphrase-fd", str(reader)], (reader,)
        process = subprocess.Popen(
            [sys.executable, "-m", "payments.signer", "--home", str(self.home), *arguments, *options],
            cwd=ROOT,
            env=self.environment(),
            pass_fds=kept,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for descriptor in kept:
            os.close(descriptor)
        return process

    def environment(self) -> dict[str, str]:
        """Nothing of the product: no settings, no database."""
        return {
            "HOME": str(self.home.parent),
            "PATH": f"{self.home / 'bin'}:/usr/bin:/bin",
            "PYTHONUTF8": "1",
        }

    def install_hwi(self, script: str) -> None:
        """Put a program called hwi on the host's path."""
        folder = self.home / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "hwi"
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o700)

    def plug_in(self, fingerprint: str, *, state: str = "ready", **key: str) -> None:
        """Put hwi on the host's path with a device that holds a key: its words, or a node's wallet."""
        paths = [str(ROOT), *(path for path in sys.path if path)]
        self.install_hwi(
            f"import pathlib, sys\nsys.path[0:0] = {paths!r}\n"
            "from tests.payments.signer import device\ndevice.main(pathlib.Path(__file__).parent)"
        )
        about = {"fingerprint": fingerprint, "state": state, **key}
        (self.home / "bin" / "device.json").write_text(json.dumps(about))

    def import_key(self, words: str, *options: str) -> str:
        """Take a key in and return it as a descriptor takes it."""
        out = self.run("key", "import", "--network", "regtest", *options, secrets=(SECRET, words))
        return out.splitlines()[-1]

    def init(self, descriptor: str, *options: str, wallet: str = "govpay-pensions", **program: Any) -> None:
        """Set the signer up to trust the first of the scene's approvers."""
        key = scene.public(scene.APPROVERS[0]).hex()
        approvers = () if "--approver" in options else ("--approver", f"approver 1={key}")
        about = ("--network", "regtest", "--wallet", wallet, "--program", program.get("code", "PENSIONS"))
        self.run("init", *about, "--descriptor", descriptor, *approvers, *CAPS, *options)

    def write(self, name: str, text: str) -> Path:
        """Carry a file in."""
        path = self.home / name
        path.write_text(text)
        return path

    def configure(self, old: str, new: str) -> None:
        """Edit the configuration as its owner would."""
        path = self.home / "config.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
