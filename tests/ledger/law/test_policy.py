"""Policy profiles: what each says, what a refusal cites, and which files are no profiles."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from ledger.law import policy
from ledger.law.policy import PROFILES, PolicyRefused, Rule, Ruling, Threshold
from ledger.law.tables import BadTable

IN_2022, IN_2026 = datetime(2022, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)
OLD, NEW, PAKISTAN = "el-salvador-2021", "el-salvador-2025", "pakistan-2026"
DAY = """
title = "A place"
effective_from = 2020-01-01
"""
# A rule each, in the words of a file.
ALLOWED = {
    rule: f'[[rules]]\nrule = "{rule}"\nruling = "allowed"\ntext = "Yes."\nlaw = "Art. 1"\nsource = "x"\n'
    for rule in Rule
}


def travel(**changes: str) -> str:
    """The rules of a file whose travel rule has a threshold, with other terms of it."""
    terms = {
        "currency": '"USD"',
        "from_minor": "100_000",
        "linked_days": "30",
        "keep_days": "1_827",
    } | changes
    limited = ALLOWED[Rule.TRAVEL_RULE].replace('"allowed"', '"limited"')
    others = "".join(text for rule, text in ALLOWED.items() if rule != Rule.TRAVEL_RULE)
    return others + limited + "".join(f"{name} = {value}\n" for name, value in terms.items())


def refusal(profile: str, rule: Rule, at: datetime, **given: Any) -> dict[str, Any]:
    with pytest.raises(PolicyRefused) as refused:
        policy.require(profile, rule, at=at, **given)
    return refused.value.details


class TestProfiles:
    def test_are_the_four_that_the_policy_comes_from(self) -> None:
        assert list(PROFILES) == [OLD, NEW, PAKISTAN, "sandbox"]

    @pytest.mark.parametrize("name", PROFILES)
    def test_say_where_every_rule_is_written_unless_it_is_undetermined(self, name: str) -> None:
        for each in PROFILES[name].provisions:
            assert bool(each.law) == bool(each.source) == (each.ruling != Ruling.UNDETERMINED)
            assert each.text.endswith(".")

    @pytest.mark.parametrize(
        ("name", "rulings"),
        [
            (OLD, ["allowed", "allowed", "allowed", "allowed", "undetermined", "limited"]),
            (NEW, ["refused", "refused", "refused", "limited", "undetermined", "limited"]),
            (PAKISTAN, [*["undetermined"] * 4, "limited", "undetermined"]),
            ("sandbox", ["allowed"] * 6),
        ],
    )
    def test_say_this_of_each_rule(self, name: str, rulings: list[str]) -> None:
        at = IN_2022 if name == OLD else IN_2026
        found = [PROFILES[name].find(rule, at) for rule in Rule]
        assert [each and each.ruling for each in found] == rulings


class TestRequire:
    def test_allows_under_one_profile_what_it_refuses_under_the_other(self) -> None:
        assert policy.require(OLD, Rule.PAY_IN_BTC, at=IN_2022).law == "Bitcoin Law of June 2021, art. 1"
        assert policy.require("sandbox", Rule.PAY_IN_BTC, at=IN_2026).ruling == Ruling.ALLOWED
        assert refusal(NEW, Rule.PAY_IN_BTC, IN_2026) == {
            "profile": NEW,
            "rule": "pay_in_btc",
            "ruling": "refused",
            "law": "Bitcoin Law, art. 1 as amended on 29 January 2025",
            "source": PROFILES[NEW].provisions[0].source,
        }

    def test_refuses_under_a_profile_that_is_not_in_force_and_names_its_successor(self) -> None:
        # The last moment of the old law, and the first of the new one.
        policy.require(OLD, Rule.PAY_IN_BTC, at=datetime(2025, 4, 30, 23, 59, 59, tzinfo=UTC))
        found = refusal(OLD, Rule.PAY_IN_BTC, datetime(2025, 5, 1, tzinfo=UTC))
        assert (found["ruling"], found["successor"]) == ("not_in_force", NEW)
        assert refusal(NEW, Rule.PAY_IN_BTC, datetime(2025, 4, 30, tzinfo=UTC))["ruling"] == "not_in_force"

    def test_refuses_what_is_not_known_to_be_lawful(self) -> None:
        with pytest.raises(PolicyRefused, match=r"Whether it is allowed is not known\. The Act licenses"):
            policy.require(PAKISTAN, Rule.PAY_IN_BTC, at=IN_2026)

    @pytest.mark.parametrize(("total_sat", "is_refused"), [(-5, False), (0, False), (1, True)])
    def test_compares_the_accumulation_with_its_ceiling(self, total_sat: int, is_refused: bool) -> None:
        if not is_refused:
            policy.require(NEW, Rule.ACCUMULATION_CEILING, at=IN_2026, total_sat=total_sat)
            return
        found = refusal(NEW, Rule.ACCUMULATION_CEILING, IN_2026, total_sat=total_sat)
        assert (found["total_sat"], found["ceiling_sat"]) == (1, 0)
        assert found["law"].startswith("Arrangement under the Extended Fund Facility")

    def test_takes_the_rule_of_the_day_within_a_profile(self) -> None:
        # The lender's programme came before the amendment of the law.
        before, after = datetime(2025, 2, 25, tzinfo=UTC), datetime(2025, 2, 26, tzinfo=UTC)
        policy.require(OLD, Rule.ACCUMULATION_CEILING, at=before, total_sat=10**8)
        assert refusal(OLD, Rule.ACCUMULATION_CEILING, after, total_sat=10**8)["ceiling_sat"] == 0

    @pytest.mark.parametrize("licence", ["", "  "])
    def test_wants_a_licence_where_one_is_required(self, licence: str) -> None:
        assert refusal(PAKISTAN, Rule.LICENCE_REQUIRED, IN_2026, licence=licence)["ruling"] == "limited"
        policy.require(PAKISTAN, Rule.LICENCE_REQUIRED, at=IN_2026, licence="NOC-1")

    def test_refuses_an_unknown_profile(self) -> None:
        with pytest.raises(policy.UnknownProfile, match="no policy profile 'atlantis'"):
            policy.require("atlantis", Rule.PAY_IN_BTC, at=IN_2026)


class TestLoad:
    def load(self, folder: Path, text: str) -> dict[str, policy.Profile]:
        (folder / "place.toml").write_text(text)
        return policy.load(folder)

    def test_reads_a_profile(self, tmp_path: Path) -> None:
        found = self.load(tmp_path, DAY + "".join(ALLOWED.values()))["place"]
        assert (found.title, found.span.first, found.span.end) == ("A place", date(2020, 1, 1), None)
        assert len(found.provisions) == 6

    def test_reads_the_threshold_of_a_travel_rule(self, tmp_path: Path) -> None:
        found = self.load(tmp_path, DAY + travel())["place"].find(Rule.TRAVEL_RULE, IN_2022)
        assert found is not None
        assert found.threshold == Threshold("USD", 100_000, 30, 1_827)

    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"currency": '"usd"'}, "currency is a code of ISO 4217"),
            ({"from_minor": "0"}, "from_minor is 1 at least"),
            ({"linked_days": "0"}, "linked_days is 1 at least"),
            ({"keep_days": "-1"}, "keep_days is 1 at least"),
            ({"from_minor": "1000.0"}, "from_minor is no int"),
            ({"mood": "1"}, "has mood, which means nothing"),
        ],
    )
    def test_refuses_a_threshold_that_is_none(
        self, tmp_path: Path, changes: dict[str, str], why: str
    ) -> None:
        with pytest.raises(BadTable, match=rf"place\b.*{why}"):
            self.load(tmp_path, DAY + travel(**changes))

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("title = ", "no TOML"),
            (DAY, "has no rules"),
            (DAY + "".join(list(ALLOWED.values())[1:]), "pay_in_btc must be said once"),
            (DAY + "".join(ALLOWED.values()) + ALLOWED[Rule.PAY_IN_BTC], "pay_in_btc must be said once"),
            (DAY + 'mood = "good"\n' + "".join(ALLOWED.values()), "has mood, which means nothing"),
            (DAY + 'successor = "utopia"\n' + "".join(ALLOWED.values()), "no successor utopia"),
            (DAY.replace("2020-01-01", "true") + "".join(ALLOWED.values()), "is no date"),
            (DAY + "effective_before = 2020-01-01\n" + "".join(ALLOWED.values()), "ends before it begins"),
            (DAY.replace('"A place"', '""') + "".join(ALLOWED.values()), "title is empty"),
            (DAY + "".join(ALLOWED.values()).replace('"pay_in_btc"', '"pay"'), "'pay' is not a valid Rule"),
            (DAY + "".join(ALLOWED.values()).replace('"allowed"', '"limited"', 1), "pay_in_btc has no limit"),
            (DAY + "".join(ALLOWED.values()).replace('law = "Art. 1"\n', "", 1), "has no law"),
            (DAY + "".join(ALLOWED.values()) + "ceiling_sat = 5\n", "has ceiling_sat, which means nothing"),
            (
                DAY + "".join(ALLOWED.values()) + "effective_from = 2019-12-31\n",
                "outside the days of its file",
            ),
            (
                DAY + "".join(ALLOWED.values()) + "effective_from = 2020-01-02\n",
                "must be said once for each day",
            ),
        ],
    )
    def test_refuses_a_file_that_is_none_and_names_the_place(
        self, tmp_path: Path, text: str, why: str
    ) -> None:
        with pytest.raises(BadTable, match=rf"place(\.toml)?\b.*{why}"):
            self.load(tmp_path, text)
