"""Projects what a payment of so many people takes of the chain and costs, before there is a list."""

from argparse import ArgumentParser
from fractions import Fraction
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from govpay.errors import InvalidInput
from payments.models import Program
from payments.payout.projection import SCRIPTS
from payments.selectors import projections
from payments.selectors.projections import Projected, in_decimals

VALUE = ("amount_sat", "amount_minor", "currency", "price_minor")


class Command(BaseCommand):
    """``manage.py project_cost --p2wpkh 10200000 [--program CODE]``: exits 1 when it is refused."""

    help = (
        "Project blocks, hours, size and fees at 1, 5, 20 and 50 sat/vB for so many people, one output each. With a program"
        " its wallet and rules count, the baselines entered for it stand beside, and without numbers its people are counted."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--program", help="its code")
        for kind in SCRIPTS:
            parser.add_argument(
                f"--{kind}", type=int, default=0, metavar="PEOPLE", help=f"paid to {kind.upper()}"
            )
        parser.add_argument(
            "--group", type=int, dest="group_max_payments", help="payments a payout, 1 to 3000"
        )
        parser.add_argument(
            "--block-share", type=int, default=100, metavar="PERCENT", help="of each block that is for them"
        )
        parser.add_argument("--amount-sat", type=int, help="what each person gets, in satoshis")
        parser.add_argument("--amount-minor", type=int, help="the same in minor units of the currency")
        parser.add_argument("--currency", default="", help="such as PKR")
        parser.add_argument(
            "--price-minor", type=int, help="what a bitcoin costs, in its minor units; none is assumed"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        program = None
        if options["program"] is not None:
            program = Program.objects.filter(code=options["program"]).first()
            if program is None:
                raise CommandError(f"There is no program {options['program']}.")
        try:
            found = projections.project(
                program=program,
                outputs={kind: options[kind] for kind in SCRIPTS},
                group_max_payments=options["group_max_payments"],
                block_share_percent=options["block_share"],
                **{name: options[name] for name in VALUE},
            )
        except InvalidInput as error:
            (one,) = error.details["errors"]
            raise CommandError(f"{one['column']}: {one['code']}: {one['message']}") from error
        self.stdout.write("\n".join(_lines(found)))


def _lines(found: Projected) -> list[str]:
    whole = found.projection
    share = "all" if whole.block_share_percent == 100 else f"{whole.block_share_percent} %"
    lines = [
        f"{_counted(whole.people, 'person', 'people')} in {_counted(whole.payouts, 'payout')}: {whole.vsize_vb:,} vB",
        f"{_counted(whole.blocks, 'block')} with {share} of each, {in_decimals(whole.hours, 1):,} hours"
        f" ({in_decimals(whole.hours / 24, 1)} days)",
    ]
    for cost in whole.costs:
        line = f"{cost.feerate_sat_vb:>3} sat/vB: {cost.fee_sat:,} sat, {_shown(cost.per_payment_sat, 'sat')} a payment"
        if cost.per_payment_minor is not None:
            line += f" ({_shown(cost.per_payment_minor, whole.value.currency + ' minor units')})"
        if cost.share is not None:
            line += f", {in_decimals(cost.share * 100, 3)} % of the value"
        lines.append(line)
    for each in found.comparisons:
        row = each.baseline
        lines.append(f"{row.name} ({row.source}, {row.measured_date}): {_compared(found, each)}")
    return lines


def _compared(found: Projected, each: projections.Comparison) -> str:
    if each.per_payment_sat is None:
        return each.why_not
    times = [
        f"{in_decimals(times, 2)} times ours at {cost.feerate_sat_vb} sat/vB"
        for cost in found.projection.costs
        if (times := each.times(cost)) is not None
    ]
    return f"{_shown(each.per_payment_sat, 'sat')} a payment, {', '.join(times)}"


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _shown(value: Fraction, unit: str) -> str:
    return f"{in_decimals(value, 3):,} {unit}"
