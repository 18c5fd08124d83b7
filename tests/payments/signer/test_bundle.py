"""The signing bundle: what was written is read, and anything else is refused with the field that is wrong."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.signer import bundle
from payments.signer.bundle import Bundle, Signature, SignedManifest
from payments.signer.refusal import Unreadable

PSBT = "cHNidP8BAAoCAAAAAAAAAAAAAA=="
DESCRIPTOR = "wpkh([00000000/84h/1h/0h]tpub/<0;1>/*)#abcdefgh"

signatures = st.builds(
    Signature, public_key=st.binary(min_size=32, max_size=32), signature=st.binary(min_size=64, max_size=64)
)
manifests = st.builds(
    SignedManifest,
    text=st.text(max_size=200),
    signatures=st.lists(signatures, max_size=4, unique_by=lambda s: s.public_key).map(tuple),
)
numbers = st.integers(min_value=1, max_value=bundle.MAX_NUMBER)
shared = {
    "network": st.sampled_from(["regtest", "signet"]),
    "wallet": st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    "descriptor": st.just(DESCRIPTOR),
    "payout_id": numbers,
    "txid": st.binary(min_size=32, max_size=32).map(bytes.hex),
    "psbt": st.just(PSBT),
    "deadline_at": st.integers(0, 253_402_300_799).map(lambda second: datetime.fromtimestamp(second, UTC)),
}
paying = st.builds(
    Bundle,
    kind=st.sampled_from(bundle.PAYING),
    payment_ids=st.lists(st.none() | numbers, max_size=20).map(lambda ids: (*ids, 1)),
    manifests=manifests.map(lambda one: (one,)),
    **shared,
)
own = st.builds(
    Bundle,
    kind=st.sampled_from(["void", "child", "consolidation", "anchor"]),
    payment_ids=st.lists(st.none(), max_size=3).map(tuple),
    manifests=st.just(()),
    **shared,
)


def valid() -> dict[str, Any]:
    """A bundle as JSON, to be changed in one place."""
    return {
        "format": "govpay-signing-1",
        "network": "regtest",
        "wallet": "govpay-pensions",
        "descriptor": DESCRIPTOR,
        "payout_id": 7,
        "txid": "ab" * 32,
        "kind": "original",
        "psbt": PSBT,
        "payment_ids": [1, None],
        "manifests": [
            {"text": "x", "signatures": [{"public_key": "cd" * 32, "signature": "ef" * 64}]},
        ],
        "deadline_at": "2026-11-27T09:30:00Z",
    }


class TestRoundTrip:
    @given(st.one_of(paying, own))
    def test_reads_what_it_wrote(self, made: Bundle) -> None:
        text = bundle.dump(made)
        assert bundle.load(text) == made
        assert bundle.load(text.encode()) == made
        assert bundle.dump(bundle.load(text)) == text

    def test_writes_the_documented_keys(self) -> None:
        text = bundle.dump(bundle.load(json.dumps(valid())))
        assert json.loads(text) == valid()
        assert text.endswith("}\n")
        assert text.isascii()

    def test_does_not_write_a_moment_without_a_zone(self) -> None:
        made = bundle.load(json.dumps(valid()))
        fields = {name: getattr(made, name) for name in Bundle.__slots__}  # type: ignore[attr-defined]
        with pytest.raises(Unreadable, match="deadline_at has no time zone"):
            bundle.dump(Bundle(**{**fields, "deadline_at": made.deadline_at.replace(tzinfo=None)}))


class TestLoad:
    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("network", "REG TEST"),
            ("network", None),
            ("wallet", ""),
            ("wallet", "../x"),
            ("wallet", "x" * 65),
            ("descriptor", "wpkh(x)"),
            ("descriptor", "wpkh(x)#abcdefg"),
            ("payout_id", 0),
            ("payout_id", -1),
            ("payout_id", True),
            ("payout_id", "7"),
            ("payout_id", 2**63),
            ("txid", "AB" * 32),
            ("txid", "ab" * 31),
            ("txid", "zz" * 32),
            ("txid", 5),
            ("kind", "payment"),
            ("kind", []),
            ("psbt", "AAAA"),
            ("psbt", PSBT + "\n"),
            ("psbt", "cHNidP8"),
            ("psbt", None),
            ("payment_ids", {}),
            ("payment_ids", [1] * 4_001),
            ("payment_ids", [None, None]),
            ("payment_ids", [0]),
            ("payment_ids", ["1"]),
            ("payment_ids", [True]),
            ("manifests", []),
            ("manifests", [valid()["manifests"][0]] * 2),
            ("manifests", "x"),
            ("manifests", [{"text": 5, "signatures": []}]),
            ("manifests", [{"text": "x", "signatures": [{"public_key": "cd", "signature": "ef" * 64}]}]),
            ("manifests", [{"text": "x", "signatures": valid()["manifests"][0]["signatures"] * 2}]),
            ("deadline_at", "2026-11-27 09:30:00Z"),
            ("deadline_at", "2026-11-27T09:30:00+00:00"),
            ("deadline_at", "2026-02-30T09:30:00Z"),
            ("deadline_at", "2026-1-27T09:30:00Z"),
            ("deadline_at", 5),
        ],
    )
    def test_refuses_a_wrong_value(self, field: str, value: Any) -> None:
        with pytest.raises(Unreadable) as refused:
            bundle.load(json.dumps(valid() | {field: value}))
        assert (refused.value.code, refused.value.exit_status) == ("bundle_field", 3)

    @pytest.mark.parametrize("field", sorted(valid()))
    def test_refuses_a_missing_key(self, field: str) -> None:
        content = valid()
        del content[field]
        with pytest.raises(Unreadable) as refused:
            bundle.load(json.dumps(content))
        assert (refused.value.code, refused.value.details["missing"]) == ("bundle_keys", [field])

    def test_refuses_an_unknown_key(self) -> None:
        with pytest.raises(Unreadable) as refused:
            bundle.load(json.dumps(valid() | {"extra": 1}))
        assert (refused.value.code, refused.value.details["unknown"]) == ("bundle_keys", ["extra"])
        inside = valid()
        inside["manifests"][0]["signatures"][0]["name"] = "x"
        with pytest.raises(Unreadable) as refused:
            bundle.load(json.dumps(inside))
        assert refused.value.code == "bundle_keys"

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[",
            "{} {}",
            '{"format":"govpay-signing-1","format":"govpay-signing-1"}',
            '{"payout_id":1e2}',
            '{"payout_id":NaN}',
            '{"wallet":"é"}',
            "[" * 100_000,
            b"\xff",
        ],
    )
    def test_refuses_what_is_not_plain_json(self, text: str | bytes) -> None:
        with pytest.raises(Unreadable) as refused:
            bundle.load(text)
        assert refused.value.code == "bundle_json"

    @pytest.mark.parametrize("text", ["[]", "5", "null", '"x"'])
    def test_refuses_what_is_not_an_object(self, text: str) -> None:
        with pytest.raises(Unreadable, match="the bundle is not an object"):
            bundle.load(text)

    def test_refuses_another_format(self) -> None:
        with pytest.raises(Unreadable) as refused:
            bundle.load(json.dumps(valid() | {"format": "govpay-signing-3"}))
        assert refused.value.code == "bundle_format"

    def test_refuses_a_file_that_is_too_large(self) -> None:
        with pytest.raises(Unreadable) as refused:
            bundle.load(b" " * (bundle.MAX_BYTES + 1))
        assert refused.value.code == "bundle_size"

    @pytest.mark.parametrize("kind", ["void", "child", "consolidation", "anchor"])
    def test_refuses_payments_in_what_pays_nobody(self, kind: str) -> None:
        for change in ({"manifests": []}, {"payment_ids": [None]}):
            with pytest.raises(Unreadable) as refused:
                bundle.load(json.dumps(valid() | {"kind": kind} | change))
            assert refused.value.details == {"field": "payment_ids"}
