"""What the person at the signer sees: whom a tx pays, what it costs, what comes back, and what was signed before."""

import heapq
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import wallycore
from rich.console import Console
from rich.table import Table

from payments.signer import descriptor
from payments.signer.config import Config
from payments.signer.manifest import SAT, Header, Line
from payments.signer.memory import Judged
from payments.signer.refusal import NotConfirmed
from payments.signer.rules import Examined
from payments.signer.store import Head, Signed

_HRP = {"regtest": "bcrt", "signet": "tb", "testnet3": "tb", "testnet4": "tb"}
_PLAIN_WIDTH = 160
LARGEST = 5


class Summary:
    """What an approver is shown of a list, gathered line by line in little memory."""

    def __init__(self) -> None:
        self.largest: list[tuple[int, int, bytes]] = []
        self.kinds: Counter[str] = Counter()
        self.reissues = 0

    def add(self, line: Line) -> None:
        """Count a line in."""
        self.kinds[_kind(line.script_pubkey)] += 1
        self.reissues += line.reissue_of is not None
        entry = (line.amount, line.payment_id, line.script_pubkey)
        if len(self.largest) < LARGEST:
            heapq.heappush(self.largest, entry)
        else:
            heapq.heappushpop(self.largest, entry)


def make() -> Console:
    """Return a console that takes every text as it is, on a terminal or in a file."""
    width = None if sys.stdout.isatty() else _PLAIN_WIDTH
    return Console(markup=False, highlight=False, emoji=False, width=width)


def show_bundle(console: Console, examined: Examined, judged: Judged, config: Config) -> None:
    """Show everything that a signature would agree to."""
    given = examined.bundle
    _show_facts(console, f"{given.kind} of payout {given.payout_id}", _about(examined, config))
    if examined.payments:
        table = _table(("Output", "Payment", "Pays", "sat"), right=(0, 1, 3))
        for paid in examined.payments:
            line = paid.line
            table.add_row(
                str(paid.vout),
                str(line.payment_id),
                address(line.script_pubkey, given.network),
                sat(paid.amount_sat),
            )
        console.print(table)
    table = _table(("Output", "Our change", "sat"), right=(0, 2))
    for change in examined.change:
        script = config.descriptor.script_pubkey(descriptor.CHANGE, change.index)
        table.add_row(
            str(change.vout),
            f"{address(script, given.network)} (change {change.index})",
            sat(change.amount_sat),
        )
    console.print(table if examined.change else "No output comes back to us.")
    if judged.earlier:
        show_history(console, judged.earlier, "Signed before, with the same payout, payments or inputs")
    for note in (*examined.notes, *judged.notes):
        console.print(f"Note: {note}")
    _show_totals(console, examined, judged, config)


def _about(examined: Examined, config: Config) -> list[tuple[str, str]]:
    given, agreed = examined.bundle, examined.manifest
    facts = [("Network", given.network), ("Wallet", given.wallet), ("Txid", given.txid)]
    if agreed is not None:
        header = agreed.header
        facts += [
            (
                "Program and list",
                f"{header.program}, list {header.disbursement_id}, {header.period} {header.purpose}",
            ),
            ("Manifest", agreed.sha256.hex()),
            ("List in all", f"{header.payment_count:,} payments, {money(header.total, header.currency)}"),
            *_quoted(examined),
            ("Signed by", f"{', '.join(examined.approvers)} ({config.approvals_needed} needed)"),
        ]
    return [*facts, ("Deadline", given.deadline_at.strftime("%Y-%m-%d %H:%M UTC"))]


def _quoted(examined: Examined) -> list[tuple[str, str]]:
    """Say at what price approved money was converted, and what sources said; nothing of satoshis."""
    quote = examined.bundle.quote
    if quote is None:
        return []
    taken, expires = (at.strftime("%Y-%m-%d %H:%M UTC") for at in (quote.taken_at, quote.expires_at))
    said = ", ".join(f"{source.name} {source.value or 'nothing'}" for source in quote.sources)
    return [
        ("Price", f"{quote.price} {quote.currency} a bitcoin, quote {quote.id} of {taken} until {expires}"),
        ("Sources", said),
    ]


def _show_totals(console: Console, examined: Examined, judged: Judged, config: Config) -> None:
    caps, fee_sat = config.caps, examined.fee_sat
    feerate = _thousandths(fee_sat, examined.vsize_vb)
    share = ""
    if examined.payments_sat:
        share = f", {_thousandths(100 * fee_sat, examined.payments_sat)} % of what is paid"
    spends = f"{sat(sum(examined.inputs.values()))} sat from {len(examined.inputs)} inputs"
    day = f"{sat(judged.day_spent_sat + judged.record.spent_sat)} of {sat(caps.day_sat)} sat"
    facts = [
        ("Spends", spends),
        ("Pays", f"{sat(examined.payments_sat)} sat in {len(examined.payments)} payments"),
        ("Change", f"{sat(examined.change_sat)} sat"),
        ("Fee", f"{sat(fee_sat)} sat, {feerate} sat/vB{share}"),
        ("Today with this", day),
    ]
    _show_facts(console, "Totals", facts)


def show_manifest(console: Console, header: Header, sha256: bytes, summary: Summary) -> None:
    """Show an approver what a signature would agree to."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(summary.kinds.items()))
    facts = [
        ("Network", header.network),
        ("Program", header.program),
        ("List", f"{header.disbursement_id}, {header.period} {header.purpose}"),
        ("Payments", f"{header.payment_count:,} ({kinds})"),
        ("Total", money(header.total, header.currency)),
        ("Network fees", f"at most {sat(header.fee_ceiling_sat)} sat"),
        ("Reissued", f"{summary.reissues:,} of them stand in for voided payments"),
        ("Manifest", sha256.hex()),
    ]
    _show_facts(console, "Manifest", facts)
    table = _table(("Largest", "Pays", header.currency), right=(0, 2))
    for amount, payment_id, script in sorted(summary.largest, reverse=True):
        table.add_row(str(payment_id), address(script, header.network), sat(amount))
    console.print(table)


def show_history(console: Console, signed: Iterable[Signed], title: str) -> None:
    """List txs that were signed."""
    table = _table(
        ("Signed", "Payout", "Kind", "Txid", "Payments", "sat", "Fee"), right=(1, 4, 5, 6), title=title
    )
    for one in signed:
        paid_sat = sum(amount_sat for _, _, amount_sat in one.payments)
        figures = (str(len(one.payments)), sat(paid_sat), sat(one.fee_sat))
        kind = f"{one.kind} ({', '.join(one.accepted)})" if one.accepted else one.kind
        table.add_row(one.signed_at, str(one.payout_id), kind, one.txid, *figures)
    console.print(table)


def show_head(console: Console, head: Head) -> None:
    """Show what to note down, so that a shortened store is noticed."""
    _show_facts(console, "Store", [("Txs", f"{head.count:,}"), ("Head", head.hash)])


def show_key(console: Console, about: dict[str, Any], origin: str) -> None:
    """Show what is public of a signer's key."""
    facts = [("Network", about["network"]), ("Fingerprint", about["fingerprint"]), ("Path", about["path"])]
    _show_facts(console, "Key", facts)
    # On a line of its own, to be copied whole.
    console.print(origin, soft_wrap=True)


def confirm(console: Console, word: str) -> None:
    """Ask for a word; raise NotConfirmed at anything else."""
    console.print(f"Type {word!r} to agree, anything else to stop: ", end="")
    if sys.stdin.readline().strip() != word:
        raise NotConfirmed("not_confirmed", "Nobody agreed; nothing was signed.")


def sat(amount_sat: int) -> str:
    """Return satoshis with thousands marked."""
    return f"{amount_sat:,}"


def money(amount: int, currency: str) -> str:
    """Return an amount of a manifest with its unit: satoshis, or minor units of a currency."""
    return f"{sat(amount)} {currency if currency == SAT else f'minor units of {currency}'}"


def address(script_pubkey: bytes, network: str) -> str:
    """Return the address of a script, or the script where it has none."""
    try:
        if _kind(script_pubkey) in ("P2PKH", "P2SH"):
            return str(
                wallycore.scriptpubkey_to_address(script_pubkey, wallycore.WALLY_NETWORK_BITCOIN_TESTNET)
            )
        return str(wallycore.addr_segwit_from_bytes(script_pubkey, _HRP[network], 0))
    except ValueError:
        return f"script {script_pubkey.hex()}"


def _thousandths(amount: int, of: int) -> str:
    """Return a quotient with three decimals, cut off, by whole numbers alone."""
    whole, part = divmod(amount * 1_000 // of, 1_000)
    return f"{whole}.{part:03}"


def _kind(script: bytes) -> str:
    shapes = (
        ("P2WPKH", 22, b"\x00\x14"),
        ("P2WSH", 34, b"\x00\x20"),
        ("P2TR", 34, b"\x51\x20"),
        ("P2PKH", 25, b"\x76\xa9\x14"),
        ("P2SH", 23, b"\xa9\x14"),
    )
    for name, length, start in shapes:
        if len(script) == length and script.startswith(start):
            return name
    return "of another kind"


def _table(columns: tuple[str, ...], *, right: tuple[int, ...], title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    return table


def _show_facts(console: Console, title: str, facts: list[tuple[str, str]]) -> None:
    table = _table(("", ""), right=(), title=title)
    table.show_header = False
    for name, value in facts:
        table.add_row(name, value)
    console.print(table)
