"""The rules that a bundle must keep by itself: pure, each refusal with a code; ``memory`` has those about the past."""

from dataclasses import dataclass
from datetime import datetime

from payments.signer import bundle, conversion, descriptor, manifest
from payments.signer.bundle import Bundle, SignedManifest
from payments.signer.config import Config
from payments.signer.descriptor import Key
from payments.signer.manifest import Line, Manifest
from payments.signer.psbt import SIGHASH_ALL, Derivation, Facts, Input, Output
from payments.signer.refusal import Refusal

# Sequences that set no relative lock time (BIP68); the product signals replaceability (BIP125).
_FREE_SEQUENCE = 0xFFFFFFFD
_SIGHASH_UNSET = 0


@dataclass(frozen=True, slots=True)
class Paid:
    """An output that pays a line of the manifest, and how many satoshis the line is."""

    vout: int
    line: Line
    amount_sat: int


@dataclass(frozen=True, slots=True)
class Change:
    """An output that pays our own change chain."""

    vout: int
    amount_sat: int
    index: int


@dataclass(frozen=True, slots=True)
class Examined:
    """A bundle that keeps every rule that needs no memory.

    ``keys`` has for each input our key, its branch and index. ``approvers`` are the names of those who signed.
    ``notes`` are for the person at the screen.
    """

    bundle: Bundle
    facts: Facts
    inputs: dict[str, int]
    keys: list[tuple[Key, int, int]]
    manifest: Manifest | None
    approvers: tuple[str, ...]
    payments: tuple[Paid, ...]
    change: tuple[Change, ...]
    fee_sat: int
    vsize_vb: int
    notes: tuple[str, ...]

    @property
    def payments_sat(self) -> int:
        """What people are paid."""
        return sum(paid.amount_sat for paid in self.payments)

    @property
    def change_sat(self) -> int:
        """What comes back to us."""
        return sum(change.amount_sat for change in self.change)


def examine(given: Bundle, facts: Facts, config: Config, *, now: datetime) -> Examined:
    """Check network, wallet, tx, inputs, outputs, manifest, fee and caps; raise Refusal with the rule's code."""
    _check_wallet(given, config)
    _check_tx(given, facts)
    inputs, keys = _check_inputs(facts, config)
    notes = _notes(given, facts, now)
    agreed: Manifest | None = None
    approvers: tuple[str, ...] = ()
    if given.kind in bundle.PAYING:
        agreed, approvers, unknown = _check_manifest(given, config)
        notes += unknown
    rate = _rate(given, config, agreed)
    payments, change = _check_outputs(given, facts, config, agreed, rate)
    if given.kind == bundle.ANCHOR:
        notes += _check_commitment(facts)
    examined = Examined(
        bundle=given,
        facts=facts,
        inputs=inputs,
        keys=keys,
        manifest=agreed,
        approvers=approvers,
        payments=payments,
        change=change,
        fee_sat=sum(inputs.values()) - sum(output.amount_sat for output in facts.outputs),
        vsize_vb=-(-(facts.weight + len(keys) * config.descriptor.witness_weight) // 4),
        notes=notes,
    )
    _check_caps(examined, config)
    return examined


def _check_wallet(given: Bundle, config: Config) -> None:
    if given.network in ("main", "mainnet", "bitcoin"):
        raise Refusal("network_main", "This is for the main network, where nothing is ever signed.")
    if given.network != config.network:
        raise Refusal("network_other", f"This is for {given.network}; this signer signs on {config.network}.")
    if given.wallet != config.wallet:
        raise Refusal("wallet_other", f"This is for the wallet {given.wallet}, not {config.wallet}.")
    if given.descriptor != config.descriptor.text:
        raise Refusal("descriptor_other", "The descriptor in the bundle is not the configured one.")
    if given.kind not in config.caps.kinds:
        raise Refusal(
            "kind_not_allowed", f"This signer's configuration does not allow the kind {given.kind}."
        )


def _check_tx(given: Bundle, facts: Facts) -> None:
    if facts.txid != given.txid:
        raise Refusal("txid_other", "The PSBT's tx has another txid than the bundle says.")
    if facts.version != 2:
        raise Refusal("tx_version", f"The tx has version {facts.version}, not 2.")
    if facts.locktime != 0:
        raise Refusal("tx_locktime", "The tx has a lock time; it could be held back until then.")
    if len(given.payment_ids) != len(facts.outputs):
        raise Refusal(
            "output_count",
            f"The bundle explains {len(given.payment_ids)} outputs, the tx has {len(facts.outputs)}.",
        )


def _check_inputs(facts: Facts, config: Config) -> tuple[dict[str, int], list[tuple[Key, int, int]]]:
    amounts: dict[str, int] = {}
    keys = []
    for index, spent in enumerate(facts.inputs):
        if spent.outpoint in amounts:
            raise Refusal("input_twice", f"Input {index} spends what another input spends.")
        if spent.amount_sat is None or spent.amount_sat <= 0:
            raise Refusal("input_amount_missing", f"Input {index} does not say what it spends.")
        if spent.is_final:
            raise Refusal("input_final", f"Input {index} is finished; there is nothing left to sign.")
        if spent.sighash not in (_SIGHASH_UNSET, SIGHASH_ALL):
            raise Refusal(
                "input_sighash", f"Input {index} asks for a signature that does not cover the whole tx."
            )
        if spent.sequence < _FREE_SEQUENCE:
            raise Refusal("input_sequence", f"Input {index} has a relative lock time.")
        if config.caps.needs_previous_txs and not spent.is_proved:
            raise Refusal("input_unproved", f"Input {index} comes without the tx that proves its amount.")
        branch, child = _place(spent, config, index)
        amounts[spent.outpoint] = spent.amount_sat
        keys.append((config.key, branch, child))
    return amounts, keys


def _place(spent: Input, config: Config, index: int) -> tuple[int, int]:
    """Derive the script ourselves at the place that the PSBT names, and compare."""
    for branch, child in _places(spent.derivations, config.key):
        if config.descriptor.script_pubkey(branch, child) == spent.script_pubkey:
            if spent.witness_script != config.descriptor.witness_script(branch, child):
                raise Refusal(
                    "input_witness_script", f"Input {index} has another script than our descriptor's."
                )
            return branch, child
    raise Refusal("input_not_ours", f"Input {index} spends a script that our descriptor does not derive.")


def _places(derivations: tuple[Derivation, ...], key: Key) -> list[tuple[int, int]]:
    depth = len(key.path)
    return [
        (found.path[depth], found.path[depth + 1])
        for found in derivations
        if found.fingerprint == key.fingerprint
        and len(found.path) == depth + 2
        and found.path[:depth] == key.path
        and found.path[depth] in (descriptor.FUNDING, descriptor.CHANGE)
        and found.path[depth + 1] <= descriptor.MAX_INDEX
    ]


def _check_manifest(given: Bundle, config: Config) -> tuple[Manifest, tuple[str, ...], tuple[str, ...]]:
    (signed,) = given.manifests
    wanted = {payment_id for payment_id in given.payment_ids if payment_id is not None}
    found = manifest.read(manifest.lines_of_text(signed.text), wanted=wanted)
    if found.header.network != config.network:
        raise Refusal("manifest_network", f"The manifest is of {found.header.network}, not {config.network}.")
    if found.header.program not in config.programs:
        raise Refusal(
            "manifest_program", f"This signer does not sign for the program {found.header.program}."
        )
    approvers, notes = _approvers(signed, found.sha256, config)
    if len(approvers) < config.approvals_needed:
        raise Refusal(
            "manifest_signatures",
            f"{len(approvers)} of the approvers that this signer trusts signed the manifest; "
            f"{config.approvals_needed} must.",
        )
    return found, approvers, notes


def _approvers(
    signed: SignedManifest, sha256: bytes, config: Config
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names, notes = [], []
    message = manifest.signed_message(sha256)
    for signature in signed.signatures:
        name = config.approvers.get(signature.public_key)
        if name is None:
            notes.append(
                f"A key that this signer does not know signed the manifest: {signature.public_key.hex()}."
            )
        elif not manifest.is_signed(signature.public_key, signature.signature, message):
            raise Refusal("manifest_signature", f"The signature by {name} is not valid for this manifest.")
        else:
            names.append(name)
    return tuple(names), tuple(notes)


def _rate(given: Bundle, config: Config, agreed: Manifest | None) -> tuple[int, int] | None:
    """Return price and scale by which approved money is paid, held to the configured bounds; None of satoshis."""
    quote = given.quote
    if agreed is None or agreed.header.currency == manifest.SAT:
        if quote is not None:
            raise Refusal("quote_unneeded", "The bundle has a price, and what was approved are satoshis.")
        return None
    currency = agreed.header.currency
    if quote is None or quote.currency != currency:
        raise Refusal(
            "quote_currency", f"What was approved is {currency}, and the bundle has no price in it."
        )
    bounds = config.prices.get(currency)
    if bounds is None:
        raise Refusal(
            "price_unbounded", f"This signer's configuration has no bounds for a price in {currency}."
        )
    price = conversion.price_of(quote.price)
    if price is None or not bounds.lowest <= price <= bounds.highest:
        raise Refusal(
            "price_bounds", f"A price of {quote.price} {currency} is outside of the configured bounds."
        )
    if not quote.taken_at < quote.expires_at:
        raise Refusal("quote_times", "The quote expires before it was taken.")
    return price, bounds.scale


def _check_outputs(
    given: Bundle, facts: Facts, config: Config, agreed: Manifest | None, rate: tuple[int, int] | None
) -> tuple[tuple[Paid, ...], tuple[Change, ...]]:
    payments: list[Paid] = []
    change: list[Change] = []
    seen: set[int] = set()
    for vout, (payment_id, output) in enumerate(zip(given.payment_ids, facts.outputs, strict=True)):
        if payment_id is None:
            if given.kind == bundle.ANCHOR and _is_commitment(output):
                continue
            change.append(Change(vout, output.amount_sat, _change_index(facts, vout, config)))
            continue
        if payment_id in seen:
            raise Refusal("payment_twice", f"Payment {payment_id} is paid twice.")
        seen.add(payment_id)
        line = agreed.lines.get(payment_id) if agreed else None
        if line is None:
            raise Refusal("payment_not_listed", f"Payment {payment_id} is not in the manifest.")
        # A line without a script waits for its person; an output without one pays whoever comes first.
        if not line.script_pubkey or output.script_pubkey != line.script_pubkey:
            raise Refusal("payment_script", f"Output {vout} does not pay whom payment {payment_id} pays.")
        # Nobody is believed how many satoshis the approved money is: it is converted here.
        amount_sat = line.amount if rate is None else conversion.to_sat(line.amount, *rate)
        if output.amount_sat != amount_sat:
            raise Refusal(
                "payment_amount",
                f"Output {vout} pays {output.amount_sat} sat; payment {payment_id} is of {amount_sat}.",
            )
        payments.append(Paid(vout, line, amount_sat))
    return tuple(payments), tuple(change)


def _is_commitment(output: Output) -> bool:
    """Tell whether the output holds a hash of 32 bytes and no money."""
    script = output.script_pubkey
    return output.amount_sat == 0 and len(script) == 34 and script.startswith(b"\x6a\x20")


def _check_commitment(facts: Facts) -> tuple[str, ...]:
    """Let an anchor hold one hash; which one it should be, the person at the screen compares."""
    hashes = [output.script_pubkey[2:].hex() for output in facts.outputs if _is_commitment(output)]
    if len(hashes) != 1:
        raise Refusal("commitment_count", f"An anchor writes one hash into the chain, not {len(hashes)}.")
    return (f"It writes {hashes[0]} into the chain: the SHA-256 of a checkpoint of the books.",)


def _change_index(facts: Facts, vout: int, config: Config) -> int:
    output = facts.outputs[vout]
    for branch, child in _places(output.derivations, config.key):
        if (
            branch == descriptor.CHANGE
            and config.descriptor.script_pubkey(branch, child) == output.script_pubkey
        ):
            if child > config.caps.change_index:
                raise Refusal(
                    "change_far",
                    f"Output {vout} pays our change at {child}, beyond the cap of {config.caps.change_index}: nobody who "
                    "restores the wallet would look there.",
                )
            return child
    raise Refusal(
        "change_not_ours",
        f"Output {vout} pays neither the manifest nor our own change; its money would be gone.",
    )


def _check_caps(examined: Examined, config: Config) -> None:
    caps, fee_sat = config.caps, examined.fee_sat
    if fee_sat < 0:
        raise Refusal("fee_negative", "The outputs are worth more than the inputs.")
    if fee_sat > caps.fee_sat:
        raise Refusal("fee_cap", f"The fee of {fee_sat} sat is above the cap of {caps.fee_sat}.")
    if fee_sat > caps.feerate_sat_vb * examined.vsize_vb:
        raise Refusal(
            "feerate_cap",
            f"The fee of {fee_sat} sat for {examined.vsize_vb} vB is above the cap of {caps.feerate_sat_vb} sat/vB.",
        )
    if examined.payments and fee_sat * 10_000 > caps.fee_share_bps * examined.payments_sat:
        raise Refusal(
            "fee_share_cap",
            f"The fee of {fee_sat} sat is more than {caps.fee_share_bps} in 10,000 of {examined.payments_sat} sat.",
        )
    if examined.payments_sat + fee_sat > caps.tx_sat:
        raise Refusal(
            "tx_cap",
            f"Payments and fee are {examined.payments_sat + fee_sat} sat, above the cap of {caps.tx_sat} a tx.",
        )


def _notes(given: Bundle, facts: Facts, now: datetime) -> tuple[str, ...]:
    notes = []
    if now > given.deadline_at:
        notes.append("The deadline has passed; ask whether this is still wanted.")
    if not all(spent.is_proved for spent in facts.inputs):
        notes.append(
            "The amounts of the inputs are what the bundle says. If one is a lie, the signature on it is void."
        )
    return tuple(notes)
