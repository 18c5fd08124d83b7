"""The figures that whoever proposes an intervention sees, laid out for the page and for a second person."""

from typing import Any

from payments.admin import cells
from payments.admin.tables import Table


def facts(shown: dict[str, Any]) -> list[tuple[str, Any]]:
    """Write the figures that a proposer saw, for those who decide."""
    found: list[tuple[str, Any]] = []
    if "new_fee_sat" in shown:
        added = shown.get("added_inputs", [])
        found = [
            ("Fee", _change(cells.sat, shown, "fee_sat")),
            ("Added fee", cells.sat(shown.get("fee_added_sat"))),
            ("Size (vB)", _change(cells.number, shown, "vsize_vb")),
            ("Fee rate", _change(cells.feerate, shown, "feerate_sat_kvb")),
            ("Change", _change(cells.sat, shown, "change_sat")),
            (
                "Added coins",
                cells.join(*(cells.outpoint(c["txid"], c["vout"]) for c in added)) or "none",
            ),
        ]
    if "status_after" in shown:
        found = [("Why it is frozen", shown["problem"]), ("Goes on as", cells.label(shown["status_after"]))]
    if "halt_code" in shown:
        found = [("Halted for", shown["halt_code"]), ("Reason", shown["halt_reason"])]
    return found


def comparison(shown: dict[str, Any]) -> Table:
    """Lay the figures out for whoever decides: before and after, where there is a fee."""
    title = "What was looked at"
    if "new_fee_sat" not in shown:
        return Table(title, ("Fact", "Value"), list(facts(shown)), "There are no figures.")
    added = shown.get("added_inputs", [])
    rows: list[tuple[Any, ...]] = [
        (name, _or_empty(write, shown.get(f"old_{key}")), _or_empty(write, shown.get(f"new_{key}")))
        for name, write, key in (
            ("Fee", cells.sat, "fee_sat"),
            ("Size (vB)", cells.number, "vsize_vb"),
            ("Fee rate", cells.feerate, "feerate_sat_kvb"),
            ("Change", cells.sat, "change_sat"),
        )
    ]
    rows.append(("Added fee", cells.EMPTY, cells.sat(shown.get("fee_added_sat"))))
    rows.append(("Added coins", cells.EMPTY, cells.number(len(added)) if added else "none"))
    return Table(title, ("Figure", "Before", "After"), rows)


def _or_empty(write: Any, value: int | None) -> str:
    return cells.EMPTY if value is None else write(value)


def _change(write: Any, shown: dict[str, Any], name: str) -> str:
    old, new = shown.get(f"old_{name}"), shown.get(f"new_{name}")
    return cells.join(*(write(value) for value in (old,) if value is not None), "→", write(new))
