"""How anybody can check one figure: where it stands in the signed file, and what proves it outside of that."""

import json
import re
from typing import Any, NamedTuple

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ledger.models.reserve import Badge
from ledger.seals import checkpoints
from payments.models import Publication
from payments.onchain import network
from payments.public.page import public

# A JSON pointer (RFC 6901) of names as the file has them; none of them holds a tilde.
POINTER = re.compile(r"(?:/[a-z_0-9]{1,30}){1,6}")
ON_CHAIN = _(
    "It adds up payments whose transactions are in blocks. Each is a line of the sealed books: whoever was paid can have a"
    " receipt that proves theirs, and an auditor's pack of the program has them all, which verify.py adds up without asking"
    " us."
)
PROMISED = _(
    "It adds up what is approved and not settled. Nothing outside of the books can prove it yet: it becomes what is paid,"
    " and an auditor's pack of the program has every list."
)
BY_WORD = _(
    "It is the word of a bank or of the agents, as they gave it. An auditor's pack of the program has what they answered,"
    " and verify.py compares it with the bank's own documents."
)
COMPARED = _(
    "It is what the newest comparison of claims, books and blocks said. An auditor makes the same comparison from a pack and"
    " any node of the network."
)
OF_A_NODE = _(
    "Ask any node of the network for the unspent outputs of the address; at this block they add up to the figure."
)
DECLARED = _("The institution declared it. No block of this network proves it.")
SEALED = _(
    "It stands in the seal of the books, which our key signs. Where a seal is on the chain, nobody can change what was"
    " sealed before that block any more: the output of the transaction holds the hash of the seal."
)


# By how its name ends; names of other figures say themselves what they count.
UNITS = {"sat": "sat", "bps": "/ 10,000", "s": "s"}


class Proof(NamedTuple):
    """What proves a figure, in words, and the commands by which anybody looks for themselves."""

    words: str | Promise
    commands: tuple[str, ...] = ()


@public
def show(request: HttpRequest, found: Publication | None) -> HttpResponse:
    """Show one figure of the newest file by its JSON pointer; raise Http404 when the file has none there."""
    pointer = request.GET.get("figure", "")
    if found is None or not POINTER.fullmatch(pointer):
        raise Http404("There is no such figure.")
    figures = json.loads(found.document)
    path = pointer.split("/")[1:]
    context = {
        "figures": figures,
        "pointer": pointer,
        # Another language shows the same figure; no other page keeps what its address asks for.
        "kept_query": f"figure={pointer}&",
        "value": _figure(figures, path),
        "unit": UNITS.get(path[-1].rpartition("_")[2], ""),
        "program": _at(figures, path[:2]) if path[0] == "programs" else None,
        "found": found,
        "sha256": bytes(found.sha256).hex(),
        "keys": checkpoints.own_keys(),
        "commands": (
            f"curl -O {request.build_absolute_uri(reverse('transparency-figures'))}",
            "sha256sum figures.json",
            f"jq '{_jq(path)}' figures.json",
        ),
        "proof": _proof(figures, path),
    }
    return render(request, "payments/public/check.html", context)


def _at(figures: dict[str, Any], path: list[str]) -> Any:
    here: Any = figures
    for name in path:
        if isinstance(here, list) and name.isdecimal() and int(name) < len(here):
            here = here[int(name)]
        elif isinstance(here, dict) and name in here:
            here = here[name]
        else:
            raise Http404("There is no such figure.")
    return here


def _figure(figures: dict[str, Any], path: list[str]) -> Any:
    value = _at(figures, path)
    if value is None or isinstance(value, dict | list):
        raise Http404("There is no such figure.")
    return value


def _jq(path: list[str]) -> str:
    return "".join(f"[{name}]" if name.isdecimal() else f".{name}" for name in path)


def _proof(figures: dict[str, Any], path: list[str]) -> Proof:
    """Return what proves the figure at a path that the file has."""
    section, kind = path[0], path[2] if len(path) > 2 else ""
    if section == "reserve":
        return _of_reserve(figures["reserve"], path)
    if section == "books":
        return _of_books(figures["books"])
    words = {"pending": PROMISED, "reconciliation": COMPARED, "rails": BY_WORD}
    return Proof(words.get(kind, ON_CHAIN))


def _of_reserve(reserve: dict[str, Any], path: list[str]) -> Proof:
    where = f"{_cli()} getblockhash {reserve['block_height']}"
    if path[1] != "addresses":
        return Proof(OF_A_NODE, (where,))
    row = _at(reserve, path[1:3])
    if row["badge"] != Badge.VERIFIED:
        return Proof(DECLARED)
    asked = json.dumps([f"addr({row['address']})"])
    return Proof(OF_A_NODE, (f"{_cli()} scantxoutset start '{asked}'", where))


def _of_books(books: dict[str, Any] | None) -> Proof:
    anchor = books and books["anchor"]
    return Proof(SEALED, (f"{_cli()} getrawtransaction {anchor['txid']} 1",) if anchor else ())


def _cli() -> str:
    return f"bitcoin-cli -chain={network.current().chain}"
