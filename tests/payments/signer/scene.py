"""A wallet with its signers, an approver with a key, and bundles that a signer signs, all without product or node."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import wallycore
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from payments.signer import bundle, descriptor, keys, manifest, memory, psbt, rules, store
from payments.signer.bundle import Bundle, Signature, SignedManifest
from payments.signer.config import Caps, Config
from payments.signer.descriptor import CHANGE, FUNDING, Descriptor
from payments.signer.manifest import Header, Line
from payments.signer.memory import Judged, Past
from payments.signer.rules import Examined
from payments.signer.store import Signed
from tests.psbts import maps_of, text_of

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
PASSPHRASE = b"correct horse battery staple"
WORDS = (
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about",
    "legal winner thank year wave sausage worth useful legal winner thank yellow",
    "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
)
# OP_TRUE, of which an empty script is made.
NOBODY = b"\x51"
APPROVERS = tuple(Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))


def master(words: str) -> Any:
    """The master private key of BIP39 words."""
    seed = wallycore.bip39_mnemonic_to_seed512(words, None)
    return wallycore.bip32_key_from_seed(seed, wallycore.BIP32_VER_TEST_PRIVATE, 0)


def origin(words: str, path: str) -> str:
    """The public key of these words as a descriptor takes it."""
    key = master(words)
    account = wallycore.bip32_key_from_parent_path(
        key, list(descriptor.parse_path(path)), wallycore.BIP32_FLAG_KEY_PRIVATE
    )
    xpub = wallycore.bip32_key_to_base58(account, wallycore.BIP32_FLAG_KEY_PUBLIC)
    return f"[{bytes(wallycore.bip32_key_get_fingerprint(key)).hex()}{path[1:]}]{xpub}"


SINGLE = descriptor.parse(descriptor.compose([origin(WORDS[0], keys.SINGLE_PATH)], None))
MULTISIG = descriptor.parse(descriptor.compose([origin(w, keys.MULTISIG_PATH) for w in WORDS], 2))


def script(number: int) -> bytes:
    """Some person's P2WPKH script."""
    return b"\x00\x14" + hashlib.sha256(f"person {number}".encode()).digest()[:20]


def public(key: Ed25519PrivateKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_key().public_bytes_raw()


def lines(count: int = 3, *, start: int = 101) -> list[Line]:
    """Payments of 50,000 sat and more."""
    return [Line(start + n, 7_000 + start + n, script(start + n), 50_000 + 10_000 * n) for n in range(count)]


def manifest_of(paid: Sequence[Line], **changes: Any) -> str:
    """The text of a list of these payments."""
    header = Header(
        "regtest", "PENSIONS", 12, "2026-11", "pension", len(paid), sum(x.amount for x in paid), 60_000
    )
    return manifest.header_text(header._replace(**changes)) + "".join(map(manifest.line_text, paid))


def approve(text: str, *approvers: Ed25519PrivateKey) -> SignedManifest:
    """The manifest with the signatures of these approvers."""
    message = manifest.signed_message(hashlib.sha256(text.encode()).digest())
    return SignedManifest(text, tuple(Signature(public(k), manifest.sign(k, message)) for k in approvers))


@dataclass
class Coin:
    """One of our own coins; it may lie about its amount."""

    number: int
    amount_sat: int = 200_000
    branch: int = FUNDING
    made_by: str = ""

    @property
    def outpoint(self) -> str:
        """Txid and position."""
        return f"{self.txid[::-1].hex()}:{self.number}"

    @property
    def txid(self) -> bytes:
        """The id of the tx that made it, in internal order."""
        if self.made_by:
            return bytes.fromhex(self.made_by)[::-1]
        return hashlib.sha256(f"coin {self.number}".encode()).digest()


@dataclass
class Draft:
    """A tx that is right in every way, to be changed in one; ``bundle`` builds the file."""

    wallet: Descriptor = SINGLE
    kind: str = "original"
    payout_id: int = 7
    coins: list[Coin] = field(default_factory=lambda: [Coin(1)])
    paid: list[Line] = field(default_factory=lines)
    listed: list[Line] | None = None
    unspendable: list[tuple[int, bytes]] = field(default_factory=list)
    change: list[tuple[int, int]] = field(default_factory=lambda: [(4, 17_000)])
    change_branch: int = CHANGE
    sequence: int = 0xFFFFFFFD
    version: int = 2
    locktime: int = 0
    sighash: int = 1
    approvers: tuple[Ed25519PrivateKey, ...] = APPROVERS[:1]
    header: dict[str, Any] = field(default_factory=dict)

    def psbt(self) -> str:
        """The PSBT, with every derivation that a signer needs."""
        tx = wallycore.tx_init(
            self.version,
            self.locktime,
            len(self.coins),
            len(self.paid) + len(self.unspendable) + len(self.change),
        )
        for coin in self.coins:
            wallycore.tx_add_raw_input(tx, coin.txid, coin.number, self.sequence, None, None, 0)
        for line in self.paid:
            wallycore.tx_add_raw_output(tx, line.amount, line.script_pubkey, 0)
        for amount_sat, script_pubkey in self.unspendable:
            wallycore.tx_add_raw_output(tx, amount_sat, script_pubkey, 0)
        for index, amount_sat in self.change:
            change_script = self.wallet.script_pubkey(self.change_branch, index)
            wallycore.tx_add_raw_output(tx, amount_sat, change_script, 0)
        made = wallycore.psbt_from_tx(tx, wallycore.WALLY_PSBT_VERSION_0, 0)
        for index, coin in enumerate(self.coins):
            spent = self.wallet.script_pubkey(coin.branch, coin.number)
            wallycore.psbt_set_input_witness_utxo(
                made, index, wallycore.tx_output_init(coin.amount_sat, spent)
            )
            if witness_script := self.wallet.witness_script(coin.branch, coin.number):
                wallycore.psbt_set_input_witness_script(made, index, witness_script)
            wallycore.psbt_set_input_sighash(made, index, self.sighash)
            wallycore.psbt_set_input_keypaths(made, index, self.keypaths(coin.branch, coin.number))
        for n, (index, _) in enumerate(self.change, start=len(self.paid) + len(self.unspendable)):
            wallycore.psbt_set_output_keypaths(made, n, self.keypaths(self.change_branch, index))
        return str(wallycore.psbt_to_base64(made, 0))

    def keypaths(self, branch: int, index: int) -> Any:
        """What a PSBT says of the keys behind one of our scripts."""
        found = wallycore.map_keypath_public_key_init(len(self.wallet.keys))
        for key in self.wallet.keys:
            public_key = self.wallet.public_key(key, branch, index)
            wallycore.map_keypath_add(found, public_key, key.fingerprint, [*key.path, branch, index])
        return found

    def bundle(self, **changes: Any) -> Bundle:
        """The file's content, some of its fields changed."""
        text = self.psbt()
        pays = self.kind in bundle.PAYING
        agreed = manifest_of(self.paid if self.listed is None else self.listed, **self.header)
        made = Bundle(
            network="regtest",
            wallet="govpay-pensions",
            descriptor=self.wallet.text,
            payout_id=self.payout_id,
            txid=psbt.decode(text).txid,
            kind=self.kind,
            psbt=text,
            payment_ids=(
                *(line.payment_id for line in self.paid),
                *(None for _ in (*self.unspendable, *self.change)),
            ),
            manifests=(approve(agreed, *self.approvers),) if pays else (),
            deadline_at=NOW + timedelta(days=2),
        )
        return replace(made, **changes)


def without_script(made: str) -> str:
    """The PSBT whose output with the script `NOBODY` has an empty one, which the library writes for nobody."""
    (first, *rest), *others = maps_of(made)
    key, tx = first
    assert (key, tx.count(b"\x01" + NOBODY)) == (b"\x00", 1)
    return text_of([[(key, tx.replace(b"\x01" + NOBODY, b"\x00")), *rest], *others])


def of_nobody(draft: Draft) -> Bundle:
    """The bundle of a tx with an empty script, in which all else is right."""
    text = without_script(draft.psbt())
    return draft.bundle(psbt=text, txid=psbt.decode(text).txid)


CAPS = Caps(
    tx_sat=1_000_000,
    day_sat=2_000_000,
    fee_sat=20_000,
    feerate_sat_vb=50,
    fee_share_bps=1_000,
    change_index=1_000,
    kinds=bundle.KINDS,
    is_attended=True,
    needs_previous_txs=False,
    may_accept=(),
)


def configure(wallet: Descriptor = SINGLE, *, signer: int = 0, **caps: Any) -> Config:
    """A signer's configuration: one of the wallet's keys, and one of two approvers must have signed."""
    return Config(
        network="regtest",
        wallet="govpay-pensions",
        programs=("PENSIONS",),
        descriptor=wallet,
        key=wallet.keys[signer],
        key_file=Path("key.json"),
        approvers={public(key): f"approver {n}" for n, key in enumerate(APPROVERS[:2], start=1)},
        approvals_needed=1,
        caps=replace(CAPS, **caps),
    )


def examine(given: Bundle, found: Config | None = None) -> Examined:
    """Check a bundle by every rule that needs no memory."""
    return rules.examine(given, psbt.decode(given.psbt), found or configure(), now=NOW)


def judge(
    given: Bundle,
    earlier: Sequence[Signed] = (),
    found: Config | None = None,
    *,
    spent_sat: int = 0,
    accepted: Sequence[str] = (),
) -> Judged:
    """Check a bundle by every rule, with this past."""
    examined = examine(given, found)
    past = Past(tuple(earlier), spent_sat, NOW, of_list(earlier, examined))
    return memory.judge(examined, past, found or configure(), accepted=accepted)


def of_list(earlier: Sequence[Signed], examined: Examined) -> store.ListPast:
    """What these say of the list that is paid."""
    number = examined.manifest.header.disbursement_id if examined.manifest else 0
    listed = [one for one in earlier if one.listed_in == f"PENSIONS/{number}"]
    return store.ListPast(
        manifests=frozenset(one.manifest_sha256 for one in listed),
        prices=frozenset(one.price for one in listed),
        fees={
            one.payout_id: max(o.fee_sat for o in listed if o.payout_id == one.payout_id) for one in listed
        },
    )


def record(draft: Draft, earlier: Sequence[Signed] = ()) -> Signed:
    """What a signer remembers of a draft that it signed."""
    return judge(draft.bundle(), earlier).record
