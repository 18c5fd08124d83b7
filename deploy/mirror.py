"""Writes the left and right of the admin's theme the other way round, for languages from right to left: `make mirror`."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import unfold

ROOT = Path(__file__).resolve().parent.parent
THEME = Path(unfold.__file__).parent
STYLES = THEME / "static" / "unfold" / "css" / "styles.css"
MIRRORED = ROOT / "payments" / "static" / "payments" / "mirrored.css"
HEAD = """\
/* The theme's left and right for languages from right to left; written by deploy/mirror.py, `make mirror`. */
@layer properties, theme, base, components, utilities, mirrored;
"""
SIDES = {"left": "right", "right": "left"}
SIDED = re.compile(
    r"(?:(?:margin|padding|scroll-margin|scroll-padding)-)?(left|right)"
    r"|border-(left|right)(?:-(?:width|style|color))?|border-(?:top|bottom)-(left|right)-radius"
)
NAME = re.compile(r"\.((?:\\.|[\w-])+)")


def mirrored() -> str:
    """Return the sheet: of each class that the theme's templates use, first its own side undone, then the other set.

    In a layer of its own after the theme's, so that of several classes of one element none undoes what another sets.
    """
    undone, done = [], []
    for around, selector, declarations in _rules(STYLES.read_text()):
        sided = [(name, value) for name, value in declarations if SIDED.fullmatch(name)]
        aligned = [(name, SIDES[value]) for name, value in declarations if _is_aligned(name, value)]
        if sided and not _is_symmetric(sided):
            undone.append(_rule(around, selector, [(name, _nothing(name, value)) for name, value in sided]))
            done.append(_rule(around, selector, [(_other(name), value) for name, value in sided]))
        if aligned:
            done.append(_rule(around, selector, aligned))
    return f"{HEAD}@layer mirrored {{\n" + "\n".join(undone + done) + "\n}\n"


def _rules(text: str) -> Iterator[tuple[list[str], str, list[tuple[str, str]]]]:
    """Yield what is around each rule of a used class, its selector and its declarations."""
    used = set(
        re.findall(
            r"[^\s\"'{}<>=]+", " ".join(path.read_text() for path in (THEME / "templates").rglob("*.html"))
        )
    ) | set(re.findall(r"[^\s\"']+", "".join(path.read_text() for path in THEME.glob("*.py"))))
    stack: list[str] = []
    buffer = ""
    for char in re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL):
        if char == "{":
            stack.append(buffer.strip())
            buffer = ""
        elif char == "}":
            *around, selector = stack
            stack.pop()
            name = NAME.match(selector)
            if buffer.strip() and name and re.sub(r"\\(.)", r"\1", name[1]) in used:
                yield [each for each in around if each.startswith("@media")], selector, _declared(buffer)
            buffer = ""
        elif char == ";" and buffer.strip().startswith("@"):
            buffer = ""
        else:
            buffer += char


def _declared(text: str) -> list[tuple[str, str]]:
    parts = (each.partition(":") for each in text.split(";") if ":" in each)
    return [(name.strip(), value.strip()) for name, _, value in parts]


def _is_aligned(name: str, value: str) -> bool:
    return name == "text-align" and value in SIDES


def _is_symmetric(sided: list[tuple[str, str]]) -> bool:
    """Say whether both sides have the same already."""
    return dict(sided) == {_other(name): value for name, value in sided}


def _other(name: str) -> str:
    return re.sub(r"left|right", lambda found: SIDES[found[0]], name)


def _nothing(name: str, value: str) -> str:
    important = "!important" if value.endswith("!important") else ""
    if name.endswith("style"):
        return f"none{important}"
    return ("auto" if name in SIDES else "currentcolor" if name.endswith("color") else "0") + important


def _rule(around: list[str], selector: str, declarations: list[tuple[str, str]]) -> str:
    inner = f'[dir="rtl"] {selector} {{ {"; ".join(f"{name}: {value}" for name, value in declarations)}; }}'
    for each in reversed(around):
        inner = f"{each} {{ {inner} }}"
    return inner


def main() -> int:
    """Write the sheet."""
    MIRRORED.write_text(mirrored())
    print(f"{MIRRORED.relative_to(ROOT)}: {len(MIRRORED.read_text()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
