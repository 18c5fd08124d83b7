"""Records of packs and receipts: canonical JSON, so that a thing has one spelling and no byte of it is free."""

import json
from typing import Any

_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def line(value: Any) -> bytes:
    """Return a record as a line of a file."""
    return f"{_JSON.encode(value)}\n".encode()
