"""Draws what a payout's txs spend and pay as a picture of boxes and lines: coins, versions, people, and change.

Many inputs, versions or payments fold into one box that counts them. The tables of the page say the same in words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from govpay.said import said
from payments.admin import cells
from payments.models import Payment, Payout, PayoutTx, PayoutTxKind, Reservation
from payments.payout import feerate

# How many stand for themselves; of versions the first and the newest.
COINS, VERSIONS, PAYMENTS = 4, 4, 3
WIDTH, BOX_WIDTH, BOX_HEIGHT, VERSION_HEIGHT, GAP = 760, 200, 46, 64, 14
LEFT, MIDDLE, RIGHT = 0, 280, 560


@dataclass
class Box:
    """A box with its lines of text; ``tone`` is its color."""

    lines: list[str]
    tone: str
    x: int
    height: int = BOX_HEIGHT
    y: int = 0
    is_faded: bool = False

    @property
    def width(self) -> int:
        """All are equally wide."""
        return BOX_WIDTH

    @property
    def text_x(self) -> int:
        """Where its text begins."""
        return self.x + 12

    @property
    def text_y(self) -> int:
        """The line of its first text."""
        return self.y + 19

    @property
    def center(self) -> int:
        """Half its height."""
        return self.y + self.height // 2


@dataclass(frozen=True)
class Line:
    """A line from one box to another: across where value flows, down where a version replaces another."""

    path: str
    is_faded: bool = False
    is_replacement: bool = False


@dataclass
class Graph:
    """The picture with its description for those who do not see it."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    height: int = 0
    words: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        """How wide the picture is."""
        return WIDTH

    @property
    def description(self) -> str:
        """The picture in sentences."""
        return " ".join(said(each) for each in self.words)


def draw(
    payout: Payout, coins: Sequence[Reservation], versions: Sequence[PayoutTx], payments: Sequence[Payment]
) -> Graph | None:
    """Draw a payout of these coins, all its versions from the oldest on, and its first payments; None before it has a tx.

    ``coins`` may be all or the first; each version has its change read with it.
    """
    if not versions:
        return None
    graph = Graph()
    speaks = payout.mined_txid or versions[-1].txid
    ins = _coins(graph, coins)
    middle = _versions(graph, payout, versions, speaks)
    outs = _outputs(graph, payout, payments)
    shown = [version for version, _ in middle if version is not None]
    changes = [
        (version, _change_box(graph, version, versions.index(version) + 1, len(versions)))
        for version in shown
        if version.change_sat
    ]
    columns = ([box for box, _ in ins], [box for _, box in middle], [*outs, *(box for _, box in changes)])
    graph.height = max(_tall(column) for column in columns)
    for column in columns:
        _stand(column, graph.height)
        graph.boxes += column
    change_of = {version.pk: box for version, box in changes}
    for version, box in middle:
        _connect(graph, version, box, ins, outs, change_of.get(version.pk) if version else None)
    for (_, above), (_, below) in pairwise(middle):
        x = above.x + above.width // 2
        graph.lines.append(Line(f"M{x} {above.y + above.height} L{x} {below.y - 5}", is_replacement=True))
    return graph


def _coins(graph: Graph, coins: Sequence[Reservation]) -> list[tuple[Box, list[Reservation]]]:
    head, rest = _folded(coins, COINS)
    found = [
        (
            Box(
                [
                    f"{coin.amount_sat:,} sat",
                    said("anchor {0}" if coin.position == 0 else "coin {0}", _outpoint(coin)),
                ],
                "info",
                LEFT,
            ),
            [coin],
        )
        for coin in head
    ]
    if rest:
        total = sum(coin.amount_sat for coin in rest)
        found.append(
            (Box([said("and {0} more coins", f"{len(rest):,}"), f"{total:,} sat"], "plain", LEFT), list(rest))
        )
    total = sum(coin.amount_sat for coin in coins)
    graph.words.append(
        said(
            "{0} coin of {1} sat goes in." if len(coins) == 1 else "{0} coins of {1} sat go in.",
            f"{len(coins):,}",
            f"{total:,}",
        )
    )
    return found


def _versions(
    graph: Graph, payout: Payout, versions: Sequence[PayoutTx], speaks: str
) -> list[tuple[PayoutTx | None, Box]]:
    numbered = list(enumerate(versions, start=1))
    folded = len(versions) - VERSIONS
    shown = numbered if folded <= 0 else [numbered[0], *numbered[-(VERSIONS - 1) :]]
    found: list[tuple[PayoutTx | None, Box]] = []
    for number, version in shown:
        is_mined = version.txid == payout.mined_txid
        state = said("in a block" if is_mined else "newest" if version.txid == speaks else "replaced")
        kind = version.get_kind_display()
        box = Box(
            [
                f"{number}. {kind}, {said(state)}",
                said("{0} sat, {1}", f"{version.fee_sat:,}", _rate(version)),
                f"{version.txid[:8]}…{version.txid[-6:]}",
            ],
            "good" if is_mined else "busy" if version.txid == speaks else "plain",
            MIDDLE,
            VERSION_HEIGHT,
            is_faded=version.txid != speaks,
        )
        graph.words.append(
            said(
                "Version {0} ({1}) is {2} and pays a fee of {3} sat, {4}.",
                number,
                kind.lower(),
                state,
                f"{version.fee_sat:,}",
                _rate(version),
            )
        )
        found.append((version, box))
        if number == 1 and folded > 0:
            more = said("and {0} version more" if folded == 1 else "and {0} versions more", folded)
            found.append((None, Box([more], "plain", MIDDLE, is_faded=True)))
    return found


def _outputs(graph: Graph, payout: Payout, payments: Sequence[Payment]) -> list[Box]:
    if not payout.payment_count:
        return []
    head = payments[:PAYMENTS] if payout.payment_count > PAYMENTS + 1 else payments
    found = [
        Box([f"{payment.amount_sat:,} sat", _short(cells.address_text(payment.script_pubkey))], "good", RIGHT)
        for payment in head
    ]
    rest = payout.payment_count - len(head)
    if rest:
        rest_sat = payout.payments_sat - sum(payment.amount_sat for payment in head)
        found.append(Box([said("and {0} more payments", f"{rest:,}"), f"{rest_sat:,} sat"], "good", RIGHT))
    graph.words.append(
        said(
            "{0} payment of {1} sat comes out."
            if payout.payment_count == 1
            else "{0} payments of {1} sat come out.",
            f"{payout.payment_count:,}",
            f"{payout.payments_sat:,}",
        )
    )
    return found


def _change_box(graph: Graph, version: PayoutTx, number: int, count: int) -> Box:
    graph.words.append(
        said("From version {0} {1} sat come back to the wallet.", number, f"{version.change_sat:,}")
    )
    back = said("back to the wallet") if count == 1 else said("back, by version {0}", number)
    return Box([f"{version.change_sat:,} sat", back], "info", RIGHT)


def _connect(
    graph: Graph,
    version: PayoutTx | None,
    box: Box,
    ins: list[tuple[Box, list[Reservation]]],
    outs: list[Box],
    change: Box | None,
) -> None:
    """Draw what flows into a version and out of it; a version among those that are folded has none."""
    if version is None:
        return
    is_void = version.kind == PayoutTxKind.VOID
    for coin_box, coins in ins:
        # A void takes the anchor back; a coin that a bump added is not in the versions before that.
        goes_in = (
            any(coin.position == 0 for coin in coins) if is_void else any(coin.is_original for coin in coins)
        )
        if goes_in or (not is_void and not box.is_faded):
            graph.lines.append(Line(_across(coin_box, box), box.is_faded))
    targets = [*([] if is_void else outs), *([change] if change is not None else [])]
    for target in targets:
        graph.lines.append(Line(_across(box, target), box.is_faded))
    if change is not None:
        change.is_faded = box.is_faded


def _across(left: Box, right: Box) -> str:
    start, end = left.x + left.width, right.x
    half = (start + end) // 2
    return f"M{start} {left.center} C{half} {left.center} {half} {right.center} {end} {right.center}"


def _tall(column: list[Box]) -> int:
    return sum(box.height for box in column) + GAP * max(len(column) - 1, 0)


def _stand(column: list[Box], height: int) -> None:
    """Let the boxes of a column stand one under the other, in the middle of the picture's height."""
    y = (height - _tall(column)) // 2
    for box in column:
        box.y = y
        y += box.height + GAP


def _folded(rows: Sequence[Reservation], most: int) -> tuple[Sequence[Reservation], Sequence[Reservation]]:
    """Keep one more where that is all there is: a box for one row may as well be the row."""
    return (rows, []) if len(rows) <= most + 1 else (rows[:most], rows[most:])


def _outpoint(coin: Reservation) -> str:
    return f"{coin.txid[:6]}…{coin.txid[-4:]}:{coin.vout}"


def _short(text: str) -> str:
    return f"{text[:12]}…{text[-8:]}" if len(text) > 24 else text


def _rate(version: PayoutTx) -> str:
    return feerate.text(version.feerate_sat_kvb)
