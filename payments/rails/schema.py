"""Holds messages of banks to the schemas that ISO 20022 publishes, while they are read, in memory that does not grow.

The files beside this one, in ``schemas/``, are ISO's own; a version whose schema is put there can be read.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import BinaryIO

from lxml import etree

from govpay.errors import InvalidInput

FOLDER = Path(__file__).parent / "schemas"
NAMESPACE = "urn:iso:std:iso:20022:tech:xsd:"
BLOCK_BYTES = 64 * 1024
_ELEMENT = re.compile(r"Element '(?:\{[^}]{0,100}\})?([A-Za-z0-9]{1,40})'")


class BadMessage(InvalidInput):
    """The file is no message of the kind and version that was expected; the error names the line and the rule."""

    code = "bad_message"


def versions(kind: str) -> list[str]:
    """Return the versions of a kind of message, such as ``pain.002``, whose schemas are here."""
    return sorted(path.stem for path in FOLDER.glob(f"{kind}.*.xsd"))


def elements(file: BinaryIO, kind: str, tags: Sequence[str], *, most_bytes: int) -> Iterator[etree._Element]:
    """Yield the elements of a message with these names, in its order, each whole and held to the schema; then forget it.

    Entities are neither resolved nor declared: a document type is refused, and nothing is fetched. Raises BadMessage for
    what is no XML, another message or version, what the schema does not allow, and more bytes than ``most_bytes``.
    """
    counted = _Counted(file, most_bytes)
    start = counted.peek()
    name = _name(start)
    if name not in versions(kind):
        known = ", ".join(versions(kind))
        raise _refused("message_unknown", f"This is no message that is read here; those are {known}.")
    # There is no document type, so there are no entities to resolve; told not to resolve any, libxml2 takes some messages
    # that break off for whole ones while it holds them to a schema.
    context = etree.iterparse(
        counted,
        events=("start", "end"),
        schema=_schema(name),
        load_dtd=False,
        no_network=True,
        huge_tree=False,
    )
    wanted = {f"{{{NAMESPACE}{name}}}{tag}" for tag in tags}
    inside, root = 0, ""
    try:
        for event, element in context:
            if event == "start":
                inside += element.tag in wanted
            elif element.tag in wanted:
                inside -= 1
                yield element
                _forget(element)
            elif not inside:
                root = local(element)
                _forget(element)
    except etree.XMLSyntaxError as error:
        raise _broken(error) from error
    if root != "Document":
        raise _refused("message_malformed", "The message breaks off before its end.")


def local(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    return etree.QName(element).localname


def text(element: etree._Element, path: str) -> str:
    """Return the text at a path of names below an element, or nothing where there is none."""
    found = element.find("/".join(f"{{*}}{step}" for step in path.split("/")))
    return (found.text or "").strip() if found is not None else ""


class _Counted:
    """A file that is read up to a limit; its beginning can be looked at first."""

    def __init__(self, file: BinaryIO, most_bytes: int) -> None:
        self._file = file
        self._left = most_bytes
        self._start = b""

    def peek(self) -> bytes:
        self._start = self._file.read(BLOCK_BYTES)
        return self._start

    def read(self, size: int = -1) -> bytes:
        block, self._start = self._start, b""
        block = block or self._file.read(BLOCK_BYTES if size < 0 else max(size, 1))
        self._left -= len(block)
        if self._left < 0:
            raise _refused("message_too_large", "The file is larger than a message may be.")
        return block


def _name(start: bytes) -> str:
    """Return which message it is by the namespace of its root, which stands in the first bytes; refuse a document type."""
    parser = etree.XMLPullParser(
        events=("start",), resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False
    )
    # A document type may be longer than what is looked at, so it is refused as it begins.
    if not start.strip():
        raise _refused("message_malformed", "The file is empty.")
    if re.search(rb"<!\s*DOCTYPE|<!\x00D\x00O", start, re.IGNORECASE):
        raise _refused("doctype_refused", "The file declares a document type; messages of banks have none.")
    try:
        parser.feed(start)
        for _, root in parser.read_events():
            if root.getroottree().docinfo.internalDTD is not None:
                raise _refused(
                    "doctype_refused", "The file declares a document type; messages of banks have none."
                )
            name = etree.QName(root)
            if name.localname != "Document" or not (name.namespace or "").startswith(NAMESPACE):
                return ""
            return str(name.namespace).removeprefix(NAMESPACE)
    except etree.XMLSyntaxError as error:
        raise _broken(error) from error
    return ""


@cache
def _schema(name: str) -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(FOLDER / f"{name}.xsd"))


def _forget(element: etree._Element) -> None:
    """Free an element that was read, and those before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]


def _broken(error: etree.XMLSyntaxError) -> BadMessage:
    line = error.lineno or 0
    named = _ELEMENT.search(error.msg or "")
    # What the parser says of a value may be somebody's name: the element says where to look.
    if named:
        # Of what the schema does not allow the parser knows no line.
        return _refused("message_schema", f"The schema does not allow {named[1]} as it stands there.", line)
    return _refused("message_malformed", f"Line {line}: the file is no well-formed XML from there on.", line)


def _refused(rule: str, message: str, line: int = 0) -> BadMessage:
    return BadMessage(message, errors=[{"row": line, "column": "", "code": rule, "message": message}])
