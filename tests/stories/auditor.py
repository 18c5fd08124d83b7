"""The auditor's story: from the books to an entry, a payment and its transaction; then a pack, checked without govpay."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

from playwright.sync_api import Locator

from deploy.local.regtest import Miner
from deploy.local.stack import ROOT
from tests.stories.play import Play
from tests.stories.staff import Staff


def drill(play: Play) -> None:
    """Each figure leads to what it is made of, down to the transaction, which the auditor's own node knows."""
    farid = play.staff("farid")
    farid.go("/admin/", "auditor-home")
    farid.go("/admin/ledger/account/tree/", "auditor-books")
    in_transit = farid.page.get_by_role("link", name="P1", exact=True).nth(1)
    farid.do(in_transit.click, "auditor-account")
    farid.do(link(farid, r"entry [0-9]+ \(payout_sent\)").click, "auditor-entry")
    farid.do(
        farid.page.locator("a[href^='/admin/payments/payment/'][href$='/change/']").first.click,
        "auditor-payment",
    )
    txid, _, vout = farid.said(r"[0-9a-f]{64}:[0-9]+").partition(":")
    farid.do(link(farid, r"Payout [0-9]+").click, "auditor-payout")
    height = int(farid.said(r"since block [0-9,]+").rpartition(" ")[2].replace(",", ""))
    node = Miner(play.stage.stack.environment()["GOVPAY_NODE_URL"]).node
    block_hash = node.call("getblockhash", height)
    assert len(node.call("getrawtransaction", txid, True, block_hash)["vout"]) > int(vout)
    farid.do(
        farid.page.locator("a[href^='/admin/payments/payouttx/'][href$='/change/']").first.click, "auditor-tx"
    )
    farid.reads(txid)
    farid.go("/admin/ledger/reconciliationrun/")
    farid.follow("Reconcile now")
    farid.press("Reconcile")
    farid.until("clean", "auditor-reconciled")


def prove(play: Play) -> None:
    """The pack of a list is right; with one changed byte it is wrong, and says where."""
    farid = play.staff("farid")
    farid.go(play.made["list"])
    farid.follow("Make the pack")
    farid.press("Make the pack")
    farid.until(re.compile("^Download$"), "auditor-pack")
    pack = play.folder / "pack.zip"
    with farid.page.expect_download() as got:
        link(farid, "Download").click()
    got.value.save_as(pack)
    assert verify(play, pack).splitlines()[-1] == "VERIFIED"
    farid.go("/admin/ledger/seal/")
    farid.follow("Verify a receipt or a pack")
    farid.attach("file", pack)
    farid.press("Check it", "auditor-verified")
    farid.reads("The pack is right")
    farid.attach("file", spoil(pack))
    farid.press("Check it", "auditor-wrong")
    farid.reads("The pack is not right")


def verify(play: Play, pack: Path) -> str:
    """Run the auditor's own program over a pack, with a node of theirs; return what it says."""
    node_url = play.stage.stack.environment()["GOVPAY_NODE_URL"]
    words = ["-I", "ledger/verify.py", "--network", "regtest", "--node", node_url, str(pack)]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def spoil(pack: Path) -> Path:
    """Return a copy in which one digit differs."""
    spoiled = pack.with_name("spoiled.zip")
    with zipfile.ZipFile(pack) as right, zipfile.ZipFile(spoiled, "w") as wrong:
        for name in right.namelist():
            text = right.read(name)
            wrong.writestr(
                name, text.replace(b'"vout":0', b'"vout":9', 1) if name == "payments.jsonl" else text
            )
    return spoiled


def link(farid: Staff, words: str) -> Locator:
    """The first link with these words."""
    return farid.page.get_by_role("link", name=re.compile(f"^{words}$")).first
