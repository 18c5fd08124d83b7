"""Funds a group from the wallet's free coins: as much of it as they carry, with its change split for the next groups."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from payments.models import Disbursement, Payment, Wallet
from payments.payout import agreed, coins, plan, selection
from payments.payout.selection import FreeCoin, InsufficientCoins, Terms
from payments.states import PaymentStatus

CURE = "The coins must be merged by a consolidation, or a larger deposit made."


class CoinsTooSmall(InsufficientCoins):
    """The money is there, in more coins than one payout spends."""

    code = "coins_too_small"


def fund(disbursement: Disbursement, wallet: Wallet, lines: Sequence[plan.Line], terms: Terms) -> plan.Plan:
    """Plan as much of the group as the free coins carry, and split its change while the wallet has few coins.

    Coins that come with the next blocks are waited for when they carry more at once. Hold the wallet's row. Raises
    InsufficientCoins, and CoinsTooSmall when only a consolidation or a larger deposit can help.
    """
    need_sat = sum(line.amount_sat for line in lines)
    offered = coins.free(wallet, need_sat, feerate_sat_kvb=terms.feerate_sat_kvb)
    planned = plan.fund_part(lines, offered, terms)
    if planned is None or len(planned.lines) < len(lines):
        planned = _settle_for_less(wallet, lines, offered, planned, terms)
    if not planned.change:
        return planned
    next_sat = functools.partial(_next_sat, disbursement, planned.lines[-1].payment_id)
    return plan.split(planned, terms, _wish(wallet, planned, offered, next_sat))


def _settle_for_less(
    wallet: Wallet,
    lines: Sequence[plan.Line],
    offered: list[FreeCoin],
    part: plan.Plan | None,
    terms: Terms,
) -> plan.Plan:
    """Return the part of the group that the coins carry, unless waiting for change on its way carries more."""
    later = plan.fund_part(lines, [*offered, *coins.coming(wallet)], terms)
    if part is None and later is None and is_scattered(wallet, lines[:1], terms):
        raise CoinsTooSmall(
            f"A payment of {lines[0].amount_sat} sat takes more than {selection.MAX_INPUTS} coins, the most that one"
            f" payout spends. {CURE}",
            needed_sat=lines[0].amount_sat,
        )
    if part is None or (later is not None and len(later.lines) > len(part.lines)):
        need_sat, free_sat = (sum(each.amount_sat for each in some) for some in (lines, offered))
        raise InsufficientCoins.of(need_sat, free_sat)
    return part


def is_scattered(wallet: Wallet, lines: Sequence[plan.Line], terms: Terms) -> bool:
    """Tell whether the lines cannot be paid at once only because the free money lies in too many coins."""
    need_sat = sum(line.amount_sat for line in lines)
    offered = coins.free(wallet, need_sat, feerate_sat_kvb=terms.feerate_sat_kvb)
    planned = plan.fund_part(lines, offered, terms)
    if planned is not None and len(planned.lines) == len(lines):
        return False
    free_sat = coins.free_sat(wallet, feerate_sat_kvb=terms.feerate_sat_kvb)
    return free_sat > sum(coin.amount_sat for coin in offered) and free_sat >= lines[0].amount_sat


def _wish(
    wallet: Wallet, planned: plan.Plan, offered: list[FreeCoin], next_sat: Callable[[], int]
) -> plan.ChangeWish:
    """Return into how many outputs change is split, so that the wallet keeps as many useful coins as it wants.

    Useful is what carries a group like this one, or the next if that is smaller.
    """
    wanted = wallet.program.coins_wanted
    each_sat = planned.payments_sat + planned.fee_sat
    left = [coin for coin in offered if coin not in planned.coins]
    if wanted - _count(left, each_sat) <= 1:
        return plan.ONE_OUTPUT
    each_sat = min(each_sat, (next_sat() or planned.payments_sat) + planned.fee_sat)
    missing = wanted - _count([*left, *coins.coming(wallet)], each_sat)
    return plan.ChangeWish(min(missing, coins.change_in_store(wallet, plan.MAX_CHANGE)), each_sat)


def _count(found: Sequence[FreeCoin], least_sat: int) -> int:
    return sum(coin.amount_sat >= least_sat for coin in found)


def _next_sat(disbursement: Disbursement, after_id: int) -> int:
    """Return what the group after this payment will pay, 0 when it was the last."""
    waiting = Payment.objects.filter(
        disbursement=disbursement,
        pk__gt=after_id,
        payout__isnull=True,
        sent_at__isnull=True,
        status=PaymentStatus.PENDING,
    )
    rows: Any = waiting.order_by("pk").values_list("amount", flat=True)
    return sum(agreed.satoshis(disbursement, rows[: disbursement.program.group_max_payments]))
