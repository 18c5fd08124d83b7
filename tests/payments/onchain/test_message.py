"""Who controls an address signed a message: the published vectors, every kind of address, and what proves nothing."""

import base64

import pytest
import wallycore

from payments.onchain import message, tx
from payments.onchain.network import Network
from tests.holders import Holder

# Vectors of BIP-322 are of the main network, whose addresses the product refuses: they are read by the library here.
P2WPKH = "bc1q9vza2e8x573nczrlzms0wvx3gsqjx7vavgkx0l"
P2WSH = "bc1qp0ahvfh83088w49k405szqgg4f3pptr7p2g06tdxfjcd40z4lh4q95lsz9"
EMPTY = (
    "AkcwRAIgM2gBAQqvZX15ZiysmKmQpDrG83avLIT492QBzLnQIxYCIBaTpOaD20qRlEylyxFSeEA2ba9YOixpX8z46TSDtS40ASECx/EgAxlkQpQ9hYjg"
    "Gu6EBCPMVPwVIVJqO4XCsMvViHI="
)
MULTISIG = (
    "smpBQBHMEQCIFX9aaqPJWq2Ff2kpen5bFDTid+ehgUOpHV0LfjncXy4AiA3GNicF7aKPzdpa9PCpmaYQs3pHd+qbvvhXdxOCKCAMAFIMEUCIQD/ELXg6CNY"
    "yUQijCg96JtgvgjZb9dsl1Ctof4QAeyTcQIgVM/1AAblFl/DCt6A1gJg+T/i2qU5SQD09+chFJzolRwBSDBFAiEAlqRfSFyWNVQhvaCnmeV5tyneiCWMTcFb"
    "uujoD/pFa3wCIGnZjfQb8NolSYq9asV+ZeBSkCGHJcqnaV4JYS5MYPEGAWlTIQJ1aLEfEi/4p7wcV+XHZCBVvGGJZ7L3v+jhH+mZA8lN0yECCovfec+kIdll"
    "XpKCgA8RX/HZ2x5yHOtCSKP8/sf6pnwhAwxSng6kCgCXXSAmJOOZFdr3vdK3HzGqCFloOHgc5fM6U64="
)
OF_MULTISIG = "This will be a p2wsh 3-of-3 multisig BIP 322 signed message"
VECTORS = [
    (P2WPKH, "", EMPTY),
    (
        P2WPKH,
        "",
        "smpAkgwRQIhAPkJ1Q4oYS0htvyuSFHLxRQpFAY56b70UvE7Dxazen0ZAiAtZfFz1S6T6I23MWI2lK/pcNTWncuyL8UL+oMdydVgzAEhAsfxIAMZZEKUPYWI4B"
        "ruhAQjzFT8FSFSajuFwrDL1Yhy",
    ),
    (
        P2WPKH,
        "Hello World",
        "AkcwRAIgZRfIY3p7/DoVTty6YZbWS71bc5Vct9p9Fia83eRmw2QCICK/ENGfwLtptFluMGs2KsqoNSk89pO7F29zJLUx9a/sASECx/EgAxlkQpQ9hYjgGu6EBC"
        "PMVPwVIVJqO4XCsMvViHI=",
    ),
    (
        "bc1pss0zhytly75awhm6x2hhvd5lnzv3vssgrf9axfheq8ldyzn88ges79fler",
        "No prefix fallback",
        "AUCJYOwOjxYAvatTAGYaVlNXBVyFuc4MwNQkOuK2tl8xhfKDONd0NjfYyNSYcRqeCp8hsAnCEPHAVEkO9h6vbQ/R",
    ),
    (
        "bc1ppv609nr0vr25u07u95waq5lucwfm6tde4nydujnu8npg4q75mr5sxq8lt3",
        "Hello World",
        "AUHd69PrJQEv+oKTfZ8l+WROBHuy9HKrbFCJu7U1iK2iiEy1vMU5EfMtjc+VSHM7aU0SDbak5IUZRVno2P5mjSafAQ==",
    ),
    (P2WSH, OF_MULTISIG, MULTISIG),
]


def script(text: str) -> bytes:
    return bytes(wallycore.addr_segwit_to_bytes(text, "bc", 0))


def refused(script_pubkey: bytes, text: str, signed: str) -> str:
    with pytest.raises(message.ProofRefused) as error:
        message.verify(script_pubkey=script_pubkey, message=text, text=signed)
    return str(error.value.details["rule"])


class TestSimple:
    @pytest.mark.parametrize(
        ("text", "spend", "sign"),
        [
            (
                "",
                "c5680aa69bb8d860bf82d4e9cd3504b55dde018de765a91bb566283c545a99a7",
                "1e9654e951a5ba44c8604c4de6c67fd78a27e81dcadcfe1edf638ba3aaebaed6",
            ),
            (
                "Hello World",
                "b79d196740ad5217771c1098fc4a4b51e0535c32236c71f1ea4d61a2d603352b",
                "88737ae86f2077145f93cc4b153ae9a1cb8d56afa511988c149c5c8c9d93bddf",
            ),
            (
                "UTF-8 support: öäüéàè 测试文本 😄",
                "c8f4f525fe8afb1bc09b44175bd2096f079c98425e8a1be676b712add1fb62f0",
                "8f488e06b89eafd019ec528109eafaf7f1d1811fd617aa1eeb9658f1c1be6586",
            ),
        ],
    )
    def test_makes_the_txs_of_the_standard(self, text: str, spend: str, sign: str) -> None:
        made = message.to_spend(script(P2WPKH), text.encode())
        assert tx.double_sha256(made)[::-1].hex() == spend
        assert tx.double_sha256(message.to_sign(script(P2WPKH), text.encode()))[::-1].hex() == sign

    @pytest.mark.parametrize(("owner", "text", "signed"), VECTORS)
    def test_takes_the_signatures_of_the_standard(self, owner: str, text: str, signed: str) -> None:
        assert message.verify(script_pubkey=script(owner), message=text, text=signed) == "bip322"
        assert refused(script(owner), text + " ", signed) == "invalid"

    @pytest.mark.parametrize(
        ("owner", "text", "signed", "rule"),
        [
            (P2WPKH, "", "not-valid-base64!!!", "malformed"),
            (P2WPKH, "", "", "malformed"),
            (P2WPKH, "", "smpAA==", "malformed"),
            (P2WPKH, "", "fooAA==", "malformed"),
            (P2WPKH, "", "ful" + EMPTY, "malformed"),
            (P2WPKH, "", "A" * 8_004, "malformed"),
            (P2WPKH, "", "AkcwRAIg\uff2d", "malformed"),
            (P2WSH, "", EMPTY, "invalid"),
            (P2WPKH, OF_MULTISIG, MULTISIG, "invalid"),
        ],
    )
    def test_refuses_what_the_standard_calls_wrong(
        self, owner: str, text: str, signed: str, rule: str
    ) -> None:
        assert refused(script(owner), text, signed) == rule

    def test_refuses_another_sighash_than_all(self) -> None:
        raw = bytearray(base64.b64decode(EMPTY))
        raw[2 + raw[1] - 1] = 3
        assert refused(script(P2WPKH), "", base64.b64encode(raw).decode()) == "invalid"

    def test_refuses_a_second_witness_behind_the_first(self) -> None:
        doubled = base64.b64decode(EMPTY) * 2
        assert refused(script(P2WPKH), "", base64.b64encode(doubled).decode()) == "malformed"

    def test_takes_what_a_holder_signs_and_nobody_elses(self) -> None:
        asha, bilal = Holder("asha"), Holder("bilal")
        signed = asha.sign("I am here.")
        assert message.verify(script_pubkey=asha.p2wpkh, message="I am here.", text=signed) == "bip322"
        assert refused(bilal.p2wpkh, "I am here.", signed) == "invalid"

    def test_says_which_addresses_it_cannot_judge(self) -> None:
        asha = Holder("asha")
        assert refused(asha.p2pkh, "I am here.", asha.sign("I am here.")) == "unsupported"


class TestLegacy:
    def test_takes_the_signature_that_bitcoin_core_publishes(self) -> None:
        signed = "INbVnW4e6PeRmsv2Qgu8NuopvrVjkcxob+sX8OcZG0SALhWybUjzMLPdAsXI46YZGb0KQTRii+wWIQzRpG/U+S0="
        payload = bytes(wallycore.base58check_to_bytes("mpLQjfK79b7CCV4VMJWEWAj5Mpx8Up5zxB"))
        assert payload[0] == Network("regtest").p2pkh_version
        script_pubkey = b"\x76\xa9\x14" + payload[1:] + b"\x88\xac"
        text = "This is just a test message"
        assert message.verify(script_pubkey=script_pubkey, message=text, text=signed) == "legacy"
        assert refused(script_pubkey, text + ".", signed) == "invalid"

    @pytest.mark.parametrize("head", [31, 35, 39])
    def test_goes_by_the_key_whatever_kind_of_address_the_wallet_says(self, head: int) -> None:
        asha, bilal = Holder("asha"), Holder("bilal")
        signed = asha.sign_legacy("I am here.", head=head)
        nested = b"\xa9\x14" + bytes(wallycore.hash160(asha.p2wpkh)) + b"\x87"
        for script_pubkey in (asha.p2pkh, asha.p2wpkh, nested):
            assert message.verify(script_pubkey=script_pubkey, message="I am here.", text=signed) == "legacy"
        assert refused(bilal.p2pkh, "I am here.", signed) == "invalid"
        assert refused(asha.p2wpkh, "I am there.", signed) == "invalid"

    def test_of_an_uncompressed_key_proves_its_old_address_and_no_segwit_one(self) -> None:
        asha = Holder("asha")
        signed = asha.sign_legacy("I am here.", head=27)
        whole = bytes(wallycore.ec_public_key_decompress(asha.public))
        old = b"\x76\xa9\x14" + bytes(wallycore.hash160(whole)) + b"\x88\xac"
        assert message.verify(script_pubkey=old, message="I am here.", text=signed) == "legacy"
        for script_pubkey in (asha.p2pkh, asha.p2wpkh):
            assert refused(script_pubkey, "I am here.", signed) == "invalid"

    def test_is_refused_when_no_key_can_be_recovered(self) -> None:
        signed = base64.b64encode(bytes([31]) + bytes(64)).decode()
        assert refused(Holder("asha").p2pkh, "I am here.", signed) == "invalid"
