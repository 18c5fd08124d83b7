"""The rules that a bundle keeps by itself: a right one is signed in full, and each change is refused by its own rule."""

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import wallycore
from hypothesis import given
from hypothesis import strategies as st

from payments.signer import bundle, manifest, psbt
from payments.signer.bundle import Bundle, Signature, SignedManifest
from payments.signer.config import Config
from payments.signer.descriptor import CHANGE, FUNDING
from payments.signer.refusal import Refusal, Unreadable
from tests.payments.signer import scene
from tests.payments.signer.scene import APPROVERS, MULTISIG, NOBODY, SINGLE, Coin, Draft

OWN = {"paid": [], "change": [(4, 199_000)]}
HASH = b"\x6a\x20" + b"\xab" * 32
ANCHOR: dict[str, Any] = {"kind": "anchor", "unspendable": [(0, HASH)], **OWN}


def refusal(given: Bundle, found: Config | None = None) -> str:
    """The code by which the bundle is refused, which it must be."""
    with pytest.raises(Refusal) as refused:
        scene.examine(given, found)
    return refused.value.code


def changed(made: str, change: Callable[[Any], None]) -> str:
    """A PSBT with something else in it."""
    parsed = wallycore.psbt_from_base64(made, 0)
    change(parsed)
    return str(wallycore.psbt_to_base64(parsed, 0))


class TestWhatIsRight:
    def test_pays_a_manifest_and_takes_change(self) -> None:
        examined = scene.examine(Draft().bundle())
        assert examined.payments_sat == 180_000
        assert [(p.vout, p.line.payment_id) for p in examined.payments] == [(0, 101), (1, 102), (2, 103)]
        assert [(c.vout, c.amount_sat, c.index) for c in examined.change] == [(3, 17_000, 4)]
        assert examined.fee_sat == 3_000
        # 10.5 for the tx, 68 for the input, 31 for each output.
        assert examined.vsize_vb == 203
        assert examined.approvers == ("approver 1",)
        assert [(k.fingerprint, b, i) for k, b, i in examined.keys] == [
            (SINGLE.keys[0].fingerprint, FUNDING, 1)
        ]
        assert len(examined.notes) == 1

    def test_takes_two_signers_of_three_and_coins_of_both_chains(self) -> None:
        draft = Draft(wallet=MULTISIG, coins=[Coin(1, 150_000), Coin(2, 50_000, CHANGE)])
        for signer in range(3):
            examined = scene.examine(draft.bundle(), scene.configure(MULTISIG, signer=signer))
            assert [(b, i) for _, b, i in examined.keys] == [(FUNDING, 1), (CHANGE, 2)]
            assert examined.vsize_vb == 356

    @pytest.mark.parametrize("kind", ["void", "child", "consolidation"])
    def test_pays_nobody_but_ourselves(self, kind: str) -> None:
        examined = scene.examine(Draft(kind=kind, **OWN).bundle())
        assert (examined.payments, examined.change_sat, examined.fee_sat) == ((), 199_000, 1_000)

    def test_anchors_one_hash_and_shows_it(self) -> None:
        examined = scene.examine(Draft(**ANCHOR).bundle())
        assert (examined.payments, examined.change_sat, examined.fee_sat) == ((), 199_000, 1_000)
        assert [(c.vout, c.amount_sat) for c in examined.change] == [(1, 199_000)]
        assert any("ab" * 32 in note for note in examined.notes)

    @pytest.mark.parametrize(
        ("outputs", "code"),
        [
            ([], "commitment_count"),
            ([(0, HASH), (0, HASH)], "commitment_count"),
            ([(1, HASH)], "change_not_ours"),
            ([(0, HASH[:-1])], "change_not_ours"),
            ([(0, HASH + b"\x00")], "change_not_ours"),
            ([(0, HASH), (0, b"\x6a\x01\x00")], "change_not_ours"),
            ([(0, HASH), (500, scene.script(1))], "change_not_ours"),
        ],
    )
    def test_anchors_nothing_else(self, outputs: list[tuple[int, bytes]], code: str) -> None:
        draft = ANCHOR | {"unspendable": outputs, "change": [(4, 190_000)]}
        assert refusal(Draft(**draft).bundle()) == code

    @pytest.mark.parametrize("kind", ["void", "child", "consolidation"])
    def test_takes_a_hash_in_an_anchor_only(self, kind: str) -> None:
        assert refusal(Draft(**ANCHOR | {"kind": kind}).bundle()) == "change_not_ours"

    def test_needs_no_change(self) -> None:
        assert scene.examine(Draft(coins=[Coin(1, 182_000)], change=[]).bundle()).fee_sat == 2_000

    def test_pays_some_of_a_list_and_one_script_twice(self) -> None:
        listed = scene.lines(5)
        twin = listed[1]._replace(payment_id=200)
        draft = Draft(paid=[listed[1], twin], listed=[*listed, twin], coins=[Coin(1, 140_000)])
        assert [p.line.payment_id for p in scene.examine(draft.bundle()).payments] == [102, 200]

    def test_notes_a_late_bundle_and_a_stranger_among_the_approvers(self) -> None:
        draft = Draft(approvers=(APPROVERS[0], APPROVERS[2]))
        examined = scene.examine(draft.bundle(deadline_at=scene.NOW.replace(hour=11)))
        assert examined.notes[0] == "The deadline has passed; ask whether this is still wanted."
        assert scene.public(APPROVERS[2]).hex() in examined.notes[2]
        assert examined.approvers == ("approver 1",)

    def test_asks_for_as_many_approvers_as_configured(self) -> None:
        both = replace(scene.configure(), approvals_needed=2)
        assert scene.examine(Draft(approvers=APPROVERS[:2]).bundle(), both).approvers == (
            "approver 1",
            "approver 2",
        )
        assert refusal(Draft(approvers=APPROVERS[:1]).bundle(), both) == "manifest_signatures"


class TestTamperedField:
    """Every field of a right bundle, altered in turn."""

    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("network", "main", "network_main"),
            ("network", "bitcoin", "network_main"),
            ("network", "signet", "network_other"),
            ("wallet", "govpay-other", "wallet_other"),
            ("descriptor", MULTISIG.text, "descriptor_other"),
            ("txid", "ab" * 32, "txid_other"),
            ("psbt", Draft(payout_id=8, coins=[Coin(9)]).psbt(), "txid_other"),
            ("payment_ids", (101, 102, 103), "output_count"),
            ("payment_ids", (101, 102, 103, None, None), "output_count"),
            ("payment_ids", (101, 102, 101, None), "payment_twice"),
            ("payment_ids", (102, 101, 103, None), "payment_script"),
            ("payment_ids", (101, 102, 999, None), "payment_not_listed"),
            ("payment_ids", (101, 102, None, None), "change_not_ours"),
            ("payment_ids", (101, 102, 103, 104), "payment_not_listed"),
        ],
    )
    def test_is_refused(self, field: str, value: Any, code: str) -> None:
        assert refusal(Draft().bundle(**{field: value})) == code

    def test_of_every_kind_that_the_configuration_does_not_allow(self) -> None:
        for kind in bundle.KINDS:
            others = tuple(k for k in bundle.KINDS if k != kind)
            own = ANCHOR if kind == bundle.ANCHOR else {"kind": kind, **OWN}
            draft = Draft(kind=kind) if kind in bundle.PAYING else Draft(**own)
            assert refusal(draft.bundle(), scene.configure(kinds=others)) == "kind_not_allowed"
            scene.examine(draft.bundle(), scene.configure(kinds=(kind,)))

    def test_of_a_kind_that_pays_nobody(self) -> None:
        paid = Draft().bundle()
        nobody = (None,) * len(paid.payment_ids)
        for kind in ("void", "child", "consolidation"):
            assert refusal(replace(paid, kind=kind, manifests=(), payment_ids=nobody)) == "change_not_ours"


class TestTamperedManifest:
    def test_of_another_network_or_program(self) -> None:
        assert refusal(Draft(header={"network": "signet"}).bundle()) == "manifest_network"
        assert refusal(Draft(header={"program": "SCHOOLS"}).bundle()) == "manifest_program"

    @pytest.mark.parametrize(
        ("header", "code"),
        [({"payment_count": 4}, "manifest_totals"), ({"total": 180_001}, "manifest_totals")],
    )
    def test_that_does_not_add_up(self, header: dict[str, int], code: str) -> None:
        assert refusal(Draft(header=header).bundle()) == code

    def test_that_was_changed_after_it_was_signed(self) -> None:
        """Money to a thief: tx and text agree, and only the signatures do not."""
        honest, stolen = scene.lines(), scene.lines()
        stolen[1] = stolen[1]._replace(script_pubkey=scene.script(666))
        signatures = Draft(paid=honest).bundle().manifests[0].signatures
        text = scene.manifest_of(stolen)
        given = Draft(paid=stolen).bundle(manifests=(SignedManifest(text, signatures),))
        assert refusal(given) == "manifest_signature"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"script_pubkey": scene.script(666)}, "payment_script"),
            ({"amount": 60_001}, "payment_amount"),
            ({"payment_id": 104}, "payment_not_listed"),
        ],
    )
    def test_that_says_otherwise_than_the_tx(self, change: dict[str, Any], code: str) -> None:
        listed = scene.lines()
        listed[1] = listed[1]._replace(**change)
        listed.sort(key=lambda line: line.payment_id)
        assert refusal(Draft(listed=listed).bundle()) == code

    @pytest.mark.parametrize("listed", [b"", NOBODY, scene.script(102)])
    def test_with_a_line_that_an_output_without_a_script_pays(self, listed: bytes) -> None:
        """Whoever comes first takes such an output; a line that waits for its person is no leave to make one."""
        agreed, sent = scene.lines(), scene.lines()
        agreed[1], sent[1] = agreed[1]._replace(script_pubkey=listed), sent[1]._replace(script_pubkey=NOBODY)
        given = scene.of_nobody(Draft(listed=agreed, paid=sent))
        assert psbt.decode(given.psbt).outputs[1].script_pubkey == b""
        assert refusal(given) == "payment_script"

    @pytest.mark.parametrize("paid", [scene.script(102), scene.script(666), NOBODY])
    def test_with_a_line_that_waits_for_its_person(self, paid: bytes) -> None:
        agreed, sent = scene.lines(), scene.lines()
        agreed[1], sent[1] = agreed[1]._replace(script_pubkey=b""), sent[1]._replace(script_pubkey=paid)
        assert refusal(Draft(listed=agreed, paid=sent).bundle()) == "payment_script"

    def test_that_waits_for_its_person_is_left_out_and_the_rest_is_signed(self) -> None:
        agreed = scene.lines()
        agreed[1] = agreed[1]._replace(script_pubkey=b"")
        rest = [agreed[0], agreed[2]]
        examined = scene.examine(Draft(listed=agreed, paid=rest, coins=[Coin(1, 140_000)]).bundle())
        assert [paid.line for paid in examined.payments] == rest

    @pytest.mark.parametrize("kind", ["original", "void", "child", "consolidation", "anchor"])
    def test_that_nobody_explains_is_no_change_without_a_script(self, kind: str) -> None:
        own: dict[str, Any] = {"change": [(4, 16_000)]} if kind == "original" else {"kind": kind, **OWN}
        hashes = [(0, HASH)] if kind == "anchor" else []
        draft = Draft(**own | {"unspendable": [*hashes, (500, NOBODY)]})
        assert refusal(scene.of_nobody(draft)) == "change_not_ours"

    def test_without_an_approver_that_is_trusted(self) -> None:
        assert refusal(Draft(approvers=()).bundle()) == "manifest_signatures"
        assert refusal(Draft(approvers=(APPROVERS[2],)).bundle()) == "manifest_signatures"

    def test_with_a_signature_of_something_else(self) -> None:
        given = Draft().bundle()
        text = given.manifests[0].text
        key = APPROVERS[0]
        for message in (text.encode(), manifest.signed_message(bytes(32)), b""):
            forged = Signature(scene.public(key), manifest.sign(key, message))
            tampered = replace(given, manifests=(SignedManifest(text, (forged,)),))
            assert refusal(tampered) == "manifest_signature"

    def test_that_is_no_manifest(self) -> None:
        with pytest.raises(Unreadable) as refused:
            scene.examine(Draft().bundle(manifests=(scene.approve("hello\n", APPROVERS[0]),)))
        assert refused.value.code == "manifest_format"


class TestTamperedInput:
    def test_with_a_script_that_is_not_ours(self) -> None:
        foreign = wallycore.tx_output_init(200_000, scene.script(1))
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_input_witness_utxo(p, 0, foreign))
        assert refusal(Draft().bundle(psbt=text)) == "input_not_ours"

    @pytest.mark.parametrize(
        ("branch", "index"), [(FUNDING, 2), (CHANGE, 1)], ids=["another index", "another chain"]
    )
    def test_with_a_derivation_to_another_script(self, branch: int, index: int) -> None:
        other = Draft().keypaths(branch, index)
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_input_keypaths(p, 0, other))
        assert refusal(Draft().bundle(psbt=text)) == "input_not_ours"

    @pytest.mark.parametrize(
        ("fingerprint", "path"),
        [
            ("00000000", [*SINGLE.keys[0].path, 0, 1]),
            (SINGLE.keys[0].fingerprint.hex(), [*SINGLE.keys[0].path, 0]),
            (SINGLE.keys[0].fingerprint.hex(), [*SINGLE.keys[0].path, 0, 1, 0]),
            (SINGLE.keys[0].fingerprint.hex(), [*SINGLE.keys[0].path, 2, 1]),
            (SINGLE.keys[0].fingerprint.hex(), [*SINGLE.keys[0].path, 0, 0x80000001]),
            (SINGLE.keys[0].fingerprint.hex(), [0, 1]),
        ],
    )
    def test_with_an_odd_path(self, fingerprint: str, path: list[int]) -> None:
        odd = wallycore.map_keypath_public_key_init(1)
        public_key = SINGLE.public_key(SINGLE.keys[0], 0, 1)
        wallycore.map_keypath_add(odd, public_key, bytes.fromhex(fingerprint), path)
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_input_keypaths(p, 0, odd))
        assert refusal(Draft().bundle(psbt=text)) == "input_not_ours"

    def test_without_derivation_or_amount(self) -> None:
        none = wallycore.map_keypath_public_key_init(0)
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_input_keypaths(p, 0, none))
        assert refusal(Draft().bundle(psbt=text)) == "input_not_ours"
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_input_witness_utxo(p, 0, None))
        assert refusal(Draft().bundle(psbt=text)) == "input_amount_missing"

    def test_with_another_witness_script(self) -> None:
        draft, config = Draft(wallet=MULTISIG), scene.configure(MULTISIG)
        other = MULTISIG.witness_script(FUNDING, 2)
        text = changed(draft.psbt(), lambda p: wallycore.psbt_set_input_witness_script(p, 0, other))
        assert refusal(draft.bundle(psbt=text), config) == "input_witness_script"
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_input_witness_script(p, 0, other))
        assert refusal(Draft().bundle(psbt=text)) == "input_witness_script"

    @pytest.mark.parametrize("sighash", [2, 3, 0x81, 0x82, 0x83])
    def test_that_asks_for_less_than_the_whole_tx(self, sighash: int) -> None:
        assert refusal(Draft(sighash=sighash).bundle()) == "input_sighash"

    def test_that_says_nothing_of_its_sighash_is_signed_in_full(self) -> None:
        assert scene.examine(Draft(sighash=0).bundle()).fee_sat == 3_000

    def test_that_is_finished(self) -> None:
        given = Draft().bundle()
        signed = psbt.sign(given.psbt, scene.master(scene.WORDS[0]), scene.examine(given).keys)
        assert scene.examine(replace(given, psbt=signed)).facts.inputs[0].signature_count == 1
        text = changed(signed, lambda p: wallycore.psbt_finalize(p, 0))
        assert refusal(replace(given, psbt=text)) == "input_final"

    def test_with_a_lock_time(self) -> None:
        assert refusal(Draft(sequence=100).bundle()) == "input_sequence"
        assert refusal(Draft(locktime=1_000_000).bundle()) == "tx_locktime"
        assert refusal(Draft(version=1).bundle()) == "tx_version"

    def test_that_is_spent_twice(self) -> None:
        with pytest.raises(Refusal) as refused:
            scene.examine(Draft(coins=[Coin(1, 100_000), Coin(1, 100_000)]).bundle())
        assert refused.value.code in {"input_twice", "psbt_malformed"}


class TestPreviousTx:
    """Only the whole previous tx proves an amount before the signature does."""

    def make(self, *, said_sat: int, real_sat: int) -> Bundle:
        previous = wallycore.tx_init(2, 0, 1, 1)
        wallycore.tx_add_raw_input(previous, b"\x07" * 32, 0, 0xFFFFFFFF, None, None, 0)
        wallycore.tx_add_raw_output(previous, real_sat, SINGLE.script_pubkey(FUNDING, 0), 0)

        class Proved(Coin):
            txid = bytes(wallycore.tx_get_txid(previous))  # type: ignore[assignment]

        draft = Draft(coins=[Proved(0, said_sat)])
        text = changed(draft.psbt(), lambda p: wallycore.psbt_set_input_utxo(p, 0, previous))
        return draft.bundle(psbt=text)

    def test_is_asked_for_where_the_configuration_says_so(self) -> None:
        config = scene.configure(needs_previous_txs=True)
        assert refusal(Draft().bundle(), config) == "input_unproved"
        examined = scene.examine(self.make(said_sat=200_000, real_sat=200_000), config)
        assert (examined.fee_sat, examined.notes) == (3_000, ())

    def test_shows_a_lie(self) -> None:
        assert refusal(self.make(said_sat=200_000, real_sat=900_000)) == "psbt_malformed"


class TestTamperedChange:
    def test_to_the_funding_chain(self) -> None:
        assert refusal(Draft(change_branch=FUNDING).bundle()) == "change_not_ours"

    @pytest.mark.parametrize("index", [1_001, 2**31 - 1])
    def test_beyond_where_anybody_looks(self, index: int) -> None:
        """Ours, and lost all the same: a wallet that is restored looks through so many places only."""
        assert refusal(Draft(change=[(index, 17_000)]).bundle()) == "change_far"
        assert scene.examine(Draft(change=[(1_000, 17_000)]).bundle()).change_sat == 17_000

    def test_that_is_only_said_to_be_ours(self) -> None:
        draft = Draft()
        thief = scene.lines(1, start=666)[0]._replace(amount=17_000)
        stolen = replace(draft, paid=[*draft.paid, thief], change=[])
        text = changed(
            stolen.psbt(), lambda p: wallycore.psbt_set_output_keypaths(p, 3, draft.keypaths(CHANGE, 4))
        )
        given = draft.bundle(psbt=text, txid=psbt.decode(text).txid)
        assert refusal(given) == "change_not_ours"

    def test_without_a_derivation(self) -> None:
        none = wallycore.map_keypath_public_key_init(0)
        text = changed(Draft().psbt(), lambda p: wallycore.psbt_set_output_keypaths(p, 3, none))
        assert refusal(Draft().bundle(psbt=text)) == "change_not_ours"


class TestCaps:
    """At each cap, and one above it."""

    @pytest.mark.parametrize(
        ("cap", "least", "code"),
        [
            ("fee_sat", 3_000, "fee_cap"),
            ("feerate_sat_vb", 15, "feerate_cap"),
            ("fee_share_bps", 167, "fee_share_cap"),
            ("tx_sat", 183_000, "tx_cap"),
        ],
    )
    def test_holds(self, cap: str, least: int, code: str) -> None:
        assert scene.examine(Draft().bundle(), scene.configure(**{cap: least})).fee_sat == 3_000
        assert refusal(Draft().bundle(), scene.configure(**{cap: least - 1})) == code

    def test_holds_for_what_pays_nobody(self) -> None:
        void = Draft(kind="void", **OWN).bundle()
        assert (
            scene.examine(void, scene.configure(fee_sat=1_000, fee_share_bps=0, tx_sat=1_000)).fee_sat
            == 1_000
        )
        assert refusal(void, scene.configure(fee_sat=999)) == "fee_cap"

    def test_refuses_to_pay_more_than_there_is(self) -> None:
        assert refusal(Draft(coins=[Coin(1, 196_999)]).bundle()) == "fee_negative"


class TestAnyPsbt:
    """Whatever stands in the PSBT, what is signed pays the manifest and ourselves, or it is refused by a rule."""

    @given(st.data())
    def test_with_any_byte_changed(self, data: st.DataObject) -> None:
        made = Draft(wallet=MULTISIG, coins=[Coin(1), Coin(2, 20_000)])
        raw = bytearray(base64.b64decode(made.psbt()))
        for _ in range(data.draw(st.integers(1, 3))):
            raw[data.draw(st.integers(5, len(raw) - 1))] = data.draw(st.integers(0, 255))
        text = base64.b64encode(raw).decode()
        try:
            facts = psbt.decode(text)
            examined = scene.examine(
                made.bundle(psbt=text, txid=facts.txid), scene.configure(MULTISIG, signer=1)
            )
        except Refusal:
            return
        assert [paid.line for paid in examined.payments] == made.paid
        for change in examined.change:
            ours = MULTISIG.script_pubkey(CHANGE, change.index)
            assert facts.outputs[change.vout].script_pubkey == ours
        assert examined.fee_sat <= scene.CAPS.fee_sat
        signed = psbt.sign(text, scene.master(scene.WORDS[1]), examined.keys)
        public_keys = [MULTISIG.public_key(*key) for key in examined.keys]
        assert psbt.require_signed(text, signed, public_keys) == signed

    @given(st.data())
    def test_with_any_character_of_the_bundle_changed(self, data: st.DataObject) -> None:
        text = bundle.dump(Draft().bundle())
        at = data.draw(st.integers(0, len(text) - 2))
        changed_text = (
            text[:at] + data.draw(st.sampled_from('0123456789abcdefABZ"{}[],:|\\n')) + text[at + 1 :]
        )
        try:
            examined = scene.examine(bundle.load(changed_text))
        except Refusal:
            return
        assert [paid.line for paid in examined.payments] == scene.lines()
        assert [change.index for change in examined.change] == [4]


class TestPsbt:
    @pytest.mark.parametrize("text", ["", "cHNidP8=", "cHNidP8BAA==", "x", "cHNidP8\0", "é"])
    def test_refuses_what_is_none(self, text: str) -> None:
        with pytest.raises(Unreadable) as refused:
            psbt.decode(text)
        assert refused.value.code == "psbt_malformed"

    def test_refuses_version_2(self) -> None:
        text = changed(
            Draft().psbt(), lambda p: wallycore.psbt_set_version(p, 0, wallycore.WALLY_PSBT_VERSION_2)
        )
        with pytest.raises(Unreadable):
            psbt.decode(text)
