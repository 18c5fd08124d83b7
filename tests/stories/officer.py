"""The officer's story: people come from a file, wrong rows are named, and a list of everybody is made and submitted."""

import csv
from pathlib import Path

from deploy.demo import make_people
from deploy.demo.story import PEOPLE, SMALLEST_SAT, STEP_SAT
from tests.stories.play import Play
from tests.stories.staff import Staff

# Rows of the file in which something is wrong on purpose.
WRONG = {137, 212, 308, 424, 556, 641, 778, 902}
GOOD = 1_000 - len(WRONG)
# How some ministry calls the columns.
HEADER = ("Beneficiary Name", "CNIC No.", "Mobile", "Ref_No", "Wallet")
TOTAL_SAT = sum(SMALLEST_SAT + STEP_SAT * number for number in range(GOOD))


def tell(play: Play) -> None:
    """From the first login to a list that waits for its approver."""
    ayesha = play.staff("ayesha")
    ayesha.look("officer-home")
    enroll(ayesha)
    play.made["list"] = make_list(ayesha, play.folder / "list.csv")


def enroll(ayesha: Staff) -> None:
    """A file with eight wrong rows is refused whole; then the good rows are enrolled."""
    ayesha.go("/admin/payments/enrollment/")
    ayesha.follow("Upload people")
    ayesha.attach("file", PEOPLE)
    ayesha.press("Check and enroll", "officer-file-refused")
    ayesha.reads("Nobody was enrolled: 8 of 1,000 rows are wrong.", "wrong_network")
    ayesha.attach("file", PEOPLE)
    ayesha.page.get_by_label("Enroll the good rows").check()
    ayesha.press("Check and enroll", "officer-enrolled")
    ayesha.reads("992 people are enrolled in PENSIONS; 8 rows were refused")


def make_list(ayesha: Staff, path: Path) -> str:
    """A list with control totals: wrong ones refuse it; then it is a draft, and is submitted. Return its address."""
    write_list(path)
    ayesha.go("/admin/payments/disbursement/")
    ayesha.follow("New list")
    ayesha.fill(
        period="2026-11", purpose="pension", expected_count=str(GOOD), expected_total=str(TOTAL_SAT - 1)
    )
    ayesha.attach("file", path)
    ayesha.press("Check and make the list", "officer-totals-refused")
    ayesha.reads("No list was made")
    ayesha.fill(expected_total=str(TOTAL_SAT))
    ayesha.attach("file", path)
    ayesha.press("Check and make the list", "officer-draft")
    ayesha.reads("is a draft with 992 payments")
    address = ayesha.address
    ayesha.follow("Submit", "officer-submit")
    ayesha.press("Submit for approval", "officer-submitted")
    ayesha.reads("somebody else approves it next")
    return address


def bring(play: Play) -> None:
    """A file under a ministry's own header goes through the five steps of an import; its wrong row is left out."""
    ayesha = play.staff("ayesha")
    path = play.folder / "ministry.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in (2011, 2012, 2013):
            reference, national_id, full_name, phone, address = make_people.make_row(number)
            writer.writerow([full_name, national_id, phone if number < 2013 else "1", reference, address])
    ayesha.go("/admin/payments/importjob/")
    ayesha.follow("Import people")
    ayesha.attach("file", path)
    ayesha.page.get_by_label("Enroll the good rows").check()
    ayesha.press("Upload", "officer-columns", exact=True)
    ayesha.press("Check the file")
    ayesha.page.get_by_role("region", name="What is wrong").wait_for()
    ayesha.look("officer-checked")
    ayesha.reads("A phone number has 7 to 15 digits")
    ayesha.follow("Confirm")
    ayesha.press("Confirm", exact=True)
    ayesha.reads("2 people are enrolled. Wrong rows that were left out: 1.")
    ayesha.look("officer-imported")


def submit(ayesha: Staff, path: Path, purpose: str, rows: list[tuple[str, int]]) -> str:
    """Make another list and submit it; return its address."""
    write_rows(path, rows)
    ayesha.go("/admin/payments/disbursement/upload/")
    total_sat = sum(amount_sat for _, amount_sat in rows)
    ayesha.fill(
        period="2026-11", purpose=purpose, expected_count=str(len(rows)), expected_total=str(total_sat)
    )
    ayesha.attach("file", path)
    ayesha.press("Check and make the list")
    address = ayesha.address
    ayesha.follow("Submit")
    ayesha.press("Submit for approval")
    return address


def write_list(path: Path) -> None:
    """Write the list of the demo: everybody who is enrolled, each with another amount."""
    with PEOPLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    good = [row["reference"] for number, row in enumerate(rows, 1) if number not in WRONG]
    write_rows(path, [(reference, SMALLEST_SAT + STEP_SAT * n) for n, reference in enumerate(good)])


def write_rows(path: Path, rows: list[tuple[str, int]]) -> None:
    """Write a list of payments as a file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reference", "amount_sat"])
        writer.writerows(rows)
