"""Keeps what a state directory must remember between runs (passwords, keys, ports), in mode 600."""

import json
import os
from collections.abc import Callable
from pathlib import Path


class SecretsFile:
    """A small JSON object of strings, written whole and atomically."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, str]:
        """Return all values; an absent file is empty."""
        if not self.path.exists():
            return {}
        found: dict[str, str] = json.loads(self.path.read_text())
        return found

    def write(self, **values: str) -> None:
        """Store these values beside the others."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            json.dump(self.read() | values, output, indent=1)
            output.flush()
            os.fsync(output.fileno())
        draft.replace(self.path)

    def keep(self, name: str, make: Callable[[], str]) -> str:
        """Return the stored value, made and stored the first time."""
        value = self.read().get(name)
        if value is None:
            value = make()
            self.write(**{name: value})
        return value
