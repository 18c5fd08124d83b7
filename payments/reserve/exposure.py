"""How exposed the public sector is to the price: payment float, share of reserves, value at risk (R-29).

Judged with each scan, and once a day without any, from what is kept: books, scans and quotes. Nothing here
converts anything: alarms ask people to.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from django.conf import settings
from django.db.models import F, Max, Sum
from django.db.models.functions import Coalesce, TruncDate

from ledger import books, chart
from ledger.law import policy
from ledger.treasury import positions
from ledger.treasury.lots import half_even
from ledger.treasury.positions import Position
from payments.models import Disbursement, Heartbeat, Institution, Program, Quote
from payments.payout import alarms
from payments.prices import quotes
from payments.reserve import ceiling, risk
from payments.reserve.ceiling import Room
from payments.states import DisbursementStatus

# A cycle is as large as the largest of the last ones: months differ.
LAST_CYCLES = 3
FLOAT, SHARE, VAR = "exposure_float", "exposure_share", "exposure_var"
FULL, CEILING = "institution_over_cap", "accumulation_over_ceiling"
ALL = (SHARE, VAR, FULL, CEILING)
SUBJECT, CLOCK = "institution", "exposure"
GONE = "The last look found it within its limit."
WHOLE_BPS = 10_000


@dataclass(frozen=True)
class Float:
    """What a program's wallet holds by the books, and the largest of its last cycles; None where it has had none."""

    program: Program
    float_sat: int
    cycle_sat: int | None

    @property
    def over_sat(self) -> int:
        """What it holds beyond one cycle; nothing is said of a program without one."""
        return 0 if self.cycle_sat is None else max(0, self.float_sat - self.cycle_sat)


@dataclass(frozen=True)
class Risk:
    """What may be lost within a day, in 1/10,000 and minor units, and of how many days; or why nobody can say."""

    bps: int | None = None
    amount_minor: int | None = None
    days: int = 0
    rule: str = ""
    message: str = ""


@dataclass(frozen=True)
class Exposure:
    """An institution's position in its currency (None: nothing was scanned), its shares, and the room that the law leaves.

    ``share_bps`` is what bitcoin is of its reserves, None without a value or other reserves.
    """

    institution: Institution
    position: Position | None
    share_bps: int | None
    var: Risk
    room: Room

    @property
    def breaches(self) -> dict[str, str]:
        """What is beyond a limit, by the code of its alarm, in a sentence that asks for what to do."""
        return dict(_breaches(self))


def floats() -> list[Float]:
    """Return the payment float of each program with a wallet, with three statements."""
    held = {row.code: row.balance for row in books.trial_balance().accounts}
    cycles: dict[int, list[tuple[int, int]]] = defaultdict(list)
    counted = (DisbursementStatus.APPROVED, DisbursementStatus.RELEASED, DisbursementStatus.COMPLETED)
    # Lists of money have satoshis once they are released.
    owed = (
        Disbursement.objects.filter(status__in=counted, total_sat__isnull=False)
        .values("program_id", "cycle_id")
        .annotate(newest=Max("pk"), sat=Sum(F("total_sat") + Coalesce("fee_reserved_sat", 0)))
    )
    for row in owed:
        cycles[row["program_id"]].append((row["newest"], int(row["sat"])))
    programs = Program.objects.filter(wallet__isnull=False).select_related("wallet").order_by("pk")
    return [
        Float(
            program,
            held.get(chart.program_accounts(program.pk).hot_wallet, 0),
            max((sat for _, sat in sorted(cycles[program.pk])[-LAST_CYCLES:]), default=None),
        )
        for program in programs
    ]


def exposures(at: datetime) -> list[Exposure]:
    """Return the exposure of each institution now, by its scope."""
    institutions = list(Institution.objects.order_by("scope"))
    # Lots may be in another currency alone; what an institution holds is measured in its own whatever they are in.
    own = [(row.scope, row.currency) for row in institutions]
    held = positions.at(before=at + positions.AHEAD, known_at=at, also=own)
    known = {(row.scope, row.currency): row for row in held}
    rooms: dict[str, Room] = {}
    found = []
    for row in institutions:
        if row.policy_profile not in rooms:
            rooms[row.policy_profile] = ceiling.room(row.policy_profile, at=at)
        # What nobody has valued or bought yet has no currency.
        position = known.get((row.scope, row.currency)) or known.get((row.scope, ""))
        found.append(
            Exposure(
                row, position, _share(row, position), _risk(row, position, at), rooms[row.policy_profile]
            )
        )
    return found


def watch(now: datetime) -> None:
    """Look at the limits as often as scans are made, where no scan comes too; not at the first call."""
    row, _ = Heartbeat.objects.get_or_create(name=CLOCK, defaults={"beat_at": now})
    if row.beat_at <= now - timedelta(seconds=settings.GOVPAY_RESERVE_S):
        tell(now)
        Heartbeat.beat(CLOCK)


def tell(at: datetime) -> None:
    """Open and close the alarms about limits; each asks for a conversion or for another limit, and does neither."""
    over = [each for each in floats() if each.over_sat]
    for each in over:
        message = (
            f"The wallet of {each.program} holds {each.float_sat} sat, and its largest of {LAST_CYCLES} cycles was"
            f" {each.cycle_sat} sat: convert {each.over_sat} sat, or pay them out. Nothing is converted by itself."
        )
        alarms.sound(
            FLOAT,
            subject="wallet",
            subject_id=each.program.wallet.pk,
            program_id=each.program.pk,
            message=message,
        )
    alarms.clear_others(
        FLOAT, subject="wallet", subject_ids=[each.program.wallet.pk for each in over], note=GONE
    )
    breached: dict[str, list[int]] = {code: [] for code in ALL}
    for exposure in exposures(at):
        for code, message in exposure.breaches.items():
            pk = exposure.institution.pk
            alarms.sound(code, subject=SUBJECT, subject_id=pk, message=message)
            breached[code].append(pk)
    for code, ids in breached.items():
        alarms.clear_others(code, subject=SUBJECT, subject_ids=ids, note=GONE)


def daily_prices(currency: str, *, since: datetime, before: datetime) -> dict[date, Fraction]:
    """Return the last quote of each day (UTC) of a window, each of which one of our processes took; raise QuoteForged."""
    rows = (
        Quote.objects.filter(currency=currency, taken_at__gte=since, taken_at__lt=before)
        .annotate(day=TruncDate("taken_at"))
        .order_by("day", "-taken_at", "-pk")
        .distinct("day")
    )
    found = {}
    for row in rows:
        quotes.verify(row)
        found[row.day] = Fraction(row.price)
    return found


def _share(row: Institution, position: Position | None) -> int | None:
    fair_minor = None if position is None else position.fair_minor
    if fair_minor is None or row.other_reserves_minor is None:
        return None
    whole = fair_minor + row.other_reserves_minor
    return half_even(fair_minor * WHOLE_BPS, whole) if whole else 0


def _risk(row: Institution, position: Position | None, at: datetime) -> Risk:
    since = at - timedelta(days=row.var_window_days)
    try:
        prices = daily_prices(row.currency, since=since, before=at)
        loss = risk.historical(prices, quantile_bps=row.var_quantile_bps)
    except risk.TooFewDays as error:
        text = f"At {row.var_quantile_bps / 100:g} % of {row.var_window_days} days: {error}"
        return Risk(days=error.days, rule="too_few_prices", message=text)
    except quotes.QuoteForged as error:
        return Risk(rule=error.code, message=error.message)
    fair_minor = None if position is None else position.fair_minor
    worth = (
        None
        if fair_minor is None
        else half_even(max(0, fair_minor * loss.share.numerator), loss.share.denominator)
    )
    return Risk(bps=loss.bps, amount_minor=worth, days=loss.days)


def _breaches(found: Exposure) -> Iterator[tuple[str, str]]:
    row, position = found.institution, found.position
    if (
        row.most_share_bps is not None
        and found.share_bps is not None
        and found.share_bps > row.most_share_bps
    ):
        yield (
            SHARE,
            f"Bitcoin is {_percent(found.share_bps)} of the reserves of {row}, above {_percent(row.most_share_bps)}:"
            f" decide on a conversion of what is above. Nothing is converted by itself.",
        )
    if row.most_var_bps is not None and found.var.bps is not None and found.var.bps > row.most_var_bps:
        yield (
            VAR,
            f"Within a day {row} may lose {_percent(found.var.bps)} of its bitcoin, above {_percent(row.most_var_bps)}, by"
            f" {_percent(row.var_quantile_bps)} of {found.var.days} days: decide on a conversion. None happens by itself.",
        )
    if row.most_sat is not None and position is not None and position.verified_sat > row.most_sat:
        yield (
            FULL,
            f"{row} holds {position.verified_sat} sat, above its cap of {row.most_sat} sat: decide on a conversion of"
            f" {position.verified_sat - row.most_sat} sat, or on another cap.",
        )
    ceiling_sat = None if found.room.provision is None else found.room.provision.ceiling_sat
    added_sat = found.room.added.net_voluntary_sat + found.room.trusts_sat
    if ceiling_sat is not None and added_sat > ceiling_sat:
        over_sat = added_sat - ceiling_sat
        law = policy.get_profile(row.policy_profile).title
        yield (
            CEILING,
            f"Under {law} {added_sat} sat were added on net, {over_sat} sat above the ceiling:"
            " decide on a conversion.",
        )


def _percent(bps: int) -> str:
    return f"{bps // 100}.{bps % 100:02d} %"
