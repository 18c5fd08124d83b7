"""Lists by bank file and by voucher, with every end that a line may come to, and the packs and receipts of them.

The first list goes by bank: one transfer is paid, one rejected, one not answered. A second one pays the rejected line anew
by voucher. A third one has vouchers that were redeemed, cancelled, replaced, and never fetched.
"""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from django.core.management import call_command
from django.utils import timezone

from ledger import verify
from ledger.seals import checkpoints, sealer
from payments.models import BankFile, Disbursement, Payment, Rail
from payments.services import (
    bank_reports,
    bank_writing,
    rails,
    reissues,
    voucher_cancelling,
    vouchers,
)
from tests import banking, factories, railing
from tests.regtest.forger import LEAVES, SEED, Forger

AMOUNTS = [1_450_000, 1_500_000, 50_000]
VOUCHERS = [100_000, 200_000, 300_000, 400_000]


@dataclass(frozen=True)
class Honest:
    """What an honest ministry handed out, without a node: a folder of packs, receipts and the bank's two documents."""

    folder: Path
    banked: int
    again: int
    slips: int
    receipts: dict[str, Path]

    @property
    def file(self) -> Path:
        """What the bank was told."""
        return self.folder / "pain.001.xml"

    @property
    def answer(self) -> Path:
        """What it said."""
        return self.folder / "pain.002.xml"

    def copy(self, name: str, to: Path) -> Forger:
        """Copy a pack to forge it."""
        shutil.copytree(self.folder / name, to / name)
        return Forger(to / name)


def hide(made: Forger, kind: str) -> None:
    """Show only the hash of the entry of a kind, as if it were another period's."""
    leaves = made.records(LEAVES)
    for n, leaf in enumerate(leaves):
        if f'"kind":"{kind}"' in leaf.get("entry", ""):
            digest = verify.entry_of(bytes.fromhex(leaf["salt"]), leaf["entry"])[0]
            leaves[n] = {"from": leaf["leaf"], "hash": digest.hex(), "height": 0}
    made.write(LEAVES, leaves)


def rules() -> dict[str, object]:
    """Return the settings of an installation that seals its books."""
    return {"GOVPAY_SEAL_KEY": SEED}


def tell(folder: Path) -> Honest:
    """Make, pay and seal the lists, and write what can be handed out of them."""
    money = railing.make_money()
    cast = railing.make_cast(money)
    agent = factories.make_member(money, "agent")
    banked = railing.release(railing.draft(money, cast, Rail.BANK), cast)
    bank_writing.write(BankFile.objects.get().pk)
    file, data = bank_writing.fetch(by=cast[3], bank_file_id=BankFile.objects.get().pk)
    sent = data.read()
    (folder / "pain.001.xml").write_bytes(sent)
    said = {f"{file.message_id}-1": ("ACSC", ""), f"{file.message_id}-2": ("RJCT", "AC04")}
    answer = banking.answer(sent, said)
    (folder / "pain.002.xml").write_bytes(answer.getvalue())
    bank_reports.take_of_program(by=cast[3], program_id=money.pk, file=answer)

    again = reissues.of_list(by=cast[0], disbursement_id=banked.pk)
    rails.choose(by=cast[0], disbursement_id=again.pk, rail=Rail.VOUCHER)
    again = railing.release(again, cast)
    (slip,) = vouchers.issue(by=cast[0], disbursement_id=again.pk)
    vouchers.redeem(by=agent, program_id=money.pk, code=slip.code)

    slips = factories.make_disbursement(money, cast[0], amounts_minor=VOUCHERS, period="2026-12")
    rails.choose(by=cast[0], disbursement_id=slips.pk, rail=Rail.VOUCHER)
    slips = railing.release(slips, cast)
    printed = vouchers.issue(by=cast[0], disbursement_id=slips.pk)
    vouchers.redeem(by=agent, program_id=money.pk, code=printed[0].code)
    for slip, is_replaced in ((printed[1], False), (printed[2], True)):
        voucher_cancelling.ask(by=cast[0], voucher_id=slip.voucher_id, note="Ana Khan lost it.")
        voucher_cancelling.cancel(by=cast[1], voucher_id=slip.voucher_id, is_replaced=is_replaced)
    vouchers.expire(slips.pk, now=timezone.now() + timedelta(days=91))

    sealer.seal()
    assert checkpoints.issue() is not None
    for name, made in (("bank", banked), ("again", again), ("slips", slips)):
        call_command("audit_pack", str(folder / name), disbursement=str(made.pk))
    call_command("audit_pack", str(folder / "all"), all=True)
    receipts = {"bank": paid(banked), "voucher": paid(again)}
    for name, payment in receipts.items():
        call_command("receipt", payment.pk, str(folder / f"{name}.json"))
    written = {name: folder / f"{name}.json" for name in receipts}
    return Honest(folder, banked.pk, again.pk, slips.pk, written)


def paid(made: Disbursement) -> Payment:
    """The line of a list that arrived."""
    return Payment.objects.get(disbursement=made, settled_at__isnull=False)


def check(made: Forger) -> verify.Pack:
    """Let the verifier check a pack, sealed anew."""
    made.reseal()
    pack = verify.Pack(verify.Folder(made.pack), None, (), lambda text: None)
    pack.check()
    return pack
