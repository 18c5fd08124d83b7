"""Lists what a lock file installs, with versions and hashes, as a CycloneDX 1.6 document: `make sbom`."""

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
HASH = re.compile(r"--hash=(sha256):([0-9a-f]{64})")


def components(lock: str) -> list[dict[str, Any]]:
    """Return the components of a lock file in its order; raise ValueError for a line that pins nothing by hash."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lock.splitlines(), start=1):
        if line.lstrip().startswith("#") or not line.strip():
            continue
        pinned, hashes = PINNED.match(line), HASH.findall(line)
        if pinned:
            name, version = pinned[1].lower().replace("_", "-"), pinned[2]
            made = {"type": "library", "name": name, "version": version}
            found.append(made | {"purl": f"pkg:pypi/{name}@{version}", "hashes": []})
        elif not hashes:
            raise ValueError(f"line {number} pins no version and has no hash: {line.strip()[:80]}")
        found[-1]["hashes"] += [{"alg": "SHA-256", "content": content} for _, content in hashes]
    for made in found:
        if not made["hashes"]:
            raise ValueError(f"{made['name']} has no hash")
    return found


def document(lock: str, name: str) -> dict[str, Any]:
    """Return the document about a lock file; it says nothing that differs from day to day."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": name}},
        "components": components(lock),
    }


def main() -> int:
    """Print the document of the product, or of the program that signs."""
    of_signer = sys.argv[1:] == ["signer"]
    path = ROOT / ("payments/signer/requirements.lock" if of_signer else "requirements.lock")
    print(json.dumps(document(path.read_text(), "govpay-signer" if of_signer else "govpay"), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
