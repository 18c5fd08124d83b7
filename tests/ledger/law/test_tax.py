"""Tax tables: who is exempt, what nobody knows, and which files are no tables."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from ledger.law import tax
from ledger.law.tables import BadTable
from ledger.law.tax import TABLES, Treatment

IN_2026 = datetime(2026, 6, 1, tzinfo=UTC)
RULE = '[[rules]]\ntreatment = "exempt"\neffective_from = 2020-01-01\ntext = "No."\nlaw = "Art. 1"\nsource = "x"\n'
TAXED = RULE.replace('"exempt"', '"taxed"') + "rate_bps = 1_500\n"


def load(folder: Path, text: str) -> tax.TaxTable:
    (folder / "place.toml").write_text(text)
    return tax.load(folder)["place"]


class TestTables:
    def test_are_those_of_the_policy(self) -> None:
        assert list(TABLES) == ["el-salvador", "pakistan", "sandbox"]

    @pytest.mark.parametrize(
        ("at", "treatment", "due"),
        [
            (datetime(2021, 9, 6, 23, 59, tzinfo=UTC), Treatment.UNDETERMINED, None),
            (datetime(2021, 9, 7, tzinfo=UTC), Treatment.EXEMPT, 0),
            (datetime(2025, 5, 1, tzinfo=UTC), Treatment.EXEMPT, 0),
        ],
    )
    def test_exempt_gains_in_el_salvador_since_its_law(
        self, at: datetime, treatment: Treatment, due: int | None
    ) -> None:
        found = TABLES["el-salvador"].rule_at(at)
        assert (found.treatment, found.tax_minor(1_000)) == (treatment, due)

    @pytest.mark.parametrize("name", ["pakistan", "sandbox"])
    def test_say_no_tax_where_it_is_not_determined(self, name: str) -> None:
        assert TABLES[name].rule_at(IN_2026).tax_minor(1_000) is None

    def test_refuse_an_unknown_jurisdiction(self) -> None:
        with pytest.raises(tax.UnknownJurisdiction, match="no tax table 'atlantis'"):
            tax.get_table("atlantis")


class TestLoad:
    @pytest.mark.parametrize(("gain", "due"), [(1_000, 150), (-1_000, 0), (0, 0), (10, 2), (30, 4), (3, 0)])
    def test_reads_a_rate_which_is_taken_half_to_even_and_of_gains_alone(
        self, tmp_path: Path, gain: int, due: int
    ) -> None:
        assert load(tmp_path, 'title = "A place"\n' + TAXED).rule_at(IN_2026).tax_minor(gain) == due

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (RULE, "has no title"),
            ('title = "A place"\nrules = []\n', "has no rules"),
            ('title = "A place"\n' + RULE + RULE, "each rule begins on the day"),
            ('title = "A place"\n' + RULE.replace("exempt", "mild"), "'mild' is not a valid Treatment"),
            ('title = "A place"\n' + RULE.replace('law = "Art. 1"\n', ""), "rule 1 has no law"),
            ('title = "A place"\n' + RULE.replace('"exempt"', '"taxed"'), "rule 1 has no rate_bps"),
            ('title = "A place"\n' + RULE + "rate_bps = 5\n", "has rate_bps, which means nothing"),
            ('title = "A place"\n' + TAXED.replace("1_500", "10_001"), "rate_bps is 0 to 10000"),
            ('title = "A place"\n' + TAXED.replace("1_500", "15.5"), "rate_bps is no int"),
        ],
    )
    def test_refuses_a_file_that_is_none_and_names_the_place(
        self, tmp_path: Path, text: str, why: str
    ) -> None:
        with pytest.raises(BadTable, match=rf"place\.toml\b.*{why}"):
            load(tmp_path, text)
