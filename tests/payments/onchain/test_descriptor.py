"""Descriptors of watch-only wallets: what is taken, what is refused by which rule, and the scripts of both forms."""

import pytest
import wallycore

from payments.onchain import descriptor as descriptors
from payments.onchain import fee
from tests import signers

ANNE, BORIS, CAROL = (signers.SoftSigner(name) for name in ("anne", "boris", "carol"))
MAINNET_XPUB = (
    "xpub661MyMwAqRbcFtXgS5sYJABqqG9YLmC4Q1Rdap9gSE8NqtwybGhePY2g"
    "Z29ESFjqJoCu1Rupje8YtGqsefD265TMg7usUDFdp6W1EGMcet8"
)


def refused(text: str) -> str:
    """The rule that the text breaks."""
    with pytest.raises(descriptors.InvalidDescriptor) as refusal:
        descriptors.parse(text)
    assert text not in refusal.value.message or not text
    return str(refusal.value.details["rule"])


def summed(body: str) -> str:
    return descriptors.with_checksum(body)


class TestParse:
    def test_reads_one_signer(self) -> None:
        found = descriptors.parse(signers.single(ANNE))
        assert (found.needed, found.is_multisig, found.fingerprints) == (1, False, (ANNE.fingerprint,))
        assert found.keys[0].path == (84 + 2**31, 1 + 2**31, 2**31)
        assert str(found) == signers.single(ANNE)

    def test_reads_two_of_three(self) -> None:
        text = signers.multi(2, [ANNE, BORIS, CAROL])
        found = descriptors.parse(text)
        assert (found.needed, found.is_multisig) == (2, True)
        assert found.fingerprints == (ANNE.fingerprint, BORIS.fingerprint, CAROL.fingerprint)
        assert str(found) == text
        assert found.checksum == text[-8:]

    def test_writes_hardened_steps_in_one_way(self) -> None:
        body = f"wpkh({ANNE.key(84, 1, 0)})"
        for mark in ("'", "H"):
            found = descriptors.parse(summed(body.replace("84h/1h/0h", f"84{mark}/1{mark}/0{mark}")))
            assert str(found) == summed(body)

    def test_takes_a_master_key_without_a_path(self) -> None:
        found = descriptors.parse(summed(f"wpkh({ANNE.key()})"))
        assert found.keys[0].path == ()
        assert found.keys[0].origin == f"[{ANNE.fingerprint}]"

    @pytest.mark.parametrize("count", [1, 15])
    def test_takes_up_to_fifteen_keys(self, count: int) -> None:
        crowd = [signers.SoftSigner(str(number)) for number in range(count)]
        assert len(descriptors.parse(signers.multi(count, crowd)).keys) == count


class TestRefusals:
    def test_names_the_rule(self) -> None:
        key, other = ANNE.key(84, 1, 0), BORIS.key(84, 1, 0)
        tpub = ANNE.tpub(84, 1, 0)
        good = signers.single(ANNE)
        crowd = [signers.SoftSigner(str(number)) for number in range(16)]
        cases = {
            "": "missing",
            good.replace("wpkh", "wpkh "): "not_ascii",
            good + "\n": "not_ascii",
            good.replace("t", "\u0442", 1): "not_ascii",
            "x" * 4_001: "too_long",
            good[:-9]: "checksum_missing",
            good[:-1] + ("q" if good[-1] != "q" else "p"): "checksum",
            good.replace(ANNE.fingerprint, BORIS.fingerprint): "checksum",
            good + "#": "checksum",
            summed(f"pkh({key})"): "form",
            summed(f"sh(wpkh({key}))"): "form",
            summed(f"tr({key})"): "form",
            summed(f"wsh(multi(1,{key}))"): "form",
            summed(f"wsh(sortedmulti({key}))"): "form",
            summed(f"wpkh({key},{other})"): "form",
            summed(f"wsh(sortedmulti(0,{key},{other}))"): "threshold",
            summed(f"wsh(sortedmulti(3,{key},{other}))"): "threshold",
            summed(f"wsh(sortedmulti(02,{key},{other}))"): "threshold",
            summed(f"wsh(sortedmulti(-1,{key},{other}))"): "threshold",
            signers.multi(2, crowd): "too_many_keys",
            summed(f"wpkh({tpub}/<0;1>/*)"): "origin_missing",
            summed(f"wpkh([]{tpub}/<0;1>/*)"): "origin",
            summed(f"wpkh([{ANNE.fingerprint}/84x/1h/0h]{tpub}/<0;1>/*)"): "origin",
            summed(f"wpkh([{ANNE.fingerprint}/2147483648/1h/0h]{tpub}/<0;1>/*)"): "origin",
            summed(f"wpkh([{ANNE.fingerprint[1:]}/84h/1h/0h]{tpub}/<0;1>/*)"): "origin",
            summed(f"wpkh({key[:-2]})"): "branches",
            summed(f"wpkh({key.replace('<0;1>', '0')})"): "branches",
            summed(f"wpkh({key.replace('<0;1>', '<0;2>')})"): "branches",
            summed(f"wpkh({key.replace('<0;1>', '<0;1;2>')})"): "branches",
            summed(f"wpkh({key}h)"): "hardened",
            summed(f"wpkh({key}')"): "hardened",
            summed(f"wpkh({key.replace('<0;1>', '<0h;1h>')})"): "hardened",
            summed(f"wpkh([{ANNE.fingerprint}]{MAINNET_XPUB}/<0;1>/*)"): "mainnet",
            summed(f"wpkh([{ANNE.fingerprint}/84h/1h/0h]{tpub[:-1]}/<0;1>/*)"): "key",
            summed(f"wpkh([{ANNE.fingerprint}/84h/1h/0h]{'02' * 33}/<0;1>/*)"): "key",
            summed(f"wpkh([{ANNE.fingerprint}/84h/1h]{tpub}/<0;1>/*)"): "origin_mismatch",
            summed(f"wpkh([{ANNE.fingerprint}/84h/1h/1h]{tpub}/<0;1>/*)"): "origin_mismatch",
            summed(f"wpkh([{BORIS.fingerprint}]{ANNE.tpub()}/<0;1>/*)"): "origin_mismatch",
            summed(f"wsh(sortedmulti(1,{key},{key}))"): "duplicate_key",
            summed(f"wsh(sortedmulti(1,{key},{ANNE.key(84, 1, 1)}))"): "duplicate_signer",
        }
        assert {text: refused(text) for text in cases} == cases

    def test_of_private_keys_comes_before_all_else_and_does_not_repeat_them(self) -> None:
        secret = ANNE.private_branches(84, 1, 0)[0]
        wif = "cVpF924EspNh8KjYsfhgY96mmxvT6DgdWiTYMtMjuM74hJaU5psW"
        for text in (f"wpkh({secret})", summed(f"wpkh({secret})"), secret, f"wpkh({wif})", "tr(" + secret):
            with pytest.raises(descriptors.InvalidDescriptor) as refusal:
                descriptors.parse(text)
            assert refusal.value.details == {"rule": "private_key"}
            assert "prv" not in refusal.value.message


class TestScripts:
    def test_of_one_signer_are_those_of_the_library(self) -> None:
        found = descriptors.parse(signers.single(ANNE))
        for branch, index in ((0, 0), (1, 0), (0, 7), (1, 2**31 - 1)):
            assert found.script_pubkey(branch, index) == library_script(found, branch, index)

    def test_of_several_are_those_of_the_library_whatever_the_order_of_the_keys(self) -> None:
        found = descriptors.parse(signers.multi(2, [ANNE, BORIS, CAROL]))
        turned = descriptors.parse(signers.multi(2, [CAROL, ANNE, BORIS]))
        for branch, index in ((0, 0), (1, 0), (0, 7), (1, 4_000)):
            ours = found.script_pubkey(branch, index)
            assert ours == library_script(found, branch, index) == turned.script_pubkey(branch, index)

    def test_are_of_one_branch_in_the_text_for_the_node(self) -> None:
        text = descriptors.parse(signers.single(ANNE)).of_branch(1)
        assert text[:-9] == f"wpkh({ANNE.key(84, 1, 0)})".replace("<0;1>", "1")
        assert text == summed(text[:-9])


class TestWeights:
    def test_of_one_signer(self) -> None:
        found = descriptors.parse(signers.single(ANNE))
        assert (found.input_weight, found.output_weight) == (fee.P2WPKH_INPUT_WEIGHT, 4 * 31)

    def test_of_several_count_every_signature_with_72_bytes(self) -> None:
        found = descriptors.parse(signers.multi(2, [ANNE, BORIS, CAROL]))
        assert (found.input_weight, found.output_weight) == (fee.P2WSH_2_OF_3_INPUT_WEIGHT, 4 * 43)
        # 164 of the bare input; a witness of 17 items, 15 signatures, and a script of 513 bytes with its length.
        assert fee.p2wsh_multisig_input_weight(15, 15) == 164 + 1 + 1 + 15 * 73 + 3 + 513

    def test_count_a_script_as_long_as_it_is(self) -> None:
        crowd = [signers.SoftSigner(str(number)) for number in range(8)]
        found = descriptors.parse(signers.multi(5, crowd))
        script = found.witness_script(0, 0)
        assert script is not None
        length = 1 if len(script) < 253 else 3
        assert found.input_weight == 164 + 1 + 1 + 5 * 73 + length + len(script)


class TestChecksum:
    def test_is_that_of_bip380(self) -> None:
        assert descriptors.checksum("raw(deadbeef)") == "89f8spxm"

    def test_has_no_place_for_other_characters(self) -> None:
        with pytest.raises(descriptors.InvalidDescriptor):
            descriptors.checksum("raw(déadbeef)")


def library_script(found: descriptors.Descriptor, branch: int, index: int) -> bytes:
    """The script that the library derives from the whole descriptor."""
    parsed = wallycore.descriptor_parse(str(found), None, wallycore.WALLY_NETWORK_BITCOIN_REGTEST, 0)
    return bytes(wallycore.descriptor_to_script(parsed, 0, 0, 0, branch, index, 0))
