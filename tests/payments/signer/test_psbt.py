"""PSBTs written by somebody who knows the format: nothing in them reaches a key or a device but what was checked."""

import base64
from collections.abc import Callable
from dataclasses import replace

import pytest
import wallycore

from payments.signer import psbt
from payments.signer.descriptor import CHANGE, FUNDING
from payments.signer.refusal import Refusal
from tests.payments.signer import scene
from tests.payments.signer.scene import MULTISIG, SINGLE, WORDS, Coin, Draft
from tests.psbts import compact, high_s, maps_of, text_of

# Maps of a PSBT of one input and four outputs (three payments and change), as Draft makes it.
GLOBAL, INPUT, PAYMENT, OUR_CHANGE = 0, 1, 2, 5


def with_pair(draft: Draft, number: int, key: bytes, value: bytes) -> str:
    """A draft's PSBT with one pair more."""
    maps = maps_of(draft.psbt())
    maps[number].append((key, value))
    return text_of(maps)


def pure(text: str, draft: Draft) -> str:
    """What is left of a PSBT for the key or the device, after the rules were kept."""
    examined = scene.examine(draft.bundle(psbt=text), scene.configure(draft.wallet))
    places = [(branch, index) for _, branch, index in examined.keys]
    return psbt.pure(text, draft.wallet, places, {change.vout: change.index for change in examined.change})


class TestPure:
    @pytest.mark.parametrize("wallet", [SINGLE, MULTISIG])
    def test_says_the_same_of_an_honest_psbt(self, wallet: object) -> None:
        draft = replace(Draft(), wallet=wallet)
        kept, given = psbt.decode(pure(draft.psbt(), draft)), psbt.decode(draft.psbt())
        assert kept == given
        script = [pair for pair in maps_of(pure(draft.psbt(), draft))[OUR_CHANGE] if pair[0] == b"\x01"]
        assert script == ([(b"\x01", MULTISIG.witness_script(CHANGE, 4))] if wallet is MULTISIG else [])

    @pytest.mark.parametrize(
        ("number", "key", "value"),
        [
            (GLOBAL, b"\xfc\x05trick\x00", b"proprietary"),
            (GLOBAL, b"\xf0", b"unknown"),
            (INPUT, b"\xfc\x05trick\x00", b"proprietary"),
            (INPUT, b"\xf0\x01", b"unknown"),
            (INPUT, b"\x13", bytes(64)),
            (INPUT, b"\x17", bytes([2]) * 32),
            (OUR_CHANGE, b"\xf0", b"unknown"),
            (PAYMENT, b"\xfc\x05trick\x00", b"proprietary"),
        ],
        ids=["global", "global-unknown", "input", "input-unknown", "tap-sig", "tap-key", "change", "payment"],
    )
    def test_drops_what_nobody_checked(self, number: int, key: bytes, value: bytes) -> None:
        text = with_pair(Draft(), number, key, value)
        assert pure(text, Draft()) == pure(Draft().psbt(), Draft())
        assert base64.b64encode(value) not in pure(text, Draft()).encode()

    def test_drops_paths_that_would_show_a_payment_as_change(self) -> None:
        """A device hides outputs that it takes for its own."""
        key = SINGLE.keys[0]
        path = b"".join(step.to_bytes(4, "little") for step in (*key.path, CHANGE, 4))
        text = with_pair(
            Draft(), PAYMENT, b"\x02" + SINGLE.public_key(key, CHANGE, 4), key.fingerprint + path
        )
        assert psbt.decode(text).outputs[0].derivations != ()
        assert psbt.decode(pure(text, Draft())).outputs[0].derivations == ()

    def test_drops_signatures_that_others_made(self) -> None:
        signed = wallycore.psbt_from_base64(replace(Draft(), wallet=MULTISIG).psbt(), 0)
        for words in WORDS[:2]:
            wallycore.psbt_sign_bip32(signed, scene.master(words), wallycore.EC_FLAG_GRIND_R)
        text = str(wallycore.psbt_to_base64(signed, 0))
        assert psbt.decode(text).inputs[0].signature_count == 2
        left = psbt.decode(pure(text, replace(Draft(), wallet=MULTISIG)))
        assert left.inputs[0].signature_count == 0


class TestCrafted:
    @pytest.mark.parametrize("number", [GLOBAL, INPUT, PAYMENT, OUR_CHANGE])
    def test_with_a_key_twice_is_none(self, number: int) -> None:
        maps = maps_of(Draft().psbt())
        maps[number] = (
            [*maps[number], *maps[number][:1]] if maps[number] else [(b"\xf0", b"a"), (b"\xf0", b"b")]
        )
        with pytest.raises(Refusal) as refused:
            psbt.decode(text_of(maps))
        assert refused.value.code == "psbt_malformed"

    @pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 7, 20])
    def test_with_a_path_of_odd_length_is_none_or_not_ours(self, length: int) -> None:
        maps = maps_of(Draft().psbt())
        maps[INPUT] = [(key, value[:length] if key[:1] == b"\x06" else value) for key, value in maps[INPUT]]
        with pytest.raises(Refusal) as refused:
            scene.examine(Draft().bundle(psbt=text_of(maps)))
        assert refused.value.code in ("psbt_malformed", "input_not_ours")

    def test_with_bytes_behind_its_end_is_none(self) -> None:
        data = base64.b64decode(Draft().psbt())
        for more in (b"\0", b"psbt\xff", data):
            with pytest.raises(Refusal) as refused:
                psbt.decode(base64.b64encode(data + more).decode())
            assert refused.value.code == "psbt_malformed"

    def test_with_an_amount_below_zero_or_above_all_money_is_refused(self) -> None:
        for amount in (b"\xff" * 8, (2**63).to_bytes(8, "little"), bytes(8)):
            maps = maps_of(Draft().psbt())
            maps[INPUT] = [(k, amount + v[8:] if k == b"\x01" else v) for k, v in maps[INPUT]]
            with pytest.raises(Refusal) as refused:
                scene.examine(Draft().bundle(psbt=text_of(maps)))
            assert refused.value.code in ("psbt_malformed", "input_amount_missing", "fee_negative", "fee_cap")

    def test_that_wraps_segwit_or_names_a_redeem_script_is_not_signed_that_way(self) -> None:
        """The script that is spent is compared with our descriptor's; what else is said of it is dropped."""
        text = with_pair(Draft(), INPUT, b"\x04", b"\x00\x14" + bytes(20))
        assert pure(text, Draft()) == pure(Draft().psbt(), Draft())


class TestReturned:
    """What a device sent back: only its own signature over the whole of the same tx is taken."""

    KEYS = [SINGLE.public_key(SINGLE.keys[0], FUNDING, 1)]

    def returned(self, change: Callable[[bytes], bytes]) -> str:
        """The PSBT as signed by the wallet's key, its signature then changed."""
        signed = wallycore.psbt_from_base64(Draft().psbt(), 0)
        wallycore.psbt_sign_bip32(signed, scene.master(WORDS[0]), wallycore.EC_FLAG_GRIND_R)
        maps = maps_of(str(wallycore.psbt_to_base64(signed, 0)))
        maps[INPUT] = [(k, change(v) if k[:1] == b"\x02" else v) for k, v in maps[INPUT]]
        return text_of(maps)

    def test_is_taken_as_it_should_be(self) -> None:
        kept = psbt.require_signed(Draft().psbt(), self.returned(lambda value: value), self.KEYS)
        assert psbt.decode(kept).inputs[0].signature_count == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda value: value[:-1] + b"\x02",
            lambda value: value[:-1] + b"\x03",
            lambda value: value[:-1] + b"\x81",
            lambda value: value[:-1] + b"\x00",
            lambda value: value[:-1],
            lambda value: b"",
            lambda value: value + b"\x01",
            high_s,
            compact,
            lambda value: value[:10] + bytes([value[10] ^ 1]) + value[11:],
        ],
        ids=["none", "single", "anyone", "zero", "bare", "empty", "longer", "high-s", "65-bytes", "flipped"],
    )
    def test_is_refused_in_any_other_form(self, change: Callable[[bytes], bytes]) -> None:
        with pytest.raises(Refusal) as refused:
            psbt.require_signed(Draft().psbt(), self.returned(change), self.KEYS)
        # A signature that is no signature at all makes no PSBT.
        assert refused.value.code in ("signed_invalid", "signed_malformed")

    def test_of_one_input_does_not_do_for_another(self) -> None:
        draft = Draft(coins=[Coin(1), Coin(2)], change=[(4, 217_000)])
        signed = wallycore.psbt_from_base64(draft.psbt(), 0)
        wallycore.psbt_sign_bip32(signed, scene.master(WORDS[0]), wallycore.EC_FLAG_GRIND_R)
        maps = maps_of(str(wallycore.psbt_to_base64(signed, 0)))
        keys = [SINGLE.public_key(SINGLE.keys[0], FUNDING, number) for number in (1, 2)]
        first, second = (dict(maps[number]) for number in (1, 2))
        second[b"\x02" + keys[1]] = first[b"\x02" + keys[0]]
        text = text_of([maps[0], maps[1], list(second.items()), *maps[3:]])
        with pytest.raises(Refusal) as refused:
            psbt.require_signed(draft.psbt(), text, keys)
        assert refused.value.code == "signed_invalid"
