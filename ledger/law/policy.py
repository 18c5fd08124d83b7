"""Policy profiles: what the law of a place and time lets a program do with bitcoin, and the refusal that cites it (R-24)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from govpay.errors import Conflict, InvalidInput
from ledger.law.tables import BadTable, Fields, Span, read

FOLDER = Path(__file__).with_name("profiles")
# Under which no law is claimed: coins of a test network are worth nothing.
SANDBOX = "sandbox"
OF_THRESHOLD = ("from_minor", "linked_days", "keep_days")


class Rule(StrEnum):
    """What a profile speaks of."""

    PAY_IN_BTC = "pay_in_btc"  # The state pays people in bitcoin.
    TAX_IN_BTC = "tax_in_btc"  # The state takes taxes in bitcoin.
    STATE_CONVERSION = "state_conversion"  # The state changes bitcoin into currency for people.
    ACCUMULATION_CEILING = "accumulation_ceiling"  # What the public sector may add to its bitcoin, on net.
    LICENCE_REQUIRED = "licence_required"  # Whoever holds or changes bitcoin for others needs a licence.
    TRAVEL_RULE = "travel_rule"  # Who pays whom goes with a transfer, or is kept (FATF R.16).


class Ruling(StrEnum):
    """What a profile says of an act. Undetermined refuses: what is not known to be lawful is not done."""

    ALLOWED = "allowed"
    REFUSED = "refused"
    LIMITED = "limited"
    UNDETERMINED = "undetermined"


WITH_LIMITS = (Rule.ACCUMULATION_CEILING, Rule.LICENCE_REQUIRED, Rule.TRAVEL_RULE)


@dataclass(frozen=True)
class Threshold:
    """From how much on, in minor units of a currency, a transfer needs information about who pays whom.

    What one person got within ``linked_days`` is one transfer; the information is kept for ``keep_days`` after it.
    """

    currency: str
    from_minor: int
    linked_days: int
    keep_days: int


@dataclass(frozen=True)
class Provision:
    """What a profile says about a rule on some days: ``law`` is where that is written, ``source`` where it can be read.

    A limited accumulation has a ceiling in satoshis, a limited service the authority that licenses it, and a limited travel
    rule its threshold; one that is allowed asks for nothing.
    """

    rule: Rule
    ruling: Ruling
    span: Span
    text: str
    law: str
    source: str
    ceiling_sat: int | None
    licensed_by: str
    threshold: Threshold | None = None


@dataclass(frozen=True)
class Profile:
    """A rule set by its name, in force for some days, and what took its place."""

    name: str
    title: str
    span: Span
    successor: str
    provisions: tuple[Provision, ...]

    def find(self, rule: Rule, at: datetime) -> Provision | None:
        """Return what it says of a rule at a moment, or None outside its days."""
        return next((each for each in self.provisions if each.rule == rule and each.span.holds(at)), None)


class PolicyRefused(Conflict):
    """The program's policy profile speaks against it, or does not speak of it; the law is in ``details``."""

    code = "policy_refused"


class UnknownProfile(InvalidInput):
    """There is no policy profile of this name."""

    code = "unknown_profile"


def load(folder: Path = FOLDER) -> dict[str, Profile]:
    """Read all profiles by name; raise BadTable with the file and the place in it."""
    found = {name: _profile(name, fields) for name, fields in read(folder)}
    for profile in found.values():
        if profile.successor and profile.successor not in found:
            raise BadTable(f"{profile.name}: there is no successor {profile.successor}.")
    return found


def get_profile(name: str) -> Profile:
    """Return a profile by its name; raise UnknownProfile."""
    if name not in PROFILES:
        message = f"There is no policy profile {name!r:.60}; there are {', '.join(PROFILES)}."
        error = {"row": 0, "column": "policy_profile", "code": UnknownProfile.code, "message": message}
        raise UnknownProfile(message, errors=[error])
    return PROFILES[name]


def require(
    profile_name: str, rule: Rule, *, at: datetime, total_sat: int | None = None, licence: str = ""
) -> Provision:
    """Return what the profile says of an act that it allows at a moment; else raise PolicyRefused, citing the law.

    An act under ACCUMULATION_CEILING gives ``total_sat``, what would have been added on net with it; one under
    LICENCE_REQUIRED the number of its licence, if there is one. Raises UnknownProfile.
    """
    profile = get_profile(profile_name)
    found = profile.find(rule, at)
    if found is None:
        raise _not_in_force(profile, rule, at)
    if found.ruling == Ruling.LIMITED and found.ceiling_sat is not None:
        assert total_sat is not None, f"{rule} needs the total."
        if total_sat > found.ceiling_sat:
            raise refusal(
                profile_name,
                found,
                f"{total_sat} sat would be above the ceiling of {found.ceiling_sat} sat.",
                total_sat=total_sat,
                ceiling_sat=found.ceiling_sat,
            )
    elif found.licensed_by and not licence.strip():
        raise refusal(profile_name, found, f"It needs a licence of {found.licensed_by}.")
    elif found.ruling == Ruling.REFUSED:
        raise refusal(profile_name, found, "It is not allowed.")
    elif found.ruling == Ruling.UNDETERMINED:
        raise refusal(profile_name, found, "Whether it is allowed is not known.")
    return found


def refusal(profile_name: str, found: Provision, why: str, **details: Any) -> PolicyRefused:
    """Return the refusal of an act by what a profile says of it, for a reason, with the law that it cites."""
    profile = get_profile(profile_name)
    law = f" ({found.law})" if found.law else ""
    return PolicyRefused(
        f"{found.rule}: {why} {found.text}{law} Profile: {profile.title}.",
        profile=profile.name,
        rule=found.rule.value,
        ruling=found.ruling.value,
        law=found.law,
        source=found.source,
        **details,
    )


def _not_in_force(profile: Profile, rule: Rule, at: datetime) -> PolicyRefused:
    end = f" and before {profile.span.end}" if profile.span.end else ""
    after = f" Name its successor {profile.successor} instead." if profile.successor else ""
    return PolicyRefused(
        f"{rule}: {profile.title} is in force from {profile.span.first}{end}, which {at:%Y-%m-%d} is not.{after}",
        profile=profile.name,
        rule=rule.value,
        ruling="not_in_force",
        law="",
        source="",
        successor=profile.successor,
    )


def _profile(name: str, fields: Fields) -> Profile:
    span = fields.span()
    provisions = tuple(
        _provision(Fields(f"{fields.place}, rule {number}", given), span)
        for number, given in enumerate(fields.take("rules", list), start=1)
    )
    for rule in Rule:
        _require_whole(fields.place, span, [each.span for each in provisions if each.rule == rule], rule)
    profile = Profile(name, fields.take("title", str), span, fields.take("successor", str, ""), provisions)
    fields.done()
    return profile


def _provision(fields: Fields, within: Span) -> Provision:
    try:
        rule, ruling = Rule(fields.take("rule", str)), Ruling(fields.take("ruling", str))
    except ValueError as error:
        raise BadTable(f"{fields.place}: {error}.") from error
    is_known, is_limited = ruling != Ruling.UNDETERMINED, ruling == Ruling.LIMITED
    provision = Provision(
        rule,
        ruling,
        fields.span(within),
        fields.take("text", str),
        # What is not determined has no place where it is written.
        fields.take("law", str, ... if is_known else ""),
        fields.take("source", str, ... if is_known else ""),
        fields.take("ceiling_sat", int) if is_limited and rule == Rule.ACCUMULATION_CEILING else None,
        fields.take("licensed_by", str) if is_limited and rule == Rule.LICENCE_REQUIRED else "",
        _threshold(fields) if is_limited and rule == Rule.TRAVEL_RULE else None,
    )
    if is_limited and rule not in WITH_LIMITS:
        raise BadTable(f"{fields.place}: {rule} has no limit.")
    fields.done()
    return provision


def _threshold(fields: Fields) -> Threshold:
    found = Threshold(fields.take("currency", str), *(fields.take(name, int) for name in OF_THRESHOLD))
    if not re.fullmatch("[A-Z]{3}", found.currency):
        raise BadTable(f"{fields.place}: currency is a code of ISO 4217.")
    for name in OF_THRESHOLD:
        if getattr(found, name) < 1:
            raise BadTable(f"{fields.place}: {name} is 1 at least.")
    return found


def _require_whole(place: str, whole: Span, parts: list[Span], rule: Rule) -> None:
    """Raise BadTable unless the parts follow each other from the first day of the whole to its last."""
    parts = sorted(parts, key=lambda part: part.first)
    ends = [whole.first, *(part.end for part in parts)]
    if not parts or ends != [*(part.first for part in parts), whole.end]:
        raise BadTable(f"{place}: {rule} must be said once for each day that it is in force.")


# Read once, when govpay starts: a file that is wrong stops it.
PROFILES: Mapping[str, Profile] = load()
