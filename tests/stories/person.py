"""The story of a person who is paid: from somebody without an address to a receipt that anybody can check."""

import re

from playwright.sync_api import Locator

from deploy.local.regtest import Miner
from tests import browser as browsing
from tests.stories import approver, officer, releaser
from tests.stories.play import Play
from tests.stories.visitor import Visitor

REFERENCE, NATIONAL_ID = "PEN-02001", "99901-0002001-1"
NAME, TELEPHONE = "ثنا قریشی", "+923000002001"
AMOUNT_SAT = 60_000


def be_listed(play: Play) -> None:
    """Two security administrators let people claim; the officer enrolls somebody without an address, and lists them."""
    jamal, karin, ayesha = play.staff("jamal"), play.staff("karin"), play.staff("ayesha")
    jamal.go("/admin/payments/program/")
    jamal.follow("PENSIONS")
    jamal.follow("Propose rules")
    jamal.fill(claim_term_days="30", note="People without a wallet get a month to bring one.")
    jamal.press("Propose", "security-proposed")
    karin.decide(jamal.address, "Confirm", "Confirm")
    karin.look("security-confirmed")
    ayesha.go("/admin/payments/enrollment/")
    ayesha.follow("Enroll one person")
    ayesha.fill(reference=REFERENCE, national_id=NATIONAL_ID, full_name=NAME, phone=TELEPHONE)
    ayesha.press("Enroll", "officer-one-person")
    ayesha.reads(f"{REFERENCE} is enrolled in PENSIONS.")
    rows = [(REFERENCE, AMOUNT_SAT), *((f"PEN-0000{n}", AMOUNT_SAT) for n in range(1, 4))]
    play.made["second list"] = officer.submit(ayesha, play.folder / "second.csv", "arrears", rows)
    approver.approve(play, play.made["second list"])


def claim(play: Play) -> None:
    """The link of a message is opened on a telephone, in Urdu; identity number, digits and address are given."""
    ayesha = play.staff("ayesha")
    ayesha.go("/admin/payments/entitlement/")
    ayesha.follow("Send links")
    ayesha.press("Send links", "officer-links")
    sana = play.visitor(screen=browsing.PHONE, locale="ur-PK")
    link = words_of_message(play, r"/person/claim/\S+")
    sana.go(link, "person-claim")
    sana.fill(national_id="no such number")
    sana.send()
    sana.page.get_by_role("alert").wait_for()
    sana.look("person-claim-refused")
    sana.fill(national_id=NATIONAL_ID)
    sana.send("person-address")
    sana.fill(code=words_of_message(play, r"\b[0-9]{6}\b"), address=new_address(play))
    sana.send("person-claimed")
    sana.reads(REFERENCE)
    ayesha.go("/admin/payments/entitlement/")
    ayesha.follow("List what is claimed")
    ayesha.press("List what is claimed")
    play.made["claimed"] = ayesha.address
    ayesha.follow("Submit")
    ayesha.press("Submit for approval")
    approver.approve(play, play.made["claimed"])
    releaser.release(play, play.made["claimed"])
    releaser.wait_until_settled(play, play.made["claimed"], 1)


def follow(play: Play) -> None:
    """How far the money is, in Spanish, and the receipt, which somebody else checks."""
    sana = play.visitor(screen=browsing.PHONE, locale="es-SV")
    sana.go("/person/status/")
    ask_status(sana)
    sana.look("person-status")
    sana.reads("Pagado, definitivo", "Se paga en otra ocasión")
    sana.do(receipt_of(sana).click)
    # It is there once a checkpoint of the books covers the payment.
    sana.until("Descargar la prueba", "person-receipt")
    file = sana.page.locator("a[href$='receipt.json']").get_attribute("href") or ""
    proof = sana.context.request.get(file)
    assert proof.ok, proof.text()
    (play.folder / "receipt.json").write_bytes(proof.body())
    other = play.visitor()
    other.go("/verify/")
    other.attach("file", play.folder / "receipt.json")
    other.press("Check it", "verify-receipt")
    other.reads("The receipt is right.")


def ask_status(sana: Visitor) -> None:
    """Say who one is."""
    sana.fill(reference=REFERENCE, national_id=NATIONAL_ID)
    sana.send()


def receipt_of(sana: Visitor) -> Locator:
    """The link to the receipt of the newest payment."""
    return sana.page.locator("a[href*='/person/receipt/']").first


def words_of_message(play: Play, pattern: str) -> str:
    """Return what the newest message says, as the local gateway keeps it."""
    ayesha = play.staff("ayesha")
    ayesha.go("/admin/payments/message/")
    ayesha.page.get_by_role("link", name=re.compile("^Message [0-9]+")).first.click()
    ayesha.until(re.compile(pattern), "officer-message")
    return ayesha.said(pattern)


def new_address(play: Play) -> str:
    """Return an address of the person's own wallet."""
    return Miner(play.stage.stack.environment()["GOVPAY_NODE_URL"]).make_address()
