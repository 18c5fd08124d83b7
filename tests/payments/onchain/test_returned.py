"""What signers return: each wrong PSBT and tx is refused by its rule, each right one is taken in all its forms."""

import base64
from collections.abc import Sequence

import pytest
import wallycore

from payments.onchain import bbqr, psbt, returned, tx
from payments.onchain import descriptor as descriptors
from payments.onchain.signature import SignatureRefused
from tests import signers

ANNE, BORIS, CAROL = (signers.SoftSigner(name) for name in ("anne", "boris", "carol"))
STRANGER = signers.SoftSigner("stranger")
COINS = [tx.OutPoint("aa" * 32, 1), tx.OutPoint("bb" * 32, 0)]
AMOUNTS_SAT = (70_000, 50_000)
PAID = tx.Output(100_000, b"\x00\x14" + b"\x07" * 20)
ALL, NONE, SINGLE, ANYONECANPAY = 1, 2, 3, 0x80
OF_ONE = descriptors.parse(signers.single(ANNE))
OF_THREE = descriptors.parse(signers.multi(2, [ANNE, BORIS, CAROL]))


def sent(wallet: descriptors.Descriptor, outputs: Sequence[tx.Output] = ()) -> returned.Sent:
    """A tx of two coins of the wallet that pays somebody and gives change."""
    places = [psbt.Place(0, 3), psbt.Place(1, 8)]
    prevouts = [
        tx.Output(amount, wallet.script_pubkey(*place))
        for amount, place in zip(AMOUNTS_SAT, places, strict=True)
    ]
    outputs = outputs or [PAID, tx.Output(19_000, wallet.script_pubkey(1, 9))]
    return returned.Sent(tx.build_unsigned(COINS, outputs), prevouts, places, wallet)


def out(of: returned.Sent) -> str:
    """The PSBT that goes out."""
    return psbt.build(
        of.unsigned,
        of.prevouts,
        descriptor=of.descriptor,
        inputs=of.places,
        change={1: psbt.Place(1, 9)},
        previous={},
    )


def refused(data: bytes | str, of: returned.Sent) -> str:
    """The rule by which it is refused."""
    with pytest.raises(SignatureRefused) as refusal:
        returned.read(data.encode() if isinstance(data, str) else data, of)
    return str(refusal.value.details["rule"])


def opened(text: str) -> object:
    return wallycore.psbt_from_base64(text, 0)


def closed(parsed: object) -> str:
    return str(wallycore.psbt_to_base64(parsed, 0))


def sign_by_hand(
    of: returned.Sent, who: signers.SoftSigner, sighash: int, *, digest_of: int | None = None, inputs: int = 2
) -> str:
    """A PSBT with signatures over another sighash, or over a digest of another sighash than they say."""
    parsed = opened(psbt.from_unsigned(of.unsigned, of.prevouts))
    path = signers.MULTI_PATH if of.descriptor.is_multisig else signers.SINGLE_PATH
    for position in range(inputs):
        private = wallycore.bip32_key_from_parent_path(
            who.account(*path), list(of.places[position]), wallycore.BIP32_FLAG_KEY_PRIVATE
        )
        digest = wallycore.tx_get_btc_signature_hash(
            wallycore.tx_from_bytes(of.unsigned, 0),
            position,
            of.script_code(position),
            of.prevouts[position].amount_sat,
            digest_of or sighash,
            wallycore.WALLY_TX_FLAG_USE_WITNESS,
        )
        compact = wallycore.ec_sig_from_bytes(
            wallycore.bip32_key_get_priv_key(private),
            digest,
            wallycore.EC_FLAG_ECDSA | wallycore.EC_FLAG_GRIND_R,
        )
        public = wallycore.bip32_key_get_pub_key(private)
        der = wallycore.ec_sig_to_der(compact) + bytes([sighash])
        wallycore.psbt_add_input_signature(parsed, position, public, der)
    return closed(parsed)


def final_tx(of: returned.Sent, *people: signers.SoftSigner) -> bytes:
    by_signer = {}
    for person in people:
        by_signer |= returned.read(person.sign(out(of)).encode(), of)
    return returned.finalize(of, by_signer)


@pytest.fixture(params=[OF_ONE, OF_THREE], ids=["wpkh", "wsh"])
def of(request: pytest.FixtureRequest) -> returned.Sent:
    return sent(request.param)


class TestTaken:
    def test_one_signers_part(self, of: returned.Sent) -> None:
        found = returned.read(ANNE.sign(out(of)).encode(), of)
        assert list(found) == [ANNE.fingerprint]
        assert len(found[ANNE.fingerprint]) == 2

    def test_in_every_form(self, of: returned.Sent) -> None:
        text = ANNE.sign(out(of))
        expected = returned.read(text.encode(), of)
        binary = base64.b64decode(text)
        second = opened(text)
        wallycore.psbt_set_version(second, 0, wallycore.WALLY_PSBT_VERSION_2)
        wrapped = "\r\n".join(text[at : at + 64] for at in range(0, len(text), 64)) + "\n"
        for data in (
            binary,
            wrapped.encode(),
            binary.hex().encode(),
            bytes(wallycore.psbt_to_bytes(second, 0)),
        ):
            assert returned.read(data, of) == expected

    def test_a_series_of_qr_codes_in_any_order(self, of: returned.Sent) -> None:
        text = ANNE.sign(out(of))
        codes = bbqr.split(base64.b64decode(text), "P")
        assert returned.read("\n".join(reversed(codes)).encode(), of) == returned.read(text.encode(), of)
        signed = bbqr.split(final_tx(of, ANNE, *([BORIS] if of.descriptor.needed > 1 else [])), "T")
        assert ANNE.fingerprint in returned.read(" ".join(signed).encode(), of)
        with pytest.raises(SignatureRefused) as refused:
            returned.read("\n".join(codes).encode() + b" B$", of)
        assert refused.value.details["rule"] == "malformed"

    def test_two_signers_parts_in_one_file(self) -> None:
        of = sent(OF_THREE)
        found = returned.read(BORIS.sign(CAROL.sign(out(of))).encode(), of)
        # In the descriptor's order, whoever came first.
        assert list(found) == [BORIS.fingerprint, CAROL.fingerprint]

    def test_a_finalized_psbt_and_a_signed_tx(self, of: returned.Sent) -> None:
        people = [ANNE] if of.descriptor is OF_ONE else [ANNE, CAROL]
        text = out(of)
        for person in people:
            text = person.sign(text)
        parts = returned.read(text.encode(), of)
        parsed = opened(text)
        wallycore.psbt_finalize(parsed, 0)
        assert wallycore.psbt_get_input_signatures_size(parsed, 0) == 0
        assert returned.read(closed(parsed).encode(), of) == parts
        raw = wallycore.tx_to_bytes(wallycore.psbt_extract(parsed, 0), wallycore.WALLY_TX_FLAG_USE_WITNESS)
        assert returned.read(raw.hex().encode() + b"\n", of) == parts
        assert returned.finalize(of, parts) == raw

    def test_a_psbt_of_which_one_input_is_finalized(self, of: returned.Sent) -> None:
        text = ANNE.sign(out(of))
        if of.descriptor is OF_THREE:
            text = BORIS.sign(text)
        parsed = opened(text)
        wallycore.psbt_finalize_input(parsed, 0, 0)
        assert returned.read(closed(parsed).encode(), of) == returned.read(text.encode(), of)


class TestFinalize:
    def test_gives_the_whole_tx_with_exactly_the_signatures_that_are_needed(self) -> None:
        of = sent(OF_THREE)
        everybody = final_tx(of, ANNE, BORIS, CAROL)
        assert everybody == final_tx(of, BORIS, ANNE)
        tx.check_signed(everybody, of.unsigned, of.prevouts)
        assert {len(stack) for stack in tx.witnesses_of(everybody)} == {4}

    def test_takes_any_two_of_three(self) -> None:
        of = sent(OF_THREE)
        for pair in ((ANNE, BORIS), (BORIS, CAROL), (CAROL, ANNE)):
            tx.check_signed(final_tx(of, *pair), of.unsigned, of.prevouts)

    def test_gives_the_tx_of_one_signer(self) -> None:
        of = sent(OF_ONE)
        tx.check_signed(final_tx(of, ANNE), of.unsigned, of.prevouts)


class TestRefused:
    def test_what_is_no_psbt(self, of: returned.Sent) -> None:
        good = ANNE.sign(out(of))
        binary = base64.b64decode(good)
        for data in (
            b"",
            b"\0",
            b"junk!",
            b"cHNidP8A",
            b"cHNidP8",
            good[:-20].encode(),
            good.encode()[:40] + b"\0" + good.encode()[40:],
            binary[:-1],
            b"psbt\xff",
            b"psbt\xff\x00",
            b"00" * 60,
            b"<html>",
            "\u0441HNidP8".encode(),
            b'{"psbt":"x"}',
        ):
            assert (data[:20], refused(data, of)) == (data[:20], "malformed")

    def test_what_is_too_large(self, of: returned.Sent) -> None:
        assert refused(b"A" * (returned.MAX_BYTES + 1), of) == "too_large"
        assert refused(b"A" * returned.MAX_BYTES, of) == "malformed"

    def test_another_tx(self, of: returned.Sent) -> None:
        other = returned.Sent(
            tx.build_unsigned([COINS[0], tx.OutPoint("cc" * 32, 0)], [PAID]),
            of.prevouts,
            of.places,
            of.descriptor,
        )
        text = psbt.build(
            other.unsigned,
            other.prevouts,
            descriptor=other.descriptor,
            inputs=other.places,
            change={},
            previous={},
        )
        assert refused(ANNE.sign(text), of) == "another_tx"

    def test_an_altered_tx(self, of: returned.Sent) -> None:
        kept = [PAID, tx.Output(19_000, of.descriptor.script_pubkey(1, 9))]
        for outputs in (
            [PAID._replace(amount_sat=99_999), kept[1]],
            [PAID._replace(script_pubkey=b"\x00\x14" + b"\x08" * 20), kept[1]],
            [kept[1], kept[0]],
            [*kept, tx.Output(500, b"\x00\x14" + b"\x09" * 20)],
            kept[:1],
        ):
            altered = sent(of.descriptor, outputs)
            text = psbt.from_unsigned(altered.unsigned, altered.prevouts)
            assert refused(text, of) == "altered"
            assert refused(sign_by_hand(altered, ANNE, ALL), of) == "altered"

    def test_an_altered_signed_tx(self) -> None:
        of = sent(OF_ONE)
        altered = sent(OF_ONE, [PAID._replace(amount_sat=99_999)])
        raw = returned.finalize(altered, returned.read(sign_by_hand(altered, ANNE, ALL).encode(), altered))
        assert refused(raw.hex(), of) == "altered"

    def test_an_odd_sighash(self, of: returned.Sent) -> None:
        for sighash in (NONE, SINGLE, ALL | ANYONECANPAY, NONE | ANYONECANPAY):
            assert refused(sign_by_hand(of, ANNE, sighash), of) == "sighash"

    def test_a_sighash_that_is_only_asked_for(self, of: returned.Sent) -> None:
        parsed = opened(out(of))
        wallycore.psbt_set_input_sighash(parsed, 1, SINGLE | ANYONECANPAY)
        assert refused(closed(parsed), of) == "sighash"

    def test_an_odd_sighash_in_a_final_witness(self) -> None:
        of = sent(OF_ONE)
        by_hand = opened(sign_by_hand(of, ANNE, NONE))
        stacks = [
            [
                bytes(wallycore.psbt_get_input_signature(by_hand, position, 0)),
                OF_ONE.keys[0].public_key(*place),
            ]
            for position, place in enumerate(of.places)
        ]
        assert refused(tx.with_witnesses(of.unsigned, stacks).hex(), of) == "sighash"

    def test_no_signature_at_all(self, of: returned.Sent) -> None:
        assert refused(out(of), of) == "unsigned"
        assert refused(STRANGER.sign(out(of)), of) == "unsigned"
        assert refused(of.unsigned.hex(), of) == "unsigned"

    def test_a_missing_signature(self, of: returned.Sent) -> None:
        assert refused(sign_by_hand(of, ANNE, ALL, inputs=1), of) == "incomplete"

    def test_a_wrong_signature(self, of: returned.Sent) -> None:
        assert refused(sign_by_hand(of, ANNE, ALL, digest_of=NONE), of) == "invalid"

    def test_a_signature_in_another_encoding(self, of: returned.Sent) -> None:
        parsed = opened(ANNE.sign(out(of)))
        key = (
            of.public_key(OF_ONE.keys[0], 0)
            if of.descriptor is OF_ONE
            else of.public_key(OF_THREE.keys[0], 0)
        )
        at = wallycore.psbt_find_input_signature(parsed, 0, key) - 1
        der = bytes(wallycore.psbt_get_input_signature(parsed, 0, at))
        assert refused(with_signature(of, key, high_s(der)), of) == "invalid"

    def test_a_strangers_signature(self, of: returned.Sent) -> None:
        path = signers.MULTI_PATH if of.descriptor.is_multisig else signers.SINGLE_PATH
        # The stranger signs what they should not have been given, with a key of their own at the same place.
        assert refused(sign_by_hand(of, STRANGER, ALL), of) == "stranger"
        assert STRANGER.account(*path)

    def test_a_strangers_signature_beside_a_good_one(self, of: returned.Sent) -> None:
        good, bad = opened(ANNE.sign(out(of))), opened(sign_by_hand(of, STRANGER, ALL))
        wallycore.psbt_combine(good, bad)
        assert refused(closed(good), of) == "stranger"

    def test_a_strangers_final_witness(self, of: returned.Sent) -> None:
        if of.descriptor is OF_ONE:
            stranger = descriptors.parse(signers.single(STRANGER))
            key = stranger.keys[0].public_key(0, 3)
            stack = [b"\x30" * 71, key]
            assert refused(tx.with_witnesses(of.unsigned, [stack, stack]).hex(), of) == "stranger"
            return
        stranger = descriptors.parse(signers.multi(2, [STRANGER, BORIS, CAROL]))
        stack = [b"", b"\x30" * 71, b"\x30" * 71, stranger.witness_script(0, 3) or b""]
        assert refused(tx.with_witnesses(of.unsigned, [stack, stack]).hex(), of) == "witness"

    def test_a_final_witness_with_a_wrong_signature(self) -> None:
        of = sent(OF_THREE)
        raw = final_tx(of, ANNE, BORIS)
        stacks = tx.witnesses_of(raw)
        first, second = stacks[0][1:3]
        for stack in (
            [b"", first, stacks[1][1], stacks[0][3]],
            [b"", first, first[:-2] + b"\x00\x01", stacks[0][3]],
        ):
            assert refused(tx.with_witnesses(of.unsigned, [stack, stacks[1]]).hex(), of) == "invalid"
        for stack in (
            [b"", first, stacks[0][3]],
            [b"", first, second, second, stacks[0][3]],
            [b"\x01", first, second, stacks[0][3]],
        ):
            assert refused(tx.with_witnesses(of.unsigned, [stack, stacks[1]]).hex(), of) == "witness"

    def test_a_final_witness_with_one_signature_twice(self) -> None:
        of = sent(OF_THREE)
        script = [of.descriptor.witness_script(*place) or b"" for place in of.places]
        (signed,) = returned.read(ANNE.sign(out(of)).encode(), of).values()
        twice = [[b"", signed[at], signed[at], script[at]] for at in range(2)]
        # One agreement counts once, however often it is written down.
        found = returned.read(tx.with_witnesses(of.unsigned, twice).hex().encode(), of)
        assert found == {ANNE.fingerprint: signed}

    def test_an_input_script(self) -> None:
        of = sent(OF_ONE)
        raw = bytearray(final_tx(of, ANNE))
        # After version, marker, flag, count and the outpoint comes the empty script; one with OP_0 is put there.
        at = 4 + 2 + 1 + 36
        assert raw[at] == 0
        raw[at : at + 1] = b"\x01\x00"
        assert refused(bytes(raw).hex(), of) == "script_sig"


class TestCheckSigned:
    """The last check before bytes are stored, on P2WSH; that of one key is in test_tx."""

    def test_refuses_other_than_the_signatures_in_the_order_of_the_keys(self) -> None:
        of = sent(OF_THREE)
        stacks = tx.witnesses_of(final_tx(of, ANNE, CAROL))
        dummy, first, second, script = stacks[0]
        cases = {
            "swapped": ([dummy, second, first, script], "invalid"),
            "one only": ([dummy, first, script], "witness"),
            "three": ([dummy, first, second, second, script], "witness"),
            "twice": ([dummy, first, first, script], "invalid"),
            "dummy": ([b"\x01", first, second, script], "witness"),
            "another script": ([dummy, first, second, script[:-1] + b"\xad"], "witness"),
            "sighash": ([dummy, first, second[:-1] + b"\x02", script], "sighash"),
            "high S": ([dummy, first, high_s(second), script], "invalid"),
            "another input's": ([dummy, first, stacks[1][2], script], "invalid"),
        }
        found = {}
        for name, (stack, _) in cases.items():
            with pytest.raises(SignatureRefused) as refusal:
                tx.check_signed(tx.with_witnesses(of.unsigned, [stack, stacks[1]]), of.unsigned, of.prevouts)
            found[name] = refusal.value.details["rule"]
        assert found == {name: rule for name, (_, rule) in cases.items()}

    def test_refuses_a_script_that_is_not_a_multisig(self) -> None:
        import hashlib

        script = b"\x51"
        prevouts = [tx.Output(70_000, b"\x00\x20" + hashlib.sha256(script).digest())]
        unsigned = tx.build_unsigned(COINS[:1], [PAID._replace(amount_sat=60_000)])
        with pytest.raises(SignatureRefused) as refusal:
            tx.check_signed(tx.with_witnesses(unsigned, [[script]]), unsigned, prevouts)
        assert refusal.value.details["rule"] == "unsupported"


ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def high_s(signature: bytes) -> bytes:
    """The same signature with the other S, which is as valid and is not relayed."""
    compact = bytes(wallycore.ec_sig_from_der(signature[:-1]))
    s = ORDER - int.from_bytes(compact[32:], "big")
    return bytes(wallycore.ec_sig_to_der(compact[:32] + s.to_bytes(32, "big"))) + signature[-1:]


def with_signature(of: returned.Sent, key: bytes, signature: bytes) -> str:
    """A PSBT that carries one signature on its first input."""
    parsed = opened(psbt.from_unsigned(of.unsigned, of.prevouts))
    wallycore.psbt_add_input_signature(parsed, 0, key, signature)
    return closed(parsed)
