"""The demo's last words, for a minister."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show(console: Console, told: dict[str, Any]) -> None:
    """Print who was refused and why, and what happened in figures."""
    refused = Table("row", "column", "rule", "message", title="Rows refused", title_justify="left")
    for error in told["people"]["why"]:
        refused.add_row(str(error["row"]), error["column"], error["code"], error["message"])
    console.print(refused)
    figures = Table("", "", show_header=False, title="What happened", title_justify="left")
    for name, value in rows(told):
        figures.add_row(name, value)
    console.print(figures)
    for difference in told["differences"][:20]:
        console.print(f"[bold red]{difference}[/]", highlight=False)
    if told["is_success"]:
        console.print("[bold green]Everybody was paid exactly once, and people, books and chain agree.[/]")
    else:
        console.print("[bold red]Something differs; var/demo/report.json has it all.[/]")


def rows(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the summary's lines."""
    people, made, run = told["people"], told["list"], told["reconciliation"][0]
    totals = run["totals"]
    return [
        (
            "Enrolled",
            f"{people['enrolled']} of {people['rows']} rows; {people['refused']} refused, see above",
        ),
        ("List", f"{made['payments']} payments, {made['total_sat']:,} sat"),
        ("Made, approved, released by", f"{made['made_by']}, {made['approved_by']}, {made['released_by']}"),
        ("Refused on the way", "; ".join(told["refusals"])),
        ("Killed while sending", f"{told['killed']}, with SIGKILL; another worker finished its work"),
        ("Paid exactly once", f"{told['paid_exactly_once']} of {made['payments']}, read from the blocks"),
        ("Payouts", f"{told['payouts']} txs, settled under six blocks"),
        ("Cost", f"{told['vb_a_payment']} vB and {told['fee_sat_a_payment']} sat a payment"),
        (
            "Books and chain",
            f"{totals.get('wallet_booked_sat', 0):,} sat booked, "
            f"{totals.get('wallet_unspent_sat', 0):,} sat unspent on chain",
        ),
        ("Reconciliation", f"{run['status']}{': ' + run['reason'] if run['reason'] else ''}"),
        ("Node", told["node"]),
        ("Time", f"{told['seconds']['in all']} s in all"),
        ("Evidence", "var/demo/report.json, var/demo/payments.csv, var/demo/node/"),
    ]
