"""The way of a bundle across the desk: read, checked, shown, agreed to, remembered, and only then signed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from payments.signer import bundle, config, hwi, keys, memory, psbt, rules, screen, store, vault
from payments.signer.config import Config
from payments.signer.memory import Judged
from payments.signer.refusal import Refusal, Unreadable
from payments.signer.rules import Examined
from payments.signer.store import Store


@dataclass
class Desk:
    """An open signer: its configuration, its memory, and the screen."""

    config: Config
    store: Store
    console: Console

    @classmethod
    def open(cls, home: Path, console: Console) -> "Desk":
        """Read the configuration and open the memory; raise Refusal, above all when the memory was altered."""
        found = config.read(home)
        opened = store.open_(
            home, network=found.network, wallet=found.wallet, descriptor=found.descriptor.text
        )
        opened.verify_chain()
        return cls(found, opened, console)

    def inspect(self, path: Path, *, accepted: Sequence[str], now: datetime) -> tuple[Examined, Judged]:
        """Check a bundle by every rule and show it."""
        given = bundle.load(read_file(path, bundle.MAX_BYTES))
        examined = rules.examine(given, psbt.decode(given.psbt), self.config, now=now)
        judged = self._judge(examined, accepted, now)
        screen.show_bundle(self.console, examined, judged, self.config)
        return examined, judged

    def sign(
        self,
        path: Path,
        out: Path,
        *,
        accepted: Sequence[str] = (),
        is_agreed: bool,
        passphrase_fd: int | None,
        now: datetime,
    ) -> None:
        """Sign a bundle and write the PSBT; what is signed is in the store before there is a signature.

        ``is_agreed``: nobody is asked, which the configuration must allow.
        """
        if is_agreed and self.config.caps.is_attended:
            raise Refusal(
                "attended", "The configuration says that a person must confirm; --yes is not allowed."
            )
        if out.exists():
            raise Refusal("out_exists", f"There is a file {out} already; name another.")
        if not out.parent.is_dir():
            raise Unreadable("file", f"There is no folder {out.parent}.")
        examined, _ = self.inspect(path, accepted=accepted, now=now)
        if not is_agreed:
            screen.confirm(self.console, "sign")
        master = self._unlock(passphrase_fd)
        with self.store.exclusive():
            # Judged again, because another signer may have appended since the screen was shown.
            judged = self._judge(examined, accepted, now)
            if not judged.is_repeat:
                self.store.append(judged.record)
        signed = self._signed(examined, master)
        write_file(out, f"{signed}\n")
        self.console.print(f"Signed; the PSBT is in {out}.")

    def _judge(self, examined: Examined, accepted: Sequence[str], now: datetime) -> Judged:
        past = memory.recall(self.store, examined, now=now)
        return memory.judge(examined, past, self.config, accepted=accepted)

    def _unlock(self, passphrase_fd: int | None) -> Any:
        """Return the private key, or None where a device has it."""
        if self.config.key_file is None:
            hwi.require(self.config.network, self.config.key.fingerprint.hex())
            return None
        keys.read(self.config.key_file)
        passphrase = vault.ask("Passphrase", passphrase_fd)
        return keys.open_master(self.config.key_file, passphrase, self.config.key)

    def _signed(self, examined: Examined, master: Any) -> str:
        given = psbt.pure(
            examined.bundle.psbt,
            self.config.descriptor,
            [(branch, child) for _, branch, child in examined.keys],
            {change.vout: change.index for change in examined.change},
        )
        if master is None:
            fingerprint = self.config.key.fingerprint.hex()
            returned = hwi.sign(given, network=self.config.network, fingerprint=fingerprint)
        else:
            returned = psbt.sign(given, master, examined.keys)
        public_keys = [self.config.descriptor.public_key(*key) for key in examined.keys]
        return psbt.require_signed(given, returned, public_keys)


def read_file(path: Path, most: int) -> bytes:
    """Return a file's bytes; raise Unreadable when it is missing or larger than it may be."""
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise Unreadable("file", f"{path} cannot be read: {error.strerror}.") from error
    if len(content) > most:
        raise Unreadable("file", f"{path} is larger than {most} bytes.")
    return content


def write_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; raise Unreadable when there is no room or no right to."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with part.open("x", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Unreadable("file", f"{path} cannot be written: {error.strerror}.") from error
