"""Checks a receipt or a pack that somebody brings, with the very program that auditors run, and says what it found."""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from unfold import widgets

from ledger import verify
from ledger.admin import cells, sources
from ledger.admin.base import posted
from ledger.packs import evidence, page

# What a page may wait for; larger ones are checked with the program itself, which is as good.
MOST_BYTES, MOST_UNPACKED = 5_000_000, 64_000_000
COPIED_AT_ONCE = 1 << 16


class FileForm(forms.Form):
    """The file."""

    file = forms.FileField(
        label="Receipt (.json) or pack (.zip)",
        help_text=f"Up to {filesizeformat(MOST_BYTES)}.",
        widget=widgets.UnfoldAdminFileFieldWidget(),
    )

    def clean_file(self) -> Any:
        """Refuse what takes too long for a page."""
        file = self.cleaned_data["file"]
        if file.size > MOST_BYTES:
            raise forms.ValidationError(
                f"It has {file.size:,} bytes, and {MOST_BYTES:,} at most are checked here. Check it with verify.py."
            )
        return file


@dataclass
class Findings:
    """What the verifier said: ``steps`` that it made, the first thing that is wrong, or facts of what is right."""

    what: str
    steps: list[str] = field(default_factory=list)
    wrong: verify.Wrong | None = None
    facts: list[tuple[str, Any]] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)


def show(model_admin: Any, request: HttpRequest) -> HttpResponse:
    """Ask for a file, and show what the verifier finds in it; nothing of it is kept."""
    form = FileForm(posted(request), request.FILES or None)
    findings = examine(form.cleaned_data["file"]) if form.is_valid() else None
    is_refused = bool(form.errors) or (findings is not None and findings.wrong is not None)
    context = model_admin.page(request, "Verify a receipt or a pack") | {
        "form": form,
        "findings": findings,
        "keys": sorted(page.trusted_keys()),
        "network": evidence.backend().network(),
    }
    return TemplateResponse(request, "ledger/admin/verify.html", context, status=422 if is_refused else 200)


def examine(file: Any) -> Findings:
    """Run the verifier over a file, with the keys and the network of this installation."""
    with tempfile.NamedTemporaryFile(prefix="govpay-verify-") as kept:
        for part in file.chunks(COPIED_AT_ONCE):
            kept.write(part)
        kept.flush()
        path = Path(kept.name)
        check = _check_receipt if verify.is_receipt(path) else _check_pack
        findings = Findings("receipt" if check is _check_receipt else "pack")
        try:
            if not page.trusted_keys():
                raise verify.Wrong("unknown_key", "No key has signed the books of this installation yet.")
            check(path, findings)
        except verify.Wrong as wrong:
            findings.wrong = wrong
        except Exception as error:  # noqa: BLE001 - A file may provoke what nobody thought of; it proves nothing then.
            findings.wrong = verify.Unreadable("not_readable", f"It cannot be read: {type(error).__name__}.")
    return findings


def _check_receipt(path: Path, findings: Findings) -> None:
    backend = evidence.backend()
    with path.open("rb") as file:
        found = verify.check_receipt(
            file.read(verify.MAX_RECEIPT + 1), backend.network(), page.trusted_keys()
        )
    findings.facts = [
        ("Payment", sources.about(f"payment:{found.payment}", found.payment)),
        *_paid(found),
        ("Booked in", f"{found.scope}, recorded {found.recorded_at}"),
        ("Sealed by", f"{found.log}, among {found.size:,} leaves"),
    ]
    if found.anchor_height is not None:
        findings.facts.append(("The seal is in block", cells.number(found.anchor_height)))
    findings.remarks = list(found.remarks)


def _paid(found: verify.Receipt) -> list[tuple[str, Any]]:
    """Say how a payment arrived: where the chain has it, or who says so."""
    if found.rail != "bitcoin":
        word = "the bank's word" if found.rail == "bank" else "the agent's word"
        told = [(name.capitalize(), cells.whole(value)) for name, value in found.told.items()]
        return [("Amount", found.amount), ("That it arrived is", word), *told]
    address = evidence.backend().address(bytes.fromhex(found.script))
    return [
        ("Amount", cells.amount(found.amount_sat)),
        ("To the address", cells.whole(address or found.script)),
        ("By output", cells.outpoint(found.txid, found.vout, is_short=False)),
        ("In block", cells.place(found.block_height, found.block_hash)),
        ("Blocks on it in the receipt", cells.number(found.depth)),
    ]


def _check_pack(path: Path, findings: Findings) -> None:
    files = verify.open_pack(path)
    if isinstance(files, verify.Zip):
        unpacked = sum(info.file_size for info in files.file.infolist())
        if unpacked > MOST_UNPACKED:
            text = f"It has {unpacked:,} bytes unpacked, and {MOST_UNPACKED:,} at most are checked here; use verify.py."
            raise verify.Unreadable("too_long", text)
    pack = verify.Pack(files, evidence.backend().network(), page.trusted_keys(), findings.steps.append)
    pack.check()
    counts, asked = pack.counts, pack.facts["selection"]
    findings.facts = [
        ("Of", " ".join(filter(None, (asked["kind"], asked["name"], asked["scope"])))),
        ("Entries, all balanced", cells.number(counts["entries"])),
        ("Their lines", cells.number(counts["lines"])),
        ("Leaves of the tree", cells.number(pack.size)),
        ("Checkpoints, each continuing the one before", cells.number(len(pack.heads))),
        ("Of them in blocks", cells.number(len(pack.anchored))),
        ("Lists, as they were approved", cells.number(counts["lists"])),
        ("Payments", cells.number(counts["payments"])),
        ("Payouts", cells.number(counts["payouts"])),
        ("Reconciliation runs", cells.number(counts["runs"])),
        ("Audit events", cells.number(counts["events"])),
    ]
    findings.facts += [("What came of payments", way) for way in pack.ways()]
    findings.remarks = list(pack.remarks)
