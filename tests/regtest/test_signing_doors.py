"""Whatever may come back from a signer, at each door: API, admin and files, as text and as bytes, with one answer (F48)."""

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import wallycore
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client

from payments.models import PartialSignature, Payout, SigningRequest
from payments.onchain import psbt, returned, tx
from payments.payout import dispatch, signing
from payments.states import PayoutStatus
from tests import psbts, signers
from tests.regtest.ministry import use_node
from tests.regtest.test_signing_returned import address, api, odd, state
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)

# A partial signature in an input's map (BIP174).
PARTIAL = b"\x02"


@pytest.fixture
def treasury(settings: object) -> Treasury:
    """Two of three sign; every list of these amounts takes both deposits, so that there are two inputs."""
    use_node(settings)
    return Treasury.open(2, 3)


class Doors:
    """Each way in returns the rule by which it refused, or nothing; the admin shows the words that the API gave."""

    def __init__(self, treasury: Treasury, request: SigningRequest, folder: Path) -> None:
        self.request, self.folder = request, folder
        self.name = treasury.carrier.get_username()
        self.api = api(treasury.carrier)
        self.admin = Client()
        self.admin.force_login(treasury.carrier)
        self.told = ""

    def api_text(self, text: str) -> str:
        answer = self.api.post(address(self.request), {"psbt": text})
        return self._rule(answer)

    def api_file(self, text: str) -> str:
        file = SimpleUploadedFile("back.psbt", self._bytes(text))
        return self._rule(self.api.post(address(self.request), {"file": file}, format="multipart"))

    def admin_text(self, text: str) -> str:
        return self._shown({"psbt": text})

    def admin_file(self, text: str) -> str:
        return self._shown({"file": SimpleUploadedFile("back.psbt", self._bytes(text))})

    def command(self, text: str) -> str:
        path = self.folder / "back.psbt"
        path.write_bytes(self._bytes(text))
        errors = io.StringIO()
        try:
            call_command("import_psbt", f"--by={self.name}", str(path), stderr=errors, stdout=io.StringIO())
        except CommandError:
            return errors.getvalue().split("refused (")[1].split(")")[0]
        return ""

    def all(self) -> dict[str, Callable[[str], str]]:
        """The doors by name."""
        return {
            "api, text": self.api_text,
            "api, file": self.api_file,
            "admin, text": self.admin_text,
            "admin, file": self.admin_file,
            "command": self.command,
        }

    def _rule(self, answer: Any) -> str:
        if answer.status_code == 200:
            return ""
        assert (answer.status_code, answer.json()["code"]) == (422, "signature_refused")
        # The admin's form says of a file that it is too large before the service looks at it.
        self.told = answer.json()["detail"].removeprefix("It ")
        return str(answer.json()["details"]["rule"])

    def _shown(self, body: dict[str, Any]) -> str:
        page = f"/admin/payments/signingrequest/{self.request.pk}/upload/"
        answer = self.admin.post(page, body)
        if answer.status_code == 302:
            return ""
        assert answer.status_code == 422
        assert self.told in html.unescape(answer.content.decode())
        return "shown"

    @staticmethod
    def _bytes(text: str) -> bytes:
        """A file holds the bytes; what is no base64 is what it is."""
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:
            return text.encode()


def changed(text: str, change: Callable[[bytes], bytes | None], *, inputs: tuple[int, ...] = (1, 2)) -> str:
    """A PSBT with each signature of these maps changed, or taken away."""
    maps = psbts.maps_of(text)
    for number in inputs:
        pairs = []
        for key, value in maps[number]:
            new = change(value) if key[:1] == PARTIAL else value
            if new is not None:
                pairs.append((key, new))
        maps[number] = pairs
    return psbts.text_of(maps)


def bad(treasury: Treasury, request: SigningRequest) -> dict[str, tuple[str, str]]:
    """What must be refused, with its rule."""
    sent = signing.sent_of(treasury.ministry.program.wallet, request.version)
    outputs, inputs = list(tx.parse(sent.unsigned).outputs), tx.inputs_of(sent.unsigned)
    assert len(inputs) == 2
    good = treasury.people[0].sign(request.psbt)
    less = [outputs[0]._replace(amount_sat=outputs[0].amount_sat - 1), *outputs[1:]]
    other = [tx.OutPoint("ab" * 32, 0), *inputs[1:]]
    both = treasury.people[1].sign(good)
    stranger = signers.SoftSigner("stranger")
    sighash = wallycore.WALLY_SIGHASH_ALL | wallycore.WALLY_SIGHASH_ANYONECANPAY
    maps, theirs = psbts.maps_of(good), psbts.maps_of(both)
    mine = dict(maps[1])
    second_key = next(key for key, _ in theirs[1] if key[:1] == PARTIAL and key not in mine)
    first_signature = next(value for key, value in maps[1] if key[:1] == PARTIAL)
    final = returned.finalize(sent, returned.read(both.encode(), sent))
    stacks = tx.witnesses_of(final)

    def raw(change: Callable[[list[bytes]], list[bytes]]) -> str:
        return tx.with_witnesses(sent.unsigned, [change(stack) for stack in stacks]).hex()

    return {
        "nothing of a PSBT": ("nothing", "malformed"),
        "an empty one": (base64.b64encode(b"psbt\xff").decode(), "malformed"),
        "one that was cut off": (good[:-40], "malformed"),
        "no signature": (request.psbt, "unsigned"),
        "the tx, not signed": (sent.unsigned.hex(), "unsigned"),
        "a stranger's, who has no key in it": (stranger.sign(request.psbt), "unsigned"),
        "a signature under a stranger's key": (
            psbts.text_of(
                [
                    maps[0],
                    [
                        *maps[1],
                        (
                            PARTIAL + bytes(wallycore.ec_public_key_from_private_key(b"\x07" * 32)),
                            first_signature,
                        ),
                    ],
                    *maps[2:],
                ]
            ),
            "stranger",
        ),
        "a signature under another signer's key": (
            psbts.text_of([maps[0], [*maps[1], (second_key, first_signature)], *maps[2:]]),
            "invalid",
        ),
        "SIGHASH_NONE": (odd(request, treasury, wallycore.WALLY_SIGHASH_NONE), "sighash"),
        "SIGHASH_SINGLE": (odd(request, treasury, wallycore.WALLY_SIGHASH_SINGLE), "sighash"),
        "SIGHASH_ALL | ANYONECANPAY": (odd(request, treasury, sighash), "sighash"),
        # Libwally's reader itself refuses a signature that is not DER, or not of the sighash that its input names.
        "a signature whose last byte was changed": (changed(good, lambda s: s[:-1] + b"\x02"), "malformed"),
        "one input without a signature": (changed(good, lambda s: None, inputs=(2,)), "incomplete"),
        "one bad signature": (
            changed(good, lambda s: s[:20] + bytes([s[20] ^ 1]) + s[21:], inputs=(2,)),
            "invalid",
        ),
        "a high S": (changed(good, psbts.high_s, inputs=(1,)), "invalid"),
        "a high S in a final tx": (
            raw(lambda stack: [stack[0], psbts.high_s(stack[1]), *stack[2:]]),
            "invalid",
        ),
        "64 bytes that are not DER": (changed(good, psbts.compact), "malformed"),
        "64 bytes in a final tx": (
            raw(lambda stack: [stack[0], psbts.compact(stack[1]), *stack[2:]]),
            "invalid",
        ),
        "one signature too few": (raw(lambda stack: [stack[0], stack[1], stack[3]]), "witness"),
        "an item that is not empty (BIP147)": (raw(lambda stack: [b"\x01", *stack[1:]]), "witness"),
        "another script": (raw(lambda stack: [*stack[:3], stack[3][:-1]]), "witness"),
    } | {
        "another amount": (psbt.from_unsigned(tx.build_unsigned(inputs, less), sent.prevouts), "altered"),
        "another coin": (psbt.from_unsigned(tx.build_unsigned(other, outputs), sent.prevouts), "another_tx"),
        "more than 8 MB": ("A" * 8_000_001, "too_large"),
    }


# The command finds the request by the tx inside, and another tx is one that nobody asked for.
FOUND_BY_TX = {"altered", "another_tx"}


class TestEachDoor:
    def test_refuses_what_is_wrong_by_the_same_rule(self, treasury: Treasury, tmp_path: Path) -> None:
        _, request = treasury.seal([900_000, 700_000])
        doors, before = Doors(treasury, request, tmp_path), state()
        for name, (text, rule) in bad(treasury, request).items():
            for door, send in doors.all().items():
                if rule == "too_large" and door.endswith("text"):
                    continue  # A field of text is measured before anybody reads it: test_signing_returned.
                wanted = "shown" if door.startswith("admin") else rule
                if door == "command" and rule in FOUND_BY_TX:
                    wanted = "not_found"
                assert (name, door, send(text)) == (name, door, wanted)
        assert state() == before

    def test_refuses_what_belongs_to_another_request(self, treasury: Treasury, tmp_path: Path) -> None:
        """Two payouts wait at once, and their files are mixed up; the command sorts them by what is inside."""
        _, first = treasury.seal([300_000])
        _, second = treasury.seal([400_000], period="2026-12")
        before, doors = state(), Doors(treasury, first, tmp_path)
        text = treasury.people[0].sign(second.psbt)
        assert doors.api_text(text) == doors.api_file(text) == "another_tx"
        assert doors.admin_text(text) == doors.admin_file(text) == "shown"
        assert state() == before
        assert doors.command(text) == ""
        assert PartialSignature.objects.get().request == second

    @pytest.mark.parametrize("first", range(5))
    def test_takes_a_part_and_takes_it_again_without_change(
        self, first: int, treasury: Treasury, tmp_path: Path
    ) -> None:
        payout, request = treasury.seal([900_000, 700_000])
        doors = Doors(treasury, request, tmp_path)
        ways = list(doors.all().values())
        ways = [*ways[first:], *ways[:first]]
        part = treasury.people[0].sign(request.psbt)
        assert ways[0](part) == ""
        assert PartialSignature.objects.get().fingerprint == treasury.people[0].fingerprint
        dispatch.advance(payout_id=payout.pk)
        before = state()
        assert [way(part) for way in ways] == [""] * 5
        assert state() == before
        assert ways[0](treasury.people[1].sign(request.psbt)) == ""
        dispatch.advance(payout_id=payout.pk)
        assert Payout.objects.get().status == PayoutStatus.SENT
