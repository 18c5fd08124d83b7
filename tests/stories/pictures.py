"""The pictures that the guides show: which they name, and `make pictures`, which takes them anew from the stories.

`python -m tests.stories.pictures` copies what the stories kept to ``docs/pictures/``, and deletes what no guide names.
"""

import re
import shutil
import sys
from pathlib import Path

from deploy.local.stack import ROOT

KEPT = ROOT / "var" / "stories"
DOCS = ROOT / "docs"
FOLDER = DOCS / "pictures"
NAMED = re.compile(r"!\[([^\]]*)\]\((?:docs/)?pictures/([^)]+)\.png\)")


def shown() -> dict[str, list[str]]:
    """Return the words for those who do not see it, of each picture that a guide names."""
    found: dict[str, list[str]] = {}
    for guide in (ROOT / "README.md", *sorted(DOCS.glob("*.md"))):
        for words, name in NAMED.findall(guide.read_text(encoding="utf-8")):
            found.setdefault(name, []).append(words)
    return found


def kept(folder: Path) -> set[str]:
    """Return the names of the pictures in a folder."""
    return {path.stem for path in folder.glob("*.png")}


def main() -> int:
    """Copy, delete, and name what the stories did not take."""
    wanted = set(shown())
    if missing := wanted - kept(KEPT):
        print(f"No story takes the pictures {', '.join(sorted(missing))}.", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name in kept(FOLDER) - wanted:
        (FOLDER / f"{name}.png").unlink()
    for name in wanted:
        shutil.copyfile(KEPT / f"{name}.png", FOLDER / f"{name}.png")
    print(f"{len(wanted)} pictures are in docs/pictures/.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
