"""docs/problems.md is what the classes of errors say."""

from pathlib import Path

from govpay.api import codes, problems

PAGE = Path(__file__).resolve().parents[2] / "docs" / "problems.md"


def test_the_page_lists_every_code() -> None:
    assert PAGE.read_text() == codes.page(), "manage.py problem_codes > docs/problems.md"


def test_a_code_has_one_status_a_meaning_and_a_cure() -> None:
    found = codes.collect()
    assert len({code.code for code in found}) == len(found)
    for code in found:
        assert code.status == 502 or code.status in problems.TITLES
        assert code.meaning.endswith(".")
        assert code.cure


def test_cures_are_of_codes_that_there_are() -> None:
    assert set(codes.CURES_OF) <= {code.code for code in codes.collect()}
