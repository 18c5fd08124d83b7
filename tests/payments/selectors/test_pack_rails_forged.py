"""Packs of lists by bank and by voucher that a dishonest holder of the log's key builds: each is refused by name."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ledger import verify
from tests.payments.selectors.rail_story import Honest, check, hide
from tests.regtest.forger import LEAVES, Forger, Heading, Lines

# The database is made only for tests that are marked; the honest packs are what needs it.
pytestmark = pytest.mark.django_db

FILES = ("bank-files.jsonl", "bank-reports.jsonl", "bank-lines.jsonl", "vouchers.jsonl")
LINES = FILES[2]
Forge = Callable[[Forger], None]


def refusal(made: Forger) -> str:
    """The code of what the verifier finds wrong."""
    with pytest.raises(verify.Wrong) as found:
        check(made)
    return found.value.code


def edit(name: str, line: int, **values: Any) -> Forge:
    """Return what changes fields of a record of a file."""

    def forge(made: Forger) -> None:
        records = made.records(name)
        records[line] |= values
        made.write(name, records)

    return forge


def both(*forges: Forge) -> Forge:
    """Return what does all of these."""

    def forge(made: Forger) -> None:
        for each in forges:
            each(made)

    return forge


def status(line: int, new: str) -> Forge:
    """Return what changes what became of a line of the first list."""
    return edit("payments.jsonl", line, status=new)


def listed(made: Forger) -> str:
    """The record of the first list of a pack."""
    return min(path.relative_to(made.pack).as_posix() for path in made.pack.glob("lists/*/list.json"))


def twice(made: Forger, name: str, line: int) -> None:
    records = made.records(name)
    made.write(name, [*records[: line + 1], records[line], *records[line + 1 :]])


def alone(made: Forger) -> None:
    edit(FILES[3], 0, redeemed_by=made.records(FILES[3])[0]["issued_by"])(made)


def cancelled_alone(made: Forger) -> None:
    edit(FILES[3], 1, cancelled_by=made.records(FILES[3])[1]["cancel_asked_by"])(made)


def replaces_first(made: Forger) -> None:
    edit(FILES[3], 4, replaces=made.records(FILES[3])[1]["voucher"])(made)


def revived(made: Forger) -> None:
    """The bank has paid after all what was paid again: its answer, the books and the events say so, all of them forged."""
    lines = made.records(LINES)
    dead = lines[1]["payment"]
    lines[1] |= {"outcome": "settled", "reason": ""}
    made.write(LINES, lines)
    report = {"settled_count": "2", "settled_minor": "2950000", "rejected_count": "0", "rejected_minor": "0"}
    edit(FILES[1], 0, **report)(made)
    payments = made.records("payments.jsonl")
    made.write(
        "payments.jsonl",
        [each | ({"status": "pending"} if each["payment"] == dead else {}) for each in payments],
    )

    def settle(heading: Heading, lines: Lines) -> None:
        heading |= {"kind": "rail_settled"}
        lines[1][0] = payable[0][0]

    payable: Lines = []
    for leaf in made.records(LEAVES):
        if '"kind":"rail_settled"' in leaf.get("entry", ""):
            payable = [json.loads(leaf["entry"][:-1].split("\n")[-1])]
            break
    made.edit_entry("rail_returned", settle)
    leaves = made.records(LEAVES)
    made.plant([owed_still(leaf, dead) for leaf in leaves])


def owed_still(leaf: Any, dead: str) -> Any:
    """Turn the entry that owes a dead payment no more into one of another kind."""
    if f'"source_ref":"payment:{dead}"' in leaf.get("entry", ""):
        leaf = leaf | {"entry": leaf["entry"].replace('"kind":"decommitment"', '"kind":"other"')}
    return leaf


def misnamed(made: Forger) -> None:
    """The manifest says that another payment is paid again."""
    name = max(path.relative_to(made.pack).as_posix() for path in made.pack.glob("lists/*/manifest.txt"))
    first = made.records(LINES)
    made.change(name, f"|1500000|{first[1]['payment']}\n", f"|1500000|{first[0]['payment']}\n")


# One thing is changed in each, by who has the log's key, and the rest is as it was.
FORGED: list[tuple[str, str, Forge, str]] = [
    ("bank", "a rejected transfer that was paid", edit(LINES, 1, outcome="settled"), "answer_differs"),
    ("bank", "a paid transfer that was rejected", edit(LINES, 0, outcome="rejected"), "answer_differs"),
    (
        "bank",
        "two transfers whose ends are swapped",
        both(edit(LINES, 0, outcome="rejected"), edit(LINES, 1, outcome="settled")),
        "answer_differs",
    ),
    (
        "bank",
        "an answer that says of itself what is not so",
        both(
            edit(LINES, 1, outcome="settled"),
            edit(
                FILES[1],
                0,
                settled_count="2",
                settled_minor="2950000",
                rejected_count="0",
                rejected_minor="0",
            ),
        ),
        "answer_differs",
    ),
    ("bank", "an open transfer that ended", edit(LINES, 2, outcome="settled"), "answer_missing"),
    ("bank", "a transfer that ended without an answer", edit(LINES, 0, report=None), "answer_missing"),
    ("bank", "no answer", lambda made: made.write(FILES[1], []), "answer_missing"),
    (
        "bank",
        "no answer, and nothing that ended",
        both(
            lambda made: made.write(FILES[1], []),
            edit(LINES, 0, outcome="open", report=None),
            edit(LINES, 1, outcome="open", report=None),
            status(1, "pending"),
        ),
        "answer_missing",
    ),
    ("bank", "another answer", edit(FILES[1], 0, sha256="11" * 32), "document_differs"),
    ("bank", "another file", edit(FILES[0], 0, sha256="11" * 32), "document_differs"),
    ("bank", "another count", edit(FILES[0], 0, line_count="4"), "bank_file_differs"),
    ("bank", "another sum", edit(FILES[0], 0, total_minor="3000001"), "bank_file_differs"),
    ("bank", "another amount", edit(LINES, 0, amount_minor="1450001"), "amount_differs"),
    ("bank", "another currency", edit(FILES[0], 0, currency="USD"), "bank_file_differs"),
    ("bank", "more digits", edit(FILES[0], 0, scale=3), "bank_file_differs"),
    ("bank", "another list's file", edit(FILES[0], 0, list="999"), "rail_differs"),
    ("bank", "a transfer twice", lambda made: twice(made, LINES, 0), "transfer_differs"),
    (
        "bank",
        "an end-to-end id twice",
        lambda made: edit(LINES, 1, end_to_end_id=made.records(LINES)[0]["end_to_end_id"])(made),
        "transfer_differs",
    ),
    (
        "bank",
        "a person twice",
        lambda made: edit(LINES, 2, payment=made.records(LINES)[1]["payment"], amount_minor="1500000")(made),
        "bank_file_differs",
    ),
    ("bank", "a transfer that is left out", lambda made: made.drop_line(LINES, 2), "bank_file_differs"),
    ("bank", "no transfers", lambda made: made.write(LINES, []), "bank_file_differs"),
    (
        "bank",
        "no file, answer and transfer",
        lambda made: [(made.pack / name).unlink() for name in FILES[:3]],  # type: ignore[arg-type, return-value]
        "bank_file_missing",
    ),
    ("bank", "a paid line that is void", status(0, "voided"), "status_differs"),
    ("bank", "a line that is void without proof", status(2, "voided"), "status_differs"),
    ("bank", "a dead line that is not void", status(1, "pending"), "status_differs"),
    ("bank", "a line in the bank that was cancelled", status(2, "cancelled"), "status_differs"),
    ("bank", "another rail", lambda made: made.edit(listed(made), rail="voucher"), "bad_manifest_text"),
    ("slips", "another rail", lambda made: made.edit(listed(made), rail="bank"), "bad_manifest_text"),
    ("bank", "no money", lambda made: made.edit(listed(made), rail="post"), "bad_record"),
    ("slips", "one that was redeemed and is out", edit(FILES[3], 0, status="issued"), "voucher_differs"),
    (
        "slips",
        "one that was never redeemed",
        edit(FILES[3], 3, status="redeemed", redeemed_by="1"),
        "voucher_differs",
    ),
    ("slips", "one that who printed it paid out", alone, "same_person"),
    ("slips", "one that somebody else paid out", edit(FILES[3], 0, redeemed_by="9999"), "act_differs"),
    ("slips", "one that somebody else printed", edit(FILES[3], 0, issued_by="9999"), "act_missing"),
    ("slips", "one that one person cancelled", cancelled_alone, "same_person"),
    ("slips", "one that others cancelled", edit(FILES[3], 1, cancelled_by="9999"), "act_differs"),
    ("slips", "one that another asked to cancel", edit(FILES[3], 1, cancel_asked_by="9999"), "act_differs"),
    ("slips", "another amount", edit(FILES[3], 0, amount_minor="1"), "amount_differs"),
    ("slips", "another currency", edit(FILES[3], 0, currency="USD"), "amount_differs"),
    ("slips", "one that stands in for none", edit(FILES[3], 4, replaces=None), "voucher_differs"),
    ("slips", "one that stands in for another's", replaces_first, "voucher_differs"),
    ("slips", "one that is left out", lambda made: made.drop_line(FILES[3], 3), "voucher_missing"),
    ("slips", "a redeemed one that is left out", lambda made: made.drop_line(FILES[3], 0), "voucher_missing"),
    ("slips", "no vouchers", lambda made: made.write(FILES[3], []), "voucher_missing"),
    ("slips", "one twice", lambda made: twice(made, FILES[3], 0), "twice"),
    (
        "slips",
        "one that was redeemed at another time",
        edit(FILES[3], 0, ended_at="2026-11-30T00:00:00.000000Z"),
        "voucher_differs",
    ),
    ("slips", "a redeemed line that is void", status(0, "voided"), "status_differs"),
    ("slips", "an expired line that is not void", status(3, "pending"), "status_differs"),
    ("again", "one that is not dead and paid again", revived, "paid_again"),
    (
        "again",
        "one that is paid again in the place of another",
        misnamed,
        "manifest_differs",
    ),
]


class TestForged:
    @pytest.mark.parametrize(("name", "what", "forge", "code"), FORGED, ids=[each[1] for each in FORGED])
    def test_is_refused(
        self, honest: Honest, name: str, what: str, forge: Forge, code: str, tmp_path: Path
    ) -> None:
        made = honest.copy(name, tmp_path)
        forge(made)
        assert refusal(made) == code

    @pytest.mark.parametrize(
        ("name", "kind", "code"),
        [
            ("bank", "rail_sent", "bank_file_differs"),
            ("bank", "rail_settled", "answer_differs"),
            ("bank", "rail_returned", "answer_differs"),
            ("slips", "rail_settled", "voucher_differs"),
            ("slips", "rail_returned", "voucher_differs"),
        ],
    )
    def test_books_of_another_amount_are_refused(
        self, honest: Honest, name: str, kind: str, code: str, tmp_path: Path
    ) -> None:
        def more(heading: Heading, lines: Lines) -> None:
            for line in (lines[0], lines[-1]):
                line[5] = str(int(line[5]) + (1 if int(line[5]) > 0 else -1))

        made = honest.copy(name, tmp_path)
        made.edit_entry(kind, more)
        assert refusal(made) == code

    @pytest.mark.parametrize(
        ("kind", "code"),
        [
            ("rail_sent", "bank_file_differs"),
            ("rail_settled", "answer_differs"),
            ("rail_returned", "answer_differs"),
        ],
    )
    def test_books_that_name_another_document_are_refused(
        self, honest: Honest, kind: str, code: str, tmp_path: Path
    ) -> None:
        made = honest.copy("bank", tmp_path)
        made.edit_entry(
            kind,
            lambda heading, lines: heading.update(memo=re.sub("[0-9a-f]{64}", "11" * 32, heading["memo"])),
        )
        assert refusal(made) == code

    @pytest.mark.parametrize("kind", ["rail_settled", "rail_returned", "rail_sent"])
    def test_books_that_lack_an_entry_are_refused(self, honest: Honest, kind: str, tmp_path: Path) -> None:
        for name in ("bank", "slips"):
            made = honest.copy(name, tmp_path)
            hide(made, kind)
            assert refusal(made) in ("answer_not_booked", "bank_file_not_booked", "voucher_not_booked")

    def test_no_last_digit_of_what_is_said_is_free_but_these(self, honest: Honest, tmp_path: Path) -> None:
        free: dict[str, set[str]] = {}
        tried = 0
        for pack in ("bank", "slips"):
            made = honest.copy(pack, tmp_path)
            for name in FILES:
                if not (made.pack / name).exists():
                    continue
                records = made.records(name)
                for n, record in enumerate(records):
                    for field, value in record.items():
                        if not any(map(str.isdigit, str(value))):
                            continue
                        at = max(at for at, sign in enumerate(str(value)) if sign.isdigit())
                        other = f"{str(value)[:at]}{(int(str(value)[at]) + 1) % 10}{str(value)[at + 1 :]}"
                        changed = [*records]
                        changed[n] = record | {field: int(other) if isinstance(value, int) else other}
                        made.write(name, changed)
                        tried += 1
                        try:
                            check(made)
                            free.setdefault(name, set()).add(field)
                        except verify.Wrong:
                            pass
                made.write(name, records)
        assert tried == 79
        # Why a bank rejected it, when a voucher was printed, until when it counts, and the number of one that expired.
        assert free == {LINES: {"reason"}, FILES[3]: {"expires_at", "issued_at", "voucher"}}
