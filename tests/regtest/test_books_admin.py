"""The books' pages over a list that a real node paid: from an account to a tx and back, anchors, and the verify box."""

import itertools
import re
import zipfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from ledger import chart
from ledger.books import days
from ledger.models import Account, Checkpoint, Entry
from ledger.packs import receipts
from payments.models import Disbursement, Membership, Payment, Payout
from tests import factories
from tests.regtest.paid_list import ministry as ministry
from tests.regtest.paid_list import story as story

pytestmark = pytest.mark.django_db(transaction=True)

VERIFY = "/admin/ledger/seal/verify/"


@pytest.fixture
def reader(story: Disbursement) -> Client:
    """A browser of an auditor of the program, who reads the books."""
    user = factories.make_user("reader", "ledger.view_entry")
    Membership.objects.create(program=story.program, user=user, role="auditor", granted_by=story.made_by)
    client = Client()
    client.force_login(user)
    return client


def links(client: Client, url: str) -> set[str]:
    """Return where a page leads."""
    answer = client.get(url)
    assert answer.status_code == 200, url
    return {found.replace("&amp;", "&") for found in re.findall('href="([^"]*)"', answer.content.decode())}


def page(row: Account | Entry | Payment | Payout | Checkpoint) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


class TestWay:
    def test_leads_from_the_tree_to_the_tx_and_back(self, story: Disbursement, reader: Client) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        payout = payment.payout
        assert payout is not None
        codes = chart.program_accounts(story.program_id)
        account = Account.objects.get(code=codes.in_transit)
        entry = Entry.objects.get(kind="payout_sent", source_ref=f"payout:{payout.pk}")
        version = payout.txs.get()
        tx = reverse("admin:payments_payouttx_change", args=[version.pk])
        there = [
            reverse("admin:ledger_account_tree"),
            page(account),
            page(entry),
            page(payment),
            page(payout),
            tx,
        ]
        for here, onward in itertools.pairwise(there):
            assert onward in links(reader, here), (here, onward)
        back = [tx, page(payout), page(entry), page(account)]
        for here, onward in itertools.pairwise(back):
            assert onward in links(reader, here), (here, onward)
        assert page(entry) in links(reader, page(payment))

    def test_shows_one_figure_on_every_page(self, story: Disbursement, reader: Client) -> None:
        for _ in range(2):
            for account in Account.objects.filter(scope=story.program.scope):
                (row,) = [row for row in _standing(reader) if row[0] == page(account)]
                assert row[1] in reader.get(page(account)).content.decode()
            days.add_up()


def _standing(client: Client) -> list[tuple[str, str]]:
    """Return the accounts of the tree: the page of each, and its figure as it is written."""
    text = client.get(reverse("admin:ledger_account_tree")).content.decode()
    leaf = r'"gl-leaf">.*?href="([^"]*)".*?(<span class="gl-number">[^<]*</span>)'
    return re.findall(leaf, text)


class TestAnchors:
    def test_are_where_the_chain_has_them(self, story: Disbursement, reader: Client) -> None:
        payout = Payout.objects.get(kind="anchor")
        text = reader.get("/admin/ledger/checkpoint/").content.decode()
        assert f"in block {payout.mined_height:,}" in text
        assert page(payout) in text
        assert text.count("in no final block yet") == Checkpoint.objects.count() - 1
        assert page(payout) in links(reader, "/admin/ledger/seal/")


class TestVerify:
    def test_finds_a_receipt_right_and_a_changed_one_wrong(self, story: Disbursement, reader: Client) -> None:
        payment = Payment.objects.get(disbursement=story, amount_sat=50_000)
        made = receipts.make(payment.pk)
        answer = reader.post(VERIFY, {"file": SimpleUploadedFile("receipt.json", made)})
        text = answer.content.decode()
        assert (answer.status_code, "The receipt is right" in text) == (200, True)
        assert "50,000 sat" in text
        assert page(payment) in text
        changed = made.replace(b'"amount_sat":"50000"', b'"amount_sat":"50001"')
        answer = reader.post(VERIFY, {"file": SimpleUploadedFile("receipt.json", changed)})
        assert answer.status_code == 422
        assert answer.context["findings"].wrong.code == "wrong_amount"

    def test_finds_a_pack_right_and_a_changed_one_wrong(
        self, story: Disbursement, reader: Client, tmp_path: Path
    ) -> None:
        whole, bent = tmp_path / "pack.zip", tmp_path / "bent.zip"
        call_command("audit_pack", str(whole), all=True)
        answer = reader.post(VERIFY, {"file": SimpleUploadedFile("pack.zip", whole.read_bytes())})
        assert answer.status_code == 200, answer.content.decode()
        findings = answer.context["findings"]
        assert len(findings.steps) == 14
        facts = {name: re.sub("<[^>]*>", "", str(value)) for name, value in findings.facts}
        assert (facts["Of"], facts["Entries, all balanced"], facts["Payments"]) == ("all", "7", "3")
        with zipfile.ZipFile(whole) as old, zipfile.ZipFile(bent, "w") as new:
            for name in old.namelist():
                raw = old.read(name)
                new.writestr(name, raw + b"\n" if name == "payments.jsonl" else raw)
        answer = reader.post(VERIFY, {"file": SimpleUploadedFile("pack.zip", bent.read_bytes())})
        assert answer.status_code == 422
        assert answer.context["findings"].wrong.file == "payments.jsonl"

    def test_unpacks_no_more_than_a_page_may_wait_for(
        self, story: Disbursement, reader: Client, tmp_path: Path
    ) -> None:
        bomb = tmp_path / "bomb.zip"
        with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("pack.json", b" " * 65_000_000)
        answer = reader.post(VERIFY, {"file": SimpleUploadedFile("pack.zip", bomb.read_bytes())})
        assert answer.context["findings"].wrong.code == "too_long"
