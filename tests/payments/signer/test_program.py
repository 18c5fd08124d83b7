"""The signer as a program: set up, approving, signing, refusing, with its exit codes and nothing of the product."""

import dataclasses
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import wallycore

from payments.signer import bundle, descriptor, keys, manifest, psbt
from payments.signer.refusal import KeyRefused
from tests.payments.signer import scene
from tests.payments.signer.host import ROOT, SECRET, Host
from tests.payments.signer.scene import SINGLE, WORDS, Draft

MAINNET_KEY = str(
    wallycore.bip32_key_to_base58(
        wallycore.bip32_key_from_seed(b"seed" * 8, wallycore.BIP32_VER_MAIN_PRIVATE, 0),
        wallycore.BIP32_FLAG_KEY_PRIVATE,
    )
)
# The code of a refusal where it is raised.
RAISED = re.compile(
    r"(?:Refusal|Unreadable|KeyRefused|DeviceFailed|StoreFailed|NotConfirmed)\(\s*\"([a-z_]+)\""
)
FINGERPRINT = "73c5da0a"
SLEEPER = """
import json, os, pathlib, sys, time
command = sys.stdin.readline()
if command.startswith("enumerate"):
    print(json.dumps([{"model": "slow", "fingerprint": "73c5da0a"}]))
else:
    part = pathlib.Path(__file__).with_name("part")
    part.write_text(str(os.getpid()))
    part.rename(part.with_name("asked"))
    time.sleep(600)
"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    (tmp_path / "home").mkdir(mode=0o700)
    return Host(tmp_path / "home")


@pytest.fixture
def signer(host: Host) -> Host:
    """A signer with the key of the single wallet."""
    host.import_key(WORDS[0])
    host.init(SINGLE.text)
    return host


@pytest.fixture
def device(host: Host) -> Host:
    """A signer whose key is in a device."""
    host.init(SINGLE.text, "--device", FINGERPRINT)
    return host


def signed_tx(text: str) -> str:
    """The network's form of a PSBT that needs no more signatures."""
    parsed = wallycore.psbt_from_base64(text.strip(), 0)
    wallycore.psbt_finalize(parsed, 0)
    return str(wallycore.tx_to_hex(wallycore.psbt_extract(parsed, 0), 1))


class TestSetUp:
    def test_makes_a_key_whose_words_make_it_again(self, host: Host, tmp_path: Path) -> None:
        out = host.run("key", "new", "--network", "regtest", secrets=(SECRET,))
        shown = out.splitlines()
        words = " ".join(word for line in shown[1:5] for word in line.split()[1::2])
        assert len(words.split()) == 24
        other = Host(tmp_path / "other")
        assert other.import_key(words) == shown[-1]
        assert (host.home / "key.json").stat().st_mode & 0o777 == 0o600
        assert words not in (host.home / "key.json").read_text()

    def test_composes_the_descriptor_of_its_signers(self, host: Host, tmp_path: Path) -> None:
        shown = [Host(tmp_path / str(n)).import_key(words, "--multisig") for n, words in enumerate(WORDS)]
        assert host.run("descriptor", "--needed", "2", *shown).strip() == scene.MULTISIG.text
        assert shown == [scene.origin(words, keys.MULTISIG_PATH) for words in WORDS]

    def test_imports_a_master_private_key(self, host: Host, tmp_path: Path) -> None:
        tprv = wallycore.bip32_key_to_base58(scene.master(WORDS[1]), wallycore.BIP32_FLAG_KEY_PRIVATE)
        assert host.import_key(str(tprv)) == scene.origin(WORDS[1], keys.SINGLE_PATH)
        assert host.run("key", "show").splitlines()[-1] == scene.origin(WORDS[1], keys.SINGLE_PATH)

    @pytest.mark.parametrize(
        ("secrets", "code"),
        [
            ((SECRET, "abandon " * 12), "key_words"),
            (
                (
                    SECRET,
                    MAINNET_KEY,
                ),
                "key_main",
            ),
            ((SECRET, "tprvnonsense"), "key_secret"),
            (("tiny", WORDS[0]), "passphrase_short"),
            ((SECRET,), "passphrase_fd"),
        ],
    )
    def test_refuses_other_keys(self, host: Host, secrets: tuple[str, ...], code: str) -> None:
        err = host.run("key", "import", "--network", "regtest", secrets=secrets, code=4)
        assert err.startswith(f"refused ({code}): ")
        assert not (host.home / "key.json").exists()

    def test_never_replaces_a_key_or_a_store(self, signer: Host) -> None:
        before = (signer.home / "key.json").read_bytes()
        err = signer.run("key", "new", "--network", "regtest", secrets=(SECRET,), code=4)
        assert "key_exists" in err
        assert (signer.home / "key.json").read_bytes() == before
        (signer.home / "config.toml").unlink()
        with pytest.raises(AssertionError, match="store_exists"):
            signer.init(SINGLE.text)

    def test_refuses_a_descriptor_without_its_key_and_the_main_network(self, host: Host) -> None:
        host.import_key(WORDS[1])
        with pytest.raises(AssertionError, match="key_other"):
            host.init(SINGLE.text)
        assert not (host.home / "store.sqlite").exists()
        assert "invalid choice" in host.run("key", "new", "--network", "main", code=2)

    def test_refuses_a_wallet_where_two_groups_need_not_meet(self, host: Host, tmp_path: Path) -> None:
        """Each would pay the same people from other coins, and neither's memory would know."""
        shown = [Host(tmp_path / str(n)).import_key(words, "--multisig") for n, words in enumerate(WORDS)]
        host.import_key(WORDS[0], "--multisig")
        for needed, keys_in_all in ((1, 2), (1, 3)):
            some = shown[:keys_in_all]
            assert "config_overlap" in host.run("descriptor", "--needed", str(needed), *some, code=3)
            text = descriptor.compose(some, needed)
            with pytest.raises(AssertionError, match="config_overlap"):
                host.init(text)
            assert not (host.home / "store.sqlite").exists()
        host.init(host.run("descriptor", "--needed", "2", *shown).strip())
        assert "needs_previous_txs = true" in (host.home / "config.toml").read_text()

    def test_trusts_no_approver_for_whom_anybody_can_sign(self, host: Host) -> None:
        host.import_key(WORDS[0])
        with pytest.raises(AssertionError, match="is a key that anybody can sign for"):
            host.init(SINGLE.text, "--approver", f"bruno={'01' + '00' * 31}")
        assert not (host.home / "store.sqlite").exists()

    def test_refuses_a_signer_who_would_count_twice(self, host: Host) -> None:
        one, other = (scene.origin(WORDS[0], path) for path in (keys.MULTISIG_PATH, keys.SINGLE_PATH))
        err = host.run("descriptor", "--needed", "2", one, other, code=3)
        assert err.startswith("refused (descriptor): ")

    def test_asks_at_a_terminal_only(self, host: Host) -> None:
        err = host.run("key", "new", "--network", "regtest", code=4)
        assert err.startswith("refused (passphrase_terminal): ")

    def test_explains_itself(self, host: Host) -> None:
        out = host.run("--help")
        assert "6  the store is missing, busy or was altered" in out
        for command in ("key", "init", "approver", "approve", "inspect", "sign", "history", "verify-store"):
            assert "usage: python -m payments.signer" in host.run(command, "--help")

    def test_loads_nothing_of_the_product(self) -> None:
        program = (
            "import sys, payments.signer.__main__\n"
            "found = {name.split('.')[0] for name in sys.modules}\n"
            "assert not found & {'django', 'psycopg', 'celery', 'redis', 'govpay', 'ledger', 'bitcoin'}, found\n"
            "ours = {name for name in sys.modules if name.startswith('payments.')}\n"
            "assert all(name.startswith('payments.signer') for name in ours), ours\n"
        )
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)


class TestApprove:
    def test_signs_what_the_product_checks(self, host: Host) -> None:
        key = host.home / "approver.json"
        out = host.run("approver", "new", "--user", "amina", "--key", str(key), secrets=(SECRET,))
        registration = json.loads(out.splitlines()[-1])
        public_key = bytes.fromhex(registration["public_key"])
        proof = bytes.fromhex(registration["proof"])
        assert manifest.is_signed(public_key, proof, manifest.possession_message("amina", public_key))
        assert json.loads(host.run("approver", "show", "--key", str(key))) == registration
        text = scene.manifest_of(scene.lines(8))
        path, result = host.write("list.txt", text), host.home / "signature.json"
        digest = hashlib.sha256(text.encode()).digest()
        command = ("approve", str(path), "--key", str(key), "--out", str(result), "--sha256", digest.hex())
        out = host.run(*command, secrets=(SECRET,), says="approve\n")
        for shown in ("PENSIONS", "8 (8 P2WPKH)", "680,000 sat", digest.hex(), "120,000", "bcrt1q"):
            assert shown in out
        found = json.loads(result.read_text())
        assert (found["manifest_sha256"], found["public_key"]) == (digest.hex(), public_key.hex())
        signature = bytes.fromhex(found["signature"])
        assert manifest.is_signed(public_key, signature, manifest.signed_message(digest))

    @pytest.mark.parametrize(("network", "code"), [("main", "network_main"), ("elsewhere", "network")])
    def test_signs_for_no_other_network(self, host: Host, network: str, code: str) -> None:
        key, out = host.home / "approver.json", host.home / "signature.json"
        host.run("approver", "new", "--user", "amina", "--key", str(key), secrets=(SECRET,))
        path = host.write("list.txt", scene.manifest_of(scene.lines(), network=network))
        command = ("approve", str(path), "--key", str(key), "--out", str(out))
        err = host.run(*command, secrets=(SECRET,), says="approve\n", code=1)
        assert err.startswith(f"refused ({code}): ")
        assert not out.exists()

    def test_signs_nothing_else(self, host: Host) -> None:
        key, result = host.home / "approver.json", host.home / "signature.json"
        host.run("approver", "new", "--user", "amina", "--key", str(key), secrets=(SECRET,))
        path = host.write("list.txt", scene.manifest_of(scene.lines()))
        command = ("approve", str(path), "--key", str(key), "--out", str(result))
        assert "not_confirmed" in host.run(*command, secrets=(SECRET,), says="no\n", code=7)
        assert "passphrase" in host.run(*command, secrets=("wrong passphrase",), says="approve\n", code=4)
        assert "manifest_other" in host.run(*command, "--sha256", "00" * 32, secrets=(SECRET,), code=1)
        host.write("list.txt", scene.manifest_of(scene.lines(), total=1))
        assert "manifest_totals" in host.run(*command, secrets=(SECRET,), code=3)
        key.chmod(0o644)
        assert "key_permissions" in host.run(*command, secrets=(SECRET,), code=4)
        assert not result.exists()


class TestSign:
    def test_shows_asks_remembers_and_signs(self, signer: Host) -> None:
        given = Draft().bundle()
        path, out = signer.write("payout.json", bundle.dump(given)), signer.home / "signed.psbt"
        shown = signer.run("inspect", str(path))
        for text in (given.txid, "approver 1 (1 needed)", "PENSIONS, list 12", "17,000", "180,000 sat in 3"):
            assert text in shown
        for line in scene.lines():
            assert f"{line.amount:,}" in shown
        assert list(signer.home.glob("*.psbt")) == []
        command = ("sign", str(path), "--out", str(out))
        assert "Type 'sign' to agree" in signer.run(*command, secrets=(SECRET,), says="sign\n")
        raw = signed_tx(out.read_text())
        assert bytes(wallycore.tx_get_txid(wallycore.tx_from_hex(raw, 1)))[::-1].hex() == given.txid
        history = signer.run("history")
        assert given.txid in history.replace("\n", "")
        head = history.split("Head")[1].split()[1]
        assert signer.run("verify-store", "--head", head)
        # Again: the same signature, and no second record.
        again = signer.home / "again.psbt"
        signer.run("sign", str(path), "--out", str(again), secrets=(SECRET,), says="sign\n")
        assert signed_tx(again.read_text()) == raw
        assert signer.run("history").count(given.txid) == 1

    def test_signs_nothing_that_breaks_a_rule(self, signer: Host) -> None:
        out = signer.home / "signed.psbt"
        signer.run(
            "sign",
            str(signer.write("a", bundle.dump(Draft().bundle()))),
            "--out",
            str(out),
            secrets=(SECRET,),
            says="sign\n",
        )
        out.unlink()
        head = signer.run("verify-store")
        twice = Draft(kind="bump", coins=[scene.Coin(2)]).bundle()
        stolen = Draft(
            paid=scene.lines(start=201), listed=scene.lines(), coins=[scene.Coin(3)], payout_id=8
        ).bundle()
        # A line that waits for its person, and an output that whoever comes first may take.
        waits, anybodys = scene.lines(start=301), scene.lines(start=301)
        waits[1], anybodys[1] = (
            waits[1]._replace(script_pubkey=b""),
            anybodys[1]._replace(script_pubkey=scene.NOBODY),
        )
        coins = [scene.Coin(4)]
        unclaimed = scene.of_nobody(Draft(paid=anybodys, listed=waits, coins=coins, payout_id=9))
        for given, code in (
            (twice, "payment_elsewhere"),
            (stolen, "payment_not_listed"),
            (unclaimed, "payment_script"),
        ):
            path = signer.write("b", bundle.dump(given))
            for command in (("inspect", str(path)), ("sign", str(path), "--out", str(out))):
                assert signer.run(*command, code=1).startswith(f"refused ({code}): ")
        assert "bundle_json" in signer.run("inspect", str(signer.write("c", "{")), code=3)
        assert "file" in signer.run("inspect", str(signer.home / "nowhere"), code=3)
        assert not out.exists()
        assert signer.run("verify-store") == head

    def test_signs_one_of_two_that_contradict_each_other_at_the_same_moment(self, signer: Host) -> None:
        signer.configure("is_attended = true", "is_attended = false")
        racers = []
        for number in (1, 2):
            given = Draft(kind="bump", coins=[scene.Coin(number)]).bundle()
            path = signer.write(f"{number}", bundle.dump(given))
            out = str(signer.home / f"{number}.psbt")
            racers.append(signer.start("sign", str(path), "--out", out, "--yes", secrets=(SECRET,)))
        told = [racer.communicate(timeout=120)[1] for racer in racers]
        assert sorted(racer.returncode for racer in racers) == [0, 1]
        assert sum(text.startswith("refused (payment_elsewhere): ") for text in told) == 1
        assert len(list(signer.home.glob("*.psbt"))) == 1

    def test_asks_unless_the_configuration_lets_it(self, signer: Host) -> None:
        path, out = signer.write("a", bundle.dump(Draft().bundle())), signer.home / "signed.psbt"
        command = ("sign", str(path), "--out", str(out))
        assert "not_confirmed" in signer.run(*command, secrets=(SECRET,), says="yes\n", code=7)
        assert "(attended)" in signer.run(*command, "--yes", secrets=(SECRET,), code=1)
        assert "(passphrase)" in signer.run(*command, secrets=("wrong passphrase",), says="sign\n", code=4)
        assert "Txs" in signer.run("history")
        assert not out.exists()
        assert "0" in signer.run("verify-store").split("Txs")[1].splitlines()[0]
        signer.configure("is_attended = true", "is_attended = false")
        signer.run(*command, "--yes", secrets=(SECRET,))
        assert "out_exists" in signer.run(*command, "--yes", secrets=(SECRET,), code=1)

    def test_does_not_work_without_its_memory(self, signer: Host) -> None:
        path, out = signer.write("a", bundle.dump(Draft().bundle())), signer.home / "signed.psbt"
        (signer.home / "store.sqlite").unlink()
        err = signer.run("sign", str(path), "--out", str(out), secrets=(SECRET,), code=6)
        assert err.startswith("refused (store_missing): ")
        assert not out.exists()

    @pytest.mark.parametrize(
        ("old", "new", "code"),
        [
            ('network = "regtest"', 'network = "mainnet"', 1),
            ("is_attended = true", 'is_attended = "yes"', 3),
            ("is_attended = true", "is_attended = true\nextra = 1", 3),
            ("needed = 1", "needed = 2", 3),
            ("needed = 1", "needed = 0", 3),
            ("tx_sat = 100000000", "tx_sat = -1", 3),
            ("may_accept = []", 'may_accept = ["payment_elsewhere"]', 3),
            ('fingerprint = "73c5da0a"', 'fingerprint = "00000000"', 3),
            ("day_sat", "daily_sat", 3),
        ],
    )
    def test_does_not_work_with_a_wrong_setting(self, signer: Host, old: str, new: str, code: int) -> None:
        signer.configure(old, new)
        path = signer.write("a", bundle.dump(Draft().bundle()))
        assert signer.run("inspect", str(path), code=code).startswith("refused (")

    def test_says_what_is_broken(self, signer: Host) -> None:
        given = signer.write("a", bundle.dump(Draft().bundle()))
        out = str(signer.home / "nowhere" / "x")
        assert "(file)" in signer.run("sign", str(given), "--out", out, secrets=(SECRET,), code=3)
        path = signer.home / "key.json"
        content = json.loads(path.read_text())
        for damaged in ({**content, "xpub": 5}, {"format": "govpay-key-1", "kind": "bitcoin"}, []):
            path.write_text(json.dumps(damaged))
            assert signer.run("key", "show", code=4).startswith("refused (key_file): ")
        store = signer.home / "store.sqlite"
        content_of_store = bytearray(store.read_bytes())
        content_of_store[4_096:8_192] = bytes(4_096)
        store.write_bytes(content_of_store)
        assert signer.run("verify-store", code=6).startswith("refused (store_")

    def test_does_not_trust_a_configuration_that_others_may_write(self, signer: Host) -> None:
        (signer.home / "config.toml").chmod(0o666)
        assert "config_permissions" in signer.run("history", code=3)
        (signer.home / "config.toml").chmod(0o600)
        signer.run("history")
        # Who may write in the folder may put an older store in its place.
        signer.home.chmod(0o770)
        assert "config_permissions" in signer.run("history", code=3)

    def test_shows_no_character_that_writes_over_the_screen(self, signer: Host) -> None:
        content = json.loads(bundle.dump(Draft().bundle()))
        sly = "\x1b[2JEvery rule is kept\u202e\r\n\x07"
        path = signer.write("a", json.dumps(content | {sly: 1}))
        err = signer.run("inspect", str(path), code=3)
        assert err.startswith("refused (bundle_keys): ")
        assert r"\x1b[2jevery rule is kept\u202e\r\n\x07" in err
        assert err.rstrip("\n").isprintable()

    def test_does_not_sign_with_a_key_that_only_looks_like_the_wallets(self, tmp_path: Path) -> None:
        """The fingerprint and path are ours; the key that the descriptor has there is another's."""
        about = keys.save(
            tmp_path / "key.json",
            WORDS[0],
            network="regtest",
            derivation=keys.SINGLE_PATH,
            passphrase=scene.PASSPHRASE,
        )
        ours = SINGLE.keys[0]
        assert about["xpub"] == ours.xpub
        keys.open_master(tmp_path / "key.json", scene.PASSPHRASE, ours)
        other = dataclasses.replace(ours, xpub=scene.origin(WORDS[1], keys.SINGLE_PATH).split("]")[1])
        with pytest.raises(KeyRefused) as refused:
            keys.open_master(tmp_path / "key.json", scene.PASSPHRASE, other)
        assert refused.value.code == "key_other"

    def test_notices_an_altered_key_file(self, signer: Host) -> None:
        path = signer.home / "key.json"
        content = json.loads(path.read_text())
        given = signer.write("a", bundle.dump(Draft().bundle()))
        command = ("sign", str(given), "--out", str(signer.home / "x"))
        path.write_text(json.dumps(content | {"xpub": "tpubX"}))
        assert "(passphrase)" in signer.run(*command, secrets=(SECRET,), says="sign\n", code=4)
        path.write_text(json.dumps(content | {"cost": 2**40}))
        assert "(key_file)" in signer.run(*command, secrets=(SECRET,), says="sign\n", code=4)


class TestDevice:
    def test_signs_through_hwi(self, device: Host) -> None:
        device.plug_in(FINGERPRINT, words=WORDS[0])
        given = Draft().bundle()
        path, out = device.write("a", bundle.dump(given)), device.home / "signed.psbt"
        for network in ("regtest", "signet", "testnet3", "testnet4"):
            assert f"{FINGERPRINT}  coldcard: ready" in device.run("devices", "--network", network)
        device.run("sign", str(path), "--out", str(out), says="sign\n")
        assert signed_tx(out.read_text())
        assert psbt.decode(out.read_text().strip()).txid == given.txid

    @pytest.mark.parametrize(
        ("reply", "code", "status"),
        [
            ("{}", "hwi_reply", 5),
            ("[" * 99_999, "hwi_reply", 5),
            ("no json", "hwi_reply", 5),
            ("[1]", "hwi_reply", 5),
            ('{"psbt": "x"}', "signed_malformed", 1),
            (json.dumps({"psbt": Draft().psbt()}), "signed_missing", 1),
            (json.dumps({"psbt": Draft(change=[(4, 1_000)]).psbt()}), "signed_another", 1),
        ],
    )
    def test_is_not_believed(self, device: Host, reply: str, code: str, status: int) -> None:
        listed = json.dumps([{"model": "m", "fingerprint": "73c5da0a"}])
        device.install_hwi(
            "import sys\nline = sys.stdin.readline()\n"
            f"print({listed!r} if line.startswith('enumerate') else {reply!r})"
        )
        path, out = device.write("a", bundle.dump(Draft().bundle())), device.home / "signed.psbt"
        err = device.run("sign", str(path), "--out", str(out), says="sign\n", code=status)
        assert err.startswith(f"refused ({code}): ")
        assert not out.exists()

    @pytest.mark.parametrize(
        ("state", "code", "said"),
        [
            ("canceled", "hwi_refused", "hwi: Signing was cancelled by the user (code -14)"),
            ("busy", "hwi_refused", "hwi: Device is busy (code -15)"),
            ("refusing", "hwi_refused", r"hwi: Coldcard Error: \x1b[2J\u202e policy (code -13)"),
            (
                "locked",
                "hwi_missing_device",
                f"No device has the key [{FINGERPRINT}]; plugged in: coldcard [Could not open client: locked].",
            ),
        ],
    )
    def test_that_does_not_sign_says_why(self, device: Host, state: str, code: str, said: str) -> None:
        """What it says is shown as it is, and cannot write over the screen."""
        device.plug_in(FINGERPRINT, words=WORDS[0], state=state)
        path, out = device.write("a", bundle.dump(Draft().bundle())), device.home / "signed.psbt"
        command = ("sign", str(path), "--out", str(out))
        assert device.run(*command, says="sign\n", code=5) == f"refused ({code}): {said}\n"
        assert not out.exists()
        device.plug_in(FINGERPRINT, words=WORDS[0])
        device.run(*command, says="sign\n")
        assert signed_tx(out.read_text())

    def test_of_another_key_is_not_asked(self, device: Host) -> None:
        device.plug_in("deadbeef", words=WORDS[1])
        path, out = device.write("a", bundle.dump(Draft().bundle())), device.home / "signed.psbt"
        err = device.run("sign", str(path), "--out", str(out), says="sign\n", code=5)
        assert err == (
            f"refused (hwi_missing_device): No device has the key [{FINGERPRINT}]; plugged in: coldcard [deadbeef].\n"
        )

    def test_that_lies_about_its_fingerprint_is_found_out(self, device: Host) -> None:
        """It signs with its own key: none of what comes back is by the key of the wallet."""
        device.plug_in(FINGERPRINT, words=WORDS[1])
        path, out = device.write("a", bundle.dump(Draft().bundle())), device.home / "signed.psbt"
        err = device.run("sign", str(path), "--out", str(out), says="sign\n", code=1)
        assert err.startswith("refused (signed_missing): ")
        assert not out.exists()

    def test_is_asked_for_when_it_is_not_there(self, device: Host) -> None:
        path, out = device.write("a", bundle.dump(Draft().bundle())), device.home / "signed.psbt"
        command = ("sign", str(path), "--out", str(out))
        assert "(hwi_missing)" in device.run(*command, says="sign\n", code=5)
        device.install_hwi("print('[]')")
        assert "(hwi_missing_device)" in device.run(*command, says="sign\n", code=5)
        # Nothing was signed, so nothing is remembered.
        assert "0" in device.run("verify-store").split("Txs")[1].splitlines()[0]

    def test_killed_while_it_signs_is_remembered(self, device: Host) -> None:
        """The record is on the disk before there can be a signature."""
        device.install_hwi(SLEEPER)
        path, out = device.write("a", bundle.dump(Draft().bundle())), device.home / "signed.psbt"
        process = device.start("sign", str(path), "--out", str(out))
        assert process.stdin is not None
        process.stdin.write("sign\n")
        process.stdin.flush()
        deadline = time.monotonic() + 60
        while not (device.home / "bin" / "asked").exists():
            assert time.monotonic() < deadline, "the device was not asked in 60 s"
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)
        os.kill(int((device.home / "bin" / "asked").read_text()), signal.SIGKILL)
        assert not out.exists()
        assert "1" in device.run("verify-store").split("Txs")[1].splitlines()[0]
        elsewhere = Draft(kind="bump", coins=[scene.Coin(2)]).bundle()
        err = device.run("inspect", str(device.write("b", bundle.dump(elsewhere))), code=1)
        assert err.startswith("refused (payment_elsewhere): ")
        device.plug_in(FINGERPRINT, words=WORDS[0])
        device.run("sign", str(path), "--out", str(out), says="sign\n")
        assert signed_tx(out.read_text())


class TestTerminal:
    def test_asks_twice_for_a_new_passphrase_and_shows_none(self, host: Host) -> None:
        out, status = type_in(host, ["key", "new", "--network", "regtest"], [SECRET, SECRET])
        assert status == 0
        assert out.count("The same again: ") == 1
        assert SECRET not in out
        assert host.run("key", "show").splitlines()[-1] in out
        (host.home / "key.json").unlink()
        out, status = type_in(host, ["key", "new", "--network", "regtest"], [SECRET, SECRET + "x"])
        assert (status, "passphrase_differs" in out) == (4, True)
        assert not (host.home / "key.json").exists()


def type_in(host: Host, arguments: list[str], answers: list[str]) -> tuple[str, int]:
    """Run the program at a terminal and answer each question; return all that the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        command = [sys.executable, "-m", "payments.signer", "--home", str(host.home), *arguments]
        os.execve(sys.executable, command, host.environment() | {"COLUMNS": "200", "TERM": "dumb"})
    seen = b""
    while True:
        try:
            part = os.read(terminal, 4_096)
        except OSError:
            break
        if not part:
            break
        seen += part
        if seen.endswith(b": ") and answers:
            os.write(terminal, answers.pop(0).encode() + b"\n")
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    return seen.decode(errors="replace"), os.waitstatus_to_exitcode(status)


class TestKit:
    def test_pins_what_the_product_pins(self) -> None:
        pins = (ROOT / "payments" / "signer" / "requirements.lock").read_text().split("\n", 1)[1]
        assert len(pins.split("==")) == 9
        product = (ROOT / "requirements.lock").read_text()
        for requirement in pins.rstrip("\n").replace("\\\n", "\\").splitlines():
            assert requirement.replace("\\", "\\\n") in product


class TestGuide:
    def test_has_every_refusal(self) -> None:
        raised = set()
        for path in (ROOT / "payments" / "signer").glob("*.py"):
            raised |= set(RAISED.findall(path.read_text()))
        assert len(raised) > 60
        guide = (ROOT / "docs" / "signer.md").read_text()
        told = re.findall(r"`([a-z0-9_]+)(…?)`", guide)
        whole = {code for code, more in told if not more}
        starts = tuple(code for code, more in told if more)
        assert {code for code in raised if code not in whole and not code.startswith(starts)} == set()

    def test_knows_every_setting_and_command(self, signer: Host) -> None:
        guide = (ROOT / "docs" / "signer.md").read_text()
        settings = re.findall(r"(?m)^(\w+) = ", (signer.home / "config.toml").read_text().split("[caps]")[1])
        assert [name for name in settings if f"caps.{name}`" not in guide] == []
        for command in (
            "key new",
            "key import",
            "key show",
            "devices",
            "descriptor",
            "approver new",
            "approve",
        ):
            assert f"signer {command}" in guide or f"`{command}`" in guide
        for command in ("init", "inspect", "sign", "history", "verify-store"):
            assert f"signer {command}" in guide
