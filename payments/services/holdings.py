"""The kind of proposals about holdings of bitcoin: which addresses are whose; two security administrators for each."""

import hashlib
from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from govpay.errors import Conflict, InvalidInput
from ledger import audit
from payments.models import Holding, HoldingAddress, HoldingKind, Proposal, ReserveStatus, Role
from payments.models.reserve import USUAL_CAP_SAT
from payments.onchain import network
from payments.reserve import addresses as reading
from payments.services import authority, rules
from payments.services.change import Kind

# Whoever proposes or confirms a holding waits for whoever does so now: no address is in two.
LOCK = 0x676F7672 + 1
# As many as a statement that is signed has lines.
MOST_LIVE = 5_000
OF_HOLDING = ("scope", "name", "kind", "network", "descriptor", "first_index", "last_index", "cap_sat")
# What is asked once: other addresses are another holding.
FIXED = ("scope", "kind", "network", "descriptor", "first_index", "last_index")
OF_ADDRESSES = ("address_count", "first_address", "last_address", "addresses_sha256")
BATCH = 1_000


class AddressHeldAlready(Conflict):
    """An address is in another holding: it would be counted twice."""

    code = "address_held_already"


def gather(
    *,
    by: User,
    kind: str | None = None,
    descriptor: str = "",
    first_index: int | None = None,
    last_index: int | None = None,
    addresses: Sequence[str] | None = None,
) -> list[str] | None:
    """Return the addresses to propose: those given, or those that the node makes of a descriptor.

    It asks the node, so call it outside every database transaction, before `proposals.propose_holding`. Raises RoleMissing,
    InvalidInput for addresses beside a descriptor, and as `expand` of payments/reserve/addresses.py.
    """
    authority.require_anywhere(by, (Role.SECURITY,))
    if kind != HoldingKind.DESCRIPTOR:
        return None if addresses is None else list(addresses)
    if addresses is not None:
        raise InvalidInput.of("addresses", "out_of_place", "The node makes the addresses of a descriptor.")
    return reading.expand(descriptor, first_index, last_index)


def _current(proposal: Proposal) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    names = (*OF_HOLDING, *OF_ADDRESSES, "is_ended")
    holding_id = proposal.asked["holding_id"]
    if holding_id is None:
        return {"holding_id": None} | dict.fromkeys(names)
    found = Holding.objects.select_for_update(no_key=True).filter(pk=holding_id).first()
    if found is None:
        raise InvalidInput.of("holding_id", "unknown_holding", "There is no such holding.")
    texts = [_text(row) for row in found.addresses.order_by("pk")]
    columns = {name: getattr(found, name) for name in OF_HOLDING}
    return {"holding_id": holding_id} | columns | _summary(texts) | {"is_ended": found.ended_at is not None}


def _change(proposal: Proposal, before: dict[str, Any]) -> dict[str, Any]:
    asked, is_new = proposal.asked, before["holding_id"] is None
    if before["is_ended"]:
        raise InvalidInput.of("holding_id", "holding_ended", "The holding was ended; propose another.")
    given = {name: asked[name] for name in (*OF_HOLDING, "is_ended") if name in asked}
    if is_new:
        return _new(proposal, before | {"descriptor": "", "cap_sat": USUAL_CAP_SAT} | given)
    after = before | given
    for name in FIXED:
        if after[name] != before[name]:
            raise InvalidInput.of(
                name, "holding_fixed", "Addresses of a holding stay; end it, and propose another."
            )
    if "addresses" in asked:
        raise InvalidInput.of(
            "addresses", "holding_fixed", "Addresses of a holding stay; end it, and propose another."
        )
    if after == before:
        raise InvalidInput.of("", "nothing_changes", "The holding is set like this already.")
    _check(Holding.objects.get(pk=after["holding_id"]), after, proposal)
    return after


def _new(proposal: Proposal, after: dict[str, Any]) -> dict[str, Any]:
    ours = network.current()
    for name in ("scope", "name", "kind"):
        if after[name] is None:
            raise InvalidInput.of(name, "missing", "This is needed of a new one.")
    if after["kind"] == HoldingKind.DECLARED:
        if after["network"] in (None, "", ours.value):
            raise InvalidInput.of("network", "network_needed", "Say on which other network they are.")
    elif after["network"] in (None, ours.value):
        after["network"] = ours.value
    else:
        raise InvalidInput.of("network", "network_is_ours", f"What is scanned is on {ours.value}.")
    known = _known(after["kind"], proposal.asked.get("addresses", []))
    _require_free(after["network"], known)
    after |= _summary([_of(each) for each in known]) | {"is_ended": False}
    _check(Holding(), after, proposal)
    return after


def _known(kind: str, texts: Sequence[str]) -> list[reading.Known]:
    read = reading.read_declared if kind == HoldingKind.DECLARED else reading.read
    return read(texts, network.current())


def _require_free(at: str, known: Sequence[reading.Known]) -> None:
    live = HoldingAddress.objects.filter(is_live=True)
    taken = live.filter(network=at, address__in=[each.address for each in known]).select_related("holding")
    first = taken.order_by("pk").first()
    if first is not None:
        raise AddressHeldAlready(
            f"{first.address} is in the holding {first.holding} already.",
            address=first.address,
            holding_id=first.holding_id,
        )
    if live.count() + len(known) > MOST_LIVE:
        raise InvalidInput.of(
            "addresses", "too_many_addresses", f"All holdings together have {MOST_LIVE:,} addresses at most."
        )


def _check(row: Holding, after: dict[str, Any], proposal: Proposal) -> None:
    for name in OF_HOLDING:
        setattr(row, name, after[name])
    row.proposal = proposal
    rules.check(row, exclude=("proposal",))


def _apply(proposal: Proposal, by: User) -> None:
    after = proposal.after
    columns = {name: after[name] for name in OF_HOLDING}
    if after["holding_id"] is None:
        made = Holding.objects.create(**columns, proposal=proposal)
        HoldingAddress.objects.bulk_create(
            (
                HoldingAddress(
                    holding=made,
                    network=made.network,
                    address=each.address,
                    script_pubkey=each.script_pubkey,
                    declared_sat=each.declared_sat,
                )
                for each in _known(made.kind, proposal.asked["addresses"])
            ),
            batch_size=BATCH,
        )
        audit.record("holding.create", made, by=by, scope=made.scope, reason=proposal.note)
    else:
        found = Holding.objects.get(pk=after["holding_id"])
        was = audit.digest(found)
        ended_at = timezone.now() if after["is_ended"] else None
        Holding.objects.filter(pk=found.pk).update(**columns, ended_at=ended_at, proposal=proposal)
        if ended_at:
            found.addresses.update(is_live=False)
        act = "holding.end" if ended_at else "holding.change"
        audit.record(act, found, by=by, scope=found.scope, reason=proposal.note, before=was)
    # The next look is to be at these.
    ReserveStatus.objects.exclude(ended_at=None).update(due_at=timezone.now())


def _of(known: reading.Known) -> str:
    return known.address if known.declared_sat is None else f"{known.address} {known.declared_sat}"


def _text(row: HoldingAddress) -> str:
    return row.address if row.declared_sat is None else f"{row.address} {row.declared_sat}"


def _summary(texts: Sequence[str]) -> dict[str, Any]:
    """Tell addresses in short: whoever has the list can hash it, an address a line."""
    digest = hashlib.sha256("".join(f"{text}\n" for text in texts).encode()).hexdigest()
    return dict(zip(OF_ADDRESSES, (len(texts), texts[0], texts[-1], digest), strict=True))


KIND = Kind("holding", "Holding of bitcoin", _current, _change, _apply)
