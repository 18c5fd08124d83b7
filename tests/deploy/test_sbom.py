"""What is installed is what the lock pins by hash, and the list of it says so (A35)."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

from deploy import sbom

LOCKS = [sbom.ROOT / "requirements.lock", sbom.ROOT / "payments" / "signer" / "requirements.lock"]
# What a new environment brings along.
BROUGHT = {"pip", "setuptools"}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """Return the version of each package that the lock pins."""
    return {plain(each["name"]): each["version"] for each in sbom.components(LOCKS[0].read_text())}


class TestLock:
    @pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.parent.name)
    def test_pins_everything_by_hash_and_names_no_address(self, path: object) -> None:
        text = path.read_text()  # type: ignore[attr-defined]
        assert len(sbom.components(text)) > 3
        assert "://" not in text

    def test_is_what_is_installed(self) -> None:
        found = {plain(each.metadata["Name"]): each.version for each in metadata.distributions()}
        pinned = locked()
        assert {name: pinned.get(name) for name in found.keys() - BROUGHT} == {
            name: version for name, version in found.items() if name not in BROUGHT
        }

    def test_has_every_package_that_the_product_names(self) -> None:
        project = tomllib.loads((sbom.ROOT / "pyproject.toml").read_text())["project"]
        groups = [project["dependencies"], *project["optional-dependencies"].values()]
        named = {plain(re.split(r"[\[~=<>; ]", each)[0]) for group in groups for each in group}
        assert named <= locked().keys()


class TestDocument:
    def test_lists_name_version_and_hashes(self) -> None:
        lock = "b_c==1.0 ; python_version < '3.12' \\\n    --hash=sha256:" + "ab" * 32 + "\n    # via a\n"
        assert sbom.components(lock) == [
            {
                "type": "library",
                "name": "b-c",
                "version": "1.0",
                "purl": "pkg:pypi/b-c@1.0",
                "hashes": [{"alg": "SHA-256", "content": "ab" * 32}],
            }
        ]

    @pytest.mark.parametrize("lock", ["a==1.0\n", "a>=1.0 --hash=sha256:" + "ab" * 31, "-e .\n"])
    def test_is_refused_of_what_is_not_pinned(self, lock: str) -> None:
        with pytest.raises(ValueError, match="hash"):
            sbom.components(lock)

    @pytest.mark.parametrize("words", [[], ["signer"]])
    def test_is_printed(self, words: list[str]) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.sbom", *words], cwd=sbom.ROOT, capture_output=True, check=True
        )
        assert json.loads(done.stdout)["bomFormat"] == "CycloneDX"
