"""Txs: read and written byte for byte, and signatures of a signer who may lie."""

from collections.abc import Callable

import pytest
import wallycore
from bitcoin.core import CMutableTransaction, CTransaction, CTxInWitness, CTxWitness
from bitcoin.core.script import (
    SIGHASH_ALL,
    SIGHASH_ANYONECANPAY,
    SIGHASH_NONE,
    SIGHASH_SINGLE,
    SIGVERSION_WITNESS_V0,
    CScript,
    CScriptWitness,
    SignatureHash,
)
from hypothesis import given
from hypothesis import strategies as st

from payments.onchain import psbt, signature, tx

KEY, OTHER_KEY = bytes([1]) * 32, bytes([2]) * 32
PUBLIC_KEY = wallycore.ec_public_key_from_private_key(KEY)
SCRIPT = b"\x00\x14" + wallycore.hash160(PUBLIC_KEY)
PREVOUTS = [tx.Output(70_000, SCRIPT), tx.Output(50_000, SCRIPT)]
OUTPOINTS = [tx.OutPoint("ab" * 32, 0), tx.OutPoint("cd" * 32, 5)]
OUTPUTS = [tx.Output(60_000, b"\x51\x20" + bytes(32)), tx.Output(59_000, SCRIPT)]
UNSIGNED = tx.build_unsigned(OUTPOINTS, OUTPUTS)

# BIP143, the example of native P2WPKH: the signed tx, whose second input spends the output below.
BIP143_SIGNED = bytes.fromhex(
    "01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f00000000494830450221008b9d1dc2"
    "6ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4"
    "ecbab4cc618ef3ed01eeffffffef51e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff"
    "02202cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d000000001976a9143bde42dbee7e4d"
    "be6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d30c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a"
    "0220573a954c4518331561406f90300e8f3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb"
    "3566bb0ad253f62fc70f07aeee635711000000"
)
BIP143_PREVOUT = tx.Output(600_000_000, bytes.fromhex("00141d0f172a0ecb48aee1be1f2687d2963ae33f71a1"))


def ecdsa(index: int, sighash: int, *, key: bytes = KEY, amount_sat: int | None = None) -> bytes:
    """Sign one input as a wallet would, with any sighash, key or amount."""
    script_code = CScript(b"\x76\xa9\x14" + SCRIPT[2:] + b"\x88\xac")
    digest = SignatureHash(
        script_code,
        CTransaction.deserialize(UNSIGNED),
        index,
        sighash,
        amount=PREVOUTS[index].amount_sat if amount_sat is None else amount_sat,
        sigversion=SIGVERSION_WITNESS_V0,
    )
    compact = wallycore.ec_sig_from_bytes(key, digest, wallycore.EC_FLAG_ECDSA)
    return bytes(wallycore.ec_sig_to_der(compact)) + bytes([sighash])


def with_witness(stacks: list[list[bytes]], *, unsigned: bytes = UNSIGNED, script_sig: bytes = b"") -> bytes:
    found = CMutableTransaction.from_tx(CTransaction.deserialize(unsigned))
    found.vin[0].scriptSig = CScript(script_sig)
    found.wit = CTxWitness([CTxInWitness(CScriptWitness(stack)) for stack in stacks])
    return bytes(found.serialize())


def good() -> list[list[bytes]]:
    return [[ecdsa(index, SIGHASH_ALL), PUBLIC_KEY] for index in (0, 1)]


SIGNED = with_witness(good())


class TestBuildUnsigned:
    def test_keeps_the_order_and_signals_replacement(self) -> None:
        found = CTransaction.deserialize(UNSIGNED)
        assert [(i.prevout.hash[::-1].hex(), i.prevout.n, i.nSequence) for i in found.vin] == [
            ("ab" * 32, 0, 0xFFFFFFFD),
            ("cd" * 32, 5, 0xFFFFFFFD),
        ]
        assert [(o.nValue, bytes(o.scriptPubKey)) for o in found.vout] == OUTPUTS
        assert (found.nVersion, found.nLockTime, found.has_witness()) == (2, 0, False)

    @pytest.mark.parametrize(
        ("inputs", "outputs"), [([], OUTPUTS), (OUTPOINTS, []), ([OUTPOINTS[0]] * 2, OUTPUTS)]
    )
    def test_refuses_a_tx_that_cannot_be(self, inputs: list[tx.OutPoint], outputs: list[tx.Output]) -> None:
        with pytest.raises(ValueError, match="A tx"):
            tx.build_unsigned(inputs, outputs)

    @given(
        st.lists(
            st.tuples(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32)), min_size=1, max_size=4
        ),
        st.lists(st.tuples(st.integers(0, 21 * 10**14), st.binary(max_size=300)), min_size=1, max_size=4),
    )
    def test_reads_back_what_it_wrote(
        self, inputs: list[tuple[int, bytes]], outputs: list[tuple[int, bytes]]
    ) -> None:
        spent = list(dict.fromkeys(tx.OutPoint(txid.hex(), vout) for vout, txid in inputs))
        paid = [tx.Output(sat, script) for sat, script in outputs]
        found = tx.parse(tx.build_unsigned(spent, paid))
        assert (list(found.inputs), list(found.outputs)) == (spent, paid)


class TestParse:
    def test_measures_as_the_library_does(self) -> None:
        raw = with_witness(good())
        theirs = CTransaction.deserialize(raw)
        ours = tx.parse(raw)
        assert ours.txid == theirs.GetTxid()[::-1].hex()
        assert ours.wtxid == theirs.GetHash()[::-1].hex()
        assert ours.weight == theirs.calc_weight()
        assert ours.vsize == -(-theirs.calc_weight() // 4)
        assert ours.raw == raw
        assert ours.txid == tx.parse(UNSIGNED).txid

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"\x00",
            UNSIGNED[:-1],
            UNSIGNED + b"\x00",
            UNSIGNED[:4] + b"\xfd\x02\x00" + UNSIGNED[5:],
            UNSIGNED[:4] + b"\x00\x01" + UNSIGNED[4:-4] + b"\x00\x00" + UNSIGNED[-4:],
            UNSIGNED[:4] + b"\xff" * 9 + UNSIGNED[5:],
        ],
        ids=["empty", "short", "truncated", "padded", "long count", "empty witness", "huge count"],
    )
    def test_refuses_bytes_that_are_not_one_tx_in_its_right_form(self, raw: bytes) -> None:
        with pytest.raises(tx.MalformedTx):
            tx.parse(raw)

    @given(st.binary(max_size=200))
    def test_never_fails_otherwise_than_by_refusing(self, raw: bytes) -> None:
        with pytest.raises(tx.MalformedTx):
            tx.parse(raw)


class TestParseSpoiled:
    @given(st.integers(0, len(SIGNED) - 1), st.integers(0, 255))
    def test_reads_or_refuses_every_spoiled_byte(self, position: int, value: int) -> None:
        spoiled = SIGNED[:position] + bytes([value]) + SIGNED[position + 1 :]
        try:
            found = tx.parse(spoiled)
        except tx.MalformedTx:
            return
        assert (found.raw, found.wtxid) == (spoiled, tx.double_sha256(spoiled)[::-1].hex())

    @given(st.integers(0, len(SIGNED) - 1), st.integers(1, 255))
    def test_never_passes_as_signed(self, position: int, flip: int) -> None:
        spoiled = SIGNED[:position] + bytes([SIGNED[position] ^ flip]) + SIGNED[position + 1 :]
        with pytest.raises(tx.SignatureRefused):
            tx.check_signed(spoiled, UNSIGNED, PREVOUTS)


class TestUnsignedForm:
    def test_takes_witness_and_input_scripts_away(self) -> None:
        assert tx.unsigned_form(with_witness(good())) == UNSIGNED
        assert tx.unsigned_form(with_witness(good(), script_sig=b"\x51")) == UNSIGNED
        assert tx.unsigned_form(UNSIGNED) == UNSIGNED


class TestCheckSigned:
    def test_takes_the_tx_when_every_input_is_signed(self) -> None:
        tx.check_signed(with_witness(good()), UNSIGNED, PREVOUTS)

    @pytest.mark.parametrize(
        ("change", "rule"),
        [
            (lambda g: [g[0], []], "unsigned"),
            (lambda g: [], "unsigned"),
            (lambda g: [g[0], [g[1][0]]], "witness"),
            (lambda g: [g[0], [*g[1], b"\x01"]], "witness"),
            (lambda g: [g[0], [ecdsa(1, SIGHASH_NONE), PUBLIC_KEY]], "sighash"),
            (lambda g: [g[0], [ecdsa(1, SIGHASH_SINGLE), PUBLIC_KEY]], "sighash"),
            (lambda g: [g[0], [ecdsa(1, SIGHASH_ALL | SIGHASH_ANYONECANPAY), PUBLIC_KEY]], "sighash"),
            (lambda g: [g[0], [b"", PUBLIC_KEY]], "sighash"),
            (lambda g: [g[0], [b"\x01", PUBLIC_KEY]], "invalid"),
            (lambda g: [g[0], g[0]], "invalid"),
            (lambda g: [g[0], [ecdsa(1, SIGHASH_ALL, amount_sat=49_999), PUBLIC_KEY]], "invalid"),
            (lambda g: [g[0], [ecdsa(1, SIGHASH_ALL, key=OTHER_KEY), PUBLIC_KEY]], "invalid"),
            (
                lambda g: [
                    g[0],
                    [
                        ecdsa(1, SIGHASH_ALL, key=OTHER_KEY),
                        wallycore.ec_public_key_from_private_key(OTHER_KEY),
                    ],
                ],
                "public_key",
            ),
        ],
    )
    def test_refuses_by_the_rule_broken(
        self, change: Callable[[list[list[bytes]]], list[list[bytes]]], rule: str
    ) -> None:
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(with_witness(change(good())), UNSIGNED, PREVOUTS)
        assert refusal.value.details["rule"] == rule

    def test_refuses_the_high_half_of_a_signature(self) -> None:
        order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
        low = wallycore.ec_sig_from_der(good()[0][0][:-1])
        high = low[:32] + (order - int.from_bytes(low[32:], "big")).to_bytes(32, "big")
        stacks = [[wallycore.ec_sig_to_der(high) + b"\x01", PUBLIC_KEY], good()[1]]
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(with_witness(stacks), UNSIGNED, PREVOUTS)
        assert refusal.value.details == {"rule": "invalid", "input": 0}

    @pytest.mark.parametrize(
        "altered",
        [
            tx.build_unsigned(OUTPOINTS, [OUTPUTS[0], tx.Output(58_999, SCRIPT)]),
            tx.build_unsigned(OUTPOINTS, OUTPUTS[::-1]),
            tx.build_unsigned(OUTPOINTS[::-1], OUTPUTS),
            tx.build_unsigned(OUTPOINTS, OUTPUTS, sequence=0xFFFFFFFF),
            tx.build_unsigned(OUTPOINTS, OUTPUTS, locktime=1),
            tx.build_unsigned(OUTPOINTS, [*OUTPUTS, tx.Output(1, SCRIPT)]),
        ],
    )
    def test_refuses_another_tx_than_was_given(self, altered: bytes) -> None:
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(with_witness(good(), unsigned=altered), UNSIGNED, PREVOUTS)
        assert refusal.value.details["rule"] == "altered"

    def test_refuses_an_input_script(self) -> None:
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(with_witness(good(), script_sig=b"\x51"), UNSIGNED, PREVOUTS)
        assert refusal.value.details["rule"] == "script_sig"

    @pytest.mark.parametrize("raw", [b"", UNSIGNED[:-1]])
    def test_refuses_what_is_not_a_tx(self, raw: bytes) -> None:
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(raw, UNSIGNED, PREVOUTS)
        assert refusal.value.details["rule"] == "malformed"

    def test_refuses_prevouts_that_do_not_fit(self) -> None:
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(with_witness(good()), UNSIGNED, PREVOUTS[:1])
        assert refusal.value.details["rule"] == "prevouts"

    def test_refuses_inputs_of_other_kinds(self) -> None:
        prevouts = [PREVOUTS[0], tx.Output(50_000, b"\xa9\x14" + bytes(20) + b"\x87")]
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(with_witness(good()), UNSIGNED, prevouts)
        assert refusal.value.details["rule"] == "unsupported"

    def test_agrees_with_the_example_of_bip143(self) -> None:
        prevouts = [tx.Output(625_000_000, b""), BIP143_PREVOUT]
        signature.check_input(tx.read(BIP143_SIGNED), 1, prevouts)
        less = [prevouts[0], BIP143_PREVOUT._replace(amount_sat=599_999_999)]
        with pytest.raises(tx.SignatureRefused):
            signature.check_input(tx.read(BIP143_SIGNED), 1, less)


class TestCheckSignedTaproot:
    KEY_PAIR_PUBLIC = wallycore.ec_public_key_from_private_key(KEY)
    SCRIPT = b"\x51\x20" + wallycore.ec_public_key_bip341_tweak(KEY_PAIR_PUBLIC, None, 0)[1:]
    PREVOUTS = [tx.Output(70_000, SCRIPT), PREVOUTS[1]]

    def signed(self, sighash: int, *, first_sat: int = 70_000, suffix: bytes = b"") -> bytes:
        scripts = wallycore.map_init(2, None)
        wallycore.map_add_integer(scripts, 0, self.SCRIPT)
        wallycore.map_add_integer(scripts, 1, SCRIPT)
        unsigned = wallycore.tx_from_bytes(UNSIGNED, 0)
        digest = wallycore.tx_get_btc_taproot_signature_hash(
            unsigned, 0, scripts, [first_sat, 50_000], None, 0, 0xFFFFFFFF, None, sighash, 0
        )
        key = wallycore.ec_private_key_bip341_tweak(KEY, None, 0)
        schnorr = wallycore.ec_sig_from_bytes(key, digest, wallycore.EC_FLAG_SCHNORR)
        return with_witness([[schnorr + suffix], good()[1]])

    @pytest.mark.parametrize(("sighash", "suffix"), [(0, b""), (1, b"\x01")])
    def test_takes_the_key_path_over_the_whole_tx(self, sighash: int, suffix: bytes) -> None:
        tx.check_signed(self.signed(sighash, suffix=suffix), UNSIGNED, self.PREVOUTS)

    @pytest.mark.parametrize(
        ("raw_of", "rule"),
        [
            (lambda self: self.signed(0, first_sat=69_999), "invalid"),
            (lambda self: self.signed(2, suffix=b"\x02"), "sighash"),
            (lambda self: self.signed(0, suffix=b"\x00"), "sighash"),
            (lambda self: self.signed(0, suffix=b"\x01"), "invalid"),
            (lambda self: self.signed(0, suffix=b"\x01\x01"), "witness"),
        ],
    )
    def test_refuses_by_the_rule_broken(
        self, raw_of: Callable[["TestCheckSignedTaproot"], bytes], rule: str
    ) -> None:
        with pytest.raises(tx.SignatureRefused) as refusal:
            tx.check_signed(raw_of(self), UNSIGNED, self.PREVOUTS)
        assert refusal.value.details == {"rule": rule, "input": 0}


class TestPsbt:
    def test_gives_back_the_tx_it_was_made_of(self) -> None:
        made = psbt.from_unsigned(UNSIGNED, PREVOUTS)
        assert psbt.unsigned_tx(made) == UNSIGNED

    def test_carries_what_each_input_spends(self) -> None:
        parsed = wallycore.psbt_from_base64(psbt.from_unsigned(UNSIGNED, PREVOUTS), 0)
        spent = [wallycore.psbt_get_input_witness_utxo(parsed, index) for index in (0, 1)]
        found = [
            (wallycore.tx_output_get_satoshi(o), bytes(wallycore.tx_output_get_script(o))) for o in spent
        ]
        assert found == PREVOUTS

    def test_refuses_a_count_of_prevouts_that_differs(self) -> None:
        with pytest.raises(ValueError, match="one spent output"):
            psbt.from_unsigned(UNSIGNED, PREVOUTS[:1])

    @pytest.mark.parametrize("raw", [with_witness(good()), b"", UNSIGNED[:-1]])
    def test_refuses_a_tx_that_is_signed_or_none(self, raw: bytes) -> None:
        with pytest.raises(tx.MalformedTx):
            psbt.from_unsigned(raw, PREVOUTS)

    @pytest.mark.parametrize("text", ["", "cHNidP8=", "garbage", "cHNidP8\x00", "\u00e9", "!!!!"])
    def test_refuses_what_is_not_a_psbt(self, text: str) -> None:
        with pytest.raises(psbt.MalformedPsbt):
            psbt.unsigned_tx(text)
