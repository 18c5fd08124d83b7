"""Fee, size and dust arithmetic in weight units: integers only, because a rounded fee is a wrong fee.

Feerates are integer satoshis per 1,000 virtual bytes (``feerate_sat_kvb``), the node's own resolution.
"""

from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal

from govpay import errors

WITNESS_SCALE = 4
MAX_STANDARD_WEIGHT = 400_000
# BIP141.
MAX_BLOCK_WEIGHT = 4_000_000
DUST_FEERATE_SAT_KVB = 3_000

# Outpoint, empty script length and sequence, then the witness: item count and length-prefixed items. An ECDSA
# signature is counted with 72 bytes: signers that do not grind for a low R need the last one half the time.
_BARE_INPUT_WEIGHT = (36 + 1 + 4) * WITNESS_SCALE
P2WPKH_INPUT_WEIGHT = _BARE_INPUT_WEIGHT + 1 + (1 + 72) + (1 + 33)
P2TR_KEY_INPUT_WEIGHT = _BARE_INPUT_WEIGHT + 1 + (1 + 64)
P2WSH_2_OF_3_INPUT_WEIGHT = _BARE_INPUT_WEIGHT + 1 + 1 + 2 * (1 + 72) + (1 + 105)
_MULTISIG_SCRIPT_BARE_BYTES, _MULTISIG_SCRIPT_KEY_BYTES = 3, 34

# What Bitcoin Core assumes that spending an output will cost, for the dust limit (GetDustThreshold).
_DUST_SPEND_BYTES_WITNESS = 67
_DUST_SPEND_BYTES_LEGACY = 148


class FeerateOutOfBounds(errors.GovPayError):
    """The least feerate the network takes is above the highest that was approved."""

    code = "feerate_out_of_bounds"
    http_status = 503
    is_transient = True


def compact_size_length(count: int) -> int:
    """Return how many bytes a count takes in front of a vector."""
    if count < 253:
        return 1
    return 3 if count <= 0xFFFF else 5


def output_weight(script_pubkey: bytes) -> int:
    """Return the weight units of an output that pays this script."""
    length = len(script_pubkey)
    return (8 + compact_size_length(length) + length) * WITNESS_SCALE


def p2wsh_multisig_input_weight(needed: int, keys: int) -> int:
    """Return the weight units of an input that ``needed`` of at most 16 ``keys`` sign, with 72 bytes a signature.

    The witness is its item count, an empty item, the signatures, and the script.
    """
    script = _MULTISIG_SCRIPT_BARE_BYTES + _MULTISIG_SCRIPT_KEY_BYTES * keys
    return _BARE_INPUT_WEIGHT + 1 + 1 + needed * (1 + 72) + compact_size_length(script) + script


def is_witness_program(script_pubkey: bytes) -> bool:
    """Tell whether the script is a witness program of any version (BIP141)."""
    return (
        4 <= len(script_pubkey) <= 42
        and (script_pubkey[0] == 0 or 0x51 <= script_pubkey[0] <= 0x60)
        and script_pubkey[1] == len(script_pubkey) - 2
    )


def dust_sat(script_pubkey: bytes) -> int:
    """Return the least amount that the network relays to this script, in satoshis; 0 for OP_RETURN."""
    if script_pubkey[:1] == b"\x6a":
        return 0
    spend = _DUST_SPEND_BYTES_WITNESS if is_witness_program(script_pubkey) else _DUST_SPEND_BYTES_LEGACY
    return (output_weight(script_pubkey) // WITNESS_SCALE + spend) * DUST_FEERATE_SAT_KVB // 1000


def overhead_weight(input_count: int, output_count: int) -> int:
    """Return the weight of everything in a segwit tx but its inputs and outputs."""
    counts = compact_size_length(input_count) + compact_size_length(output_count)
    return (4 + counts + 4) * WITNESS_SCALE + 2


def tx_weight(
    *, input_count: int, output_weights: Iterable[int], input_weight: int = P2WPKH_INPUT_WEIGHT
) -> int:
    """Return the weight units that a signed tx takes at most, its inputs all being of one kind."""
    weights = list(output_weights)
    return overhead_weight(input_count, len(weights)) + input_count * input_weight + sum(weights)


def vsize(weight: int) -> int:
    """Return the virtual bytes of a weight, rounded up (BIP141)."""
    return -(-weight // WITNESS_SCALE)


def fee_sat(*, weight: int, feerate_sat_kvb: int) -> int:
    """Return the fee in satoshis, rounded up so that the tx is never under the feerate."""
    return -(-vsize(weight) * feerate_sat_kvb // 1000)


def feerate_from_btc_kvb(btc_kvb: Decimal | int) -> int:
    """Convert the node's BTC per kvB to sat per kvB, rounding up what the node cannot mean."""
    return int((Decimal(btc_kvb) * 100_000_000).to_integral_value(rounding=ROUND_CEILING))


def btc_kvb(feerate_sat_kvb: int) -> Decimal:
    """Convert sat per kvB to the node's BTC per kvB, exactly."""
    return Decimal(feerate_sat_kvb).scaleb(-8)


def feerate_from_sat_vb(sat_vb: Decimal | int | str) -> int:
    """Convert sat per vB to sat per kvB; raise ValueError where a fraction would be lost."""
    scaled = Decimal(sat_vb) * 1000
    if scaled != scaled.to_integral_value():
        raise ValueError("A feerate has at most three fraction digits in sat/vB.")
    return int(scaled)


def sat_vb(feerate_sat_kvb: int) -> Decimal:
    """Convert sat per kvB to sat per vB for display, exactly."""
    return Decimal(feerate_sat_kvb).scaleb(-3)


def bounded(estimate_sat_kvb: int | None, *, floor: int, ceiling: int, fallback: int) -> int:
    """Return the feerate to pay: the estimate, or the fallback without a usable one, within the bounds.

    All four are sat per kvB. A missing, zero or negative estimate is unusable; one above the ceiling pays the
    ceiling. Raises FeerateOutOfBounds when the floor is above the ceiling: then no feerate is right.
    """
    if floor > ceiling:
        raise FeerateOutOfBounds(
            f"The network asks for {floor} sat/kvB and the approved ceiling is {ceiling} sat/kvB.",
            floor_sat_kvb=floor,
            ceiling_sat_kvb=ceiling,
        )
    wanted = fallback if estimate_sat_kvb is None or estimate_sat_kvb <= 0 else estimate_sat_kvb
    return min(max(wanted, floor), ceiling)
