"""Everything that may come back from a signer, through the API, the admin and files: taken, or refused by its rule (F48)."""

import base64
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import wallycore
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from knox.models import AuthToken
from rest_framework.test import APIClient

from payments.models import PartialSignature, Payout, PayoutTx, SigningRequest, StatusChange, Wallet
from payments.onchain import psbt, returned, tx
from payments.payout import dispatch, guard, signing
from payments.services import signing as service
from payments.services import stops
from payments.states import PayoutStatus
from tests import factories, signers
from tests.payments.api import expect
from tests.regtest.ministry import use_node
from tests.regtest.treasury import Treasury

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _node(settings: object) -> None:
    use_node(settings)


@pytest.fixture
def treasury() -> Treasury:
    return Treasury.open(2, 3)


def api(user: Any) -> APIClient:
    client = APIClient()
    client.default_format = "json"
    _, token = AuthToken.objects.create(user=user)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client


def address(request: SigningRequest, part: str = "signatures/") -> str:
    return f"/api/v1/signing-requests/{request.pk}/{part}"


def state() -> tuple[Any, ...]:
    """What a refusal must not move."""
    return (
        list(PartialSignature.objects.order_by("pk").values_list("fingerprint", "psbt")),
        list(Payout.objects.order_by("pk").values_list("status", "current", "attempts")),
        list(PayoutTx.objects.order_by("pk").values_list("txid", "raw")),
        list(SigningRequest.objects.values_list("pk", "completed_at")),
        StatusChange.objects.count(),
    )


class TestRefused:
    def test_each_by_its_rule_and_nothing_moves(self, treasury: Treasury) -> None:
        _payout, request = treasury.seal()
        client, before = api(treasury.carrier), state()
        sent = signing.sent_of(treasury.ministry.program.wallet, request.version)
        good = treasury.people[0].sign(request.psbt)
        outputs = list(tx.parse(bytes(request.version.unsigned_tx)).outputs)
        less = [outputs[0]._replace(amount_sat=outputs[0].amount_sat - 1), *outputs[1:]]
        inputs = tx.inputs_of(sent.unsigned)
        altered = psbt.from_unsigned(tx.build_unsigned(inputs, less), sent.prevouts)
        other = [tx.OutPoint("ab" * 32, 0), *inputs[1:]]
        cases = {
            "": "malformed",
            "not a psbt": "malformed",
            good[:-40]: "malformed",
            altered: "altered",
            psbt.from_unsigned(tx.build_unsigned(other, outputs), sent.prevouts): "another_tx",
            request.psbt: "unsigned",
            signers.SoftSigner("stranger").sign(request.psbt): "unsigned",
            odd(request, treasury, wallycore.WALLY_SIGHASH_NONE): "sighash",
            odd(request, treasury, wallycore.WALLY_SIGHASH_SINGLE): "sighash",
            odd(
                request, treasury, wallycore.WALLY_SIGHASH_ALL | wallycore.WALLY_SIGHASH_ANYONECANPAY
            ): "sighash",
            sent.unsigned.hex(): "unsigned",
        }
        found = {}
        for text in cases:
            body = expect.problem(client.post(address(request), {"psbt": text}), 422, "signature_refused")
            found[text] = body["details"]["rule"]
        assert found == cases
        for text in ("\0", good[:100] + "\0" + good[100:]):
            expect.problem(client.post(address(request), {"psbt": text}), 400, "validation_error")
        assert state() == before

    def test_files_that_are_junk_or_huge(self, treasury: Treasury) -> None:
        _, request = treasury.seal()
        client, before = api(treasury.carrier), state()
        for data, rule in ((b"", "malformed"), (b"\0" * 100, "malformed"), (b"A" * 8_000_001, "too_large")):
            file = SimpleUploadedFile("back.psbt", data)
            answer = client.post(address(request), {"file": file}, format="multipart")
            assert expect.problem(answer, 422, "signature_refused")["details"]["rule"] == rule
        huge = client.post(address(request), {"psbt": "A" * 11_000_000})
        assert huge.status_code == 413
        for body in ({}, {"psbt": 5}, {"psbt": "x", "note": "y"}, []):
            assert client.post(address(request), body).status_code == 400
        assert state() == before

    def test_people_who_do_not_carry_files(self, treasury: Treasury) -> None:
        ministry = treasury.ministry
        _, request = treasury.seal()
        before, signed = state(), treasury.people[0].sign(request.psbt)
        auditor = factories.make_member(ministry.program, "auditor")
        outsider = factories.make_member(factories.make_program("ELSEWHERE"), "signer")
        for user in (ministry.officer, ministry.approver, ministry.releaser, auditor):
            expect.problem(api(user).post(address(request), {"psbt": signed}), 403, "role_missing")
        for user in (ministry.officer, ministry.approver, ministry.releaser):
            expect.problem(api(user).get(address(request, "psbt/")), 403, "role_missing")
            expect.problem(api(user).get(address(request, "bundle/")), 403, "role_missing")
            assert api(user).get(address(request, "")).status_code == 200
        assert api(auditor).get(address(request, "psbt/")).status_code == 200
        for part in ("", "psbt/", "bundle/"):
            expect.problem(api(outsider).get(address(request, part)), 404, "not_found")
        expect.problem(api(outsider).post(address(request), {"psbt": signed}), 404, "not_found")
        assert state() == before

    def test_what_comes_too_late(self, treasury: Treasury) -> None:
        _payout, request = treasury.seal()
        treasury.sign(request, 0, 1)
        late = treasury.people[2].sign(request.psbt)
        client = api(treasury.carrier)

        def refused(name: str) -> None:
            before = state()
            body = expect.problem(
                client.post(address(request), {"psbt": late}), 409, "signing_request_closed"
            )
            assert body["details"]["state"] == name
            assert state() == before

        assert Payout.objects.get().status == PayoutStatus.SENT
        refused("signed")
        treasury.ministry.mine(1)
        refused("signed")
        treasury.ministry.mine(5)
        assert Payout.objects.get().status == PayoutStatus.SETTLED
        refused("signed")

    def test_what_comes_while_the_engine_is_stopped_or_the_wallet_halted(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        first, second = (person.sign(request.psbt) for person in treasury.people[:2])
        treasury.upload(request, first)
        client = api(treasury.carrier)
        treasurer = factories.make_member(treasury.ministry.program, "treasurer")
        stop = stops.throw(by=treasurer, reason="a drill")
        before = state()
        expect.problem(client.post(address(request), {"psbt": second}), 409, "engine_stopped")
        for part in ("psbt/", "bundle/"):
            expect.problem(client.get(address(request, part)), 409, "engine_stopped")
        assert state() == before
        auditor = factories.make_member(treasury.ministry.program, "treasurer", "second-treasurer")
        stops.lift(by=auditor, stop_id=stop.pk, reason="over")
        wallet = treasury.ministry.program.wallet
        guard.halt(wallet, guard.HaltCode.SECOND_INSTALLATION, "another one pays")
        before = state()
        expect.problem(client.post(address(request), {"psbt": second}), 409, "wallet_halted")
        expect.problem(client.get(address(request, "psbt/")), 409, "wallet_halted")
        assert state() == before
        Wallet.objects.update(halted_at=None)
        assert client.post(address(request), {"psbt": second}).status_code == 200
        dispatch.advance(payout_id=payout.pk)
        assert Payout.objects.get().status == PayoutStatus.SENT

    def test_bytes_that_were_changed_in_the_database(self, treasury: Treasury) -> None:
        """What is stored is checked again before it is sent: the payout freezes, and no node sees anything."""
        payout, request = treasury.seal()
        treasury.sign(request, 0)
        other = PartialSignature.objects.get()
        broken = wallycore.psbt_from_base64(treasury.people[1].sign(request.psbt), 0)
        wallycore.psbt_set_input_sighash(broken, 0, 1)
        sent = signing.sent_of(treasury.ministry.program.wallet, request.version)
        key = sent.descriptor.keys[1]
        wrong = returned.read(other.psbt.encode(), sent)[treasury.people[0].fingerprint]
        PartialSignature.objects.create(
            request=request,
            fingerprint=key.fingerprint,
            psbt=psbt.with_signatures(
                sent.unsigned,
                sent.prevouts,
                [(sent.public_key(key, at), wrong[at]) for at in range(len(wrong))],
            ),
        )
        dispatch.advance(payout_id=payout.pk)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.FROZEN
        assert PayoutTx.objects.get().raw is None


class TestTaken:
    def test_a_part_shows_as_progress(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        client = api(treasury.carrier)
        signed = treasury.people[2].sign(request.psbt)
        answer = expect.ok(client.post(address(request), {"psbt": signed}))
        assert (answer["added"], answer["repeated"]) == ([treasury.people[2].fingerprint], [])
        dispatch.advance(payout_id=payout.pk)
        row = expect.ok(client.get(address(request, "")))
        assert (row["state"], row["needed"], row["signed"]) == ("waiting", 2, 1)
        assert [(signer["fingerprint"], signer["is_signed"]) for signer in row["signers"]] == [
            (person.fingerprint, number == 2) for number, person in enumerate(treasury.people)
        ]
        assert row["signers"][2]["uploaded_by"] == treasury.carrier.get_username()
        (listed,) = expect.ok(client.get("/api/v1/signing-requests/?state=waiting"))["results"]
        assert (listed["id"], listed["txid"]) == (request.pk, payout.current.txid)
        assert expect.ok(client.get("/api/v1/signing-requests/?state=signed"))["results"] == []
        payout.refresh_from_db()
        left = ", ".join(person.fingerprint for person in treasury.people[:2])
        assert payout.status == PayoutStatus.COMMITTED
        assert payout.problem == (
            f"Signing request {request.pk} has 1 of 2 signatures; not signed yet: {left}."
        )

    def test_the_same_twice_counts_once(self, treasury: Treasury) -> None:
        _, request = treasury.seal()
        client = api(treasury.carrier)
        person = treasury.people[0]
        again = wallycore.psbt_from_base64(request.psbt, 0)
        # Without grinding for a low R it may be another signature, and is as valid.
        wallycore.psbt_sign_bip32(again, person.master, 0)
        other = str(wallycore.psbt_to_base64(again, 0))
        first = person.sign(request.psbt)
        expect.ok(client.post(address(request), {"psbt": first}))
        before = state()
        for text in (first, other):
            answer = expect.ok(client.post(address(request), {"psbt": text}))
            assert (answer["added"], answer["repeated"], answer["signed"]) == ([], [person.fingerprint], 1)
        assert state() == before

    def test_an_idempotency_key_gives_the_first_answer_again(self, treasury: Treasury) -> None:
        _, request = treasury.seal()
        client = api(treasury.carrier)
        body = {"psbt": treasury.people[0].sign(request.psbt)}
        first = client.post(address(request), body, headers={"Idempotency-Key": "k"})
        second = client.post(address(request), body, headers={"Idempotency-Key": "k"})
        assert second.json() == first.json()
        assert second["Idempotency-Replayed"] == "true"

    def test_a_binary_file_and_a_combined_one(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        client = api(treasury.carrier)
        one = base64.b64decode(treasury.people[0].sign(request.psbt))
        file = SimpleUploadedFile("a.psbt", one)
        assert client.post(address(request), {"file": file}, format="multipart").json()["signed"] == 1
        both = treasury.people[1].sign(treasury.people[0].sign(request.psbt))
        answer = client.post(address(request), {"psbt": both}).json()
        assert (answer["added"], answer["repeated"]) == (
            [treasury.people[1].fingerprint],
            [treasury.people[0].fingerprint],
        )
        dispatch.advance(payout_id=payout.pk)
        assert Payout.objects.get().status == PayoutStatus.SENT

    @pytest.mark.parametrize("form", ["psbt", "tx"])
    def test_a_finalized_one(self, treasury: Treasury, form: str) -> None:
        _payout, request = treasury.seal()
        both = treasury.people[1].sign(treasury.people[0].sign(request.psbt))
        parsed = wallycore.psbt_from_base64(both, 0)
        wallycore.psbt_finalize(parsed, 0)
        text = str(wallycore.psbt_to_base64(parsed, 0))
        if form == "tx":
            text = wallycore.tx_to_hex(wallycore.psbt_extract(parsed, 0), wallycore.WALLY_TX_FLAG_USE_WITNESS)
        assert len(treasury.upload(request, text).added) == 2
        assert Payout.objects.get().status == PayoutStatus.SENT
        assert PartialSignature.objects.count() == 2


class TestTogether:
    def test_the_same_file_from_many_people_counts_once(self, treasury: Treasury) -> None:
        """The uploads wait for each other on the payout's row, and all but one find that the signer has signed."""
        _payout, request = treasury.seal()
        data = treasury.people[0].sign(request.psbt).encode()
        start = threading.Barrier(4)

        def bring(_: int) -> tuple[str, ...]:
            try:
                start.wait(timeout=10)
                found = service.upload(by=treasury.carrier, request_id=request.pk, data=data)
                return found.added
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=4) as pool:
            added = list(pool.map(bring, range(4)))
        assert sorted(map(len, added)) == [0, 0, 0, 1]
        assert PartialSignature.objects.count() == 1

    def test_two_signers_at_once_both_count(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        files = [person.sign(request.psbt).encode() for person in treasury.people]
        start = threading.Barrier(3)

        def bring(data: bytes) -> int:
            try:
                start.wait(timeout=10)
                return len(service.upload(by=treasury.carrier, request_id=request.pk, data=data).added)
            finally:
                connection.close()

        with ThreadPoolExecutor(max_workers=3) as pool:
            assert list(pool.map(bring, files)) == [1, 1, 1]
        dispatch.advance(payout_id=payout.pk)
        assert Payout.objects.get().status == PayoutStatus.SENT


class TestFiles:
    def test_the_psbt_has_all_that_a_signer_looks_at(self, treasury: Treasury) -> None:
        _, request = treasury.seal()
        answer = api(treasury.carrier).get(address(request, "psbt/"))
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Content-Disposition"] == f'attachment; filename="signing-{request.pk}.psbt"'
        decoded = treasury.ministry.miner.node.call("decodepsbt", base64.b64encode(answer.content).decode())
        assert decoded["tx"]["txid"] == request.version.txid
        for entry in decoded["inputs"]:
            assert entry["sighash"] == "ALL"
            assert entry["witness_script"]["asm"].startswith("2 ")
            assert {d["master_fingerprint"] for d in entry["bip32_derivs"]} == {
                person.fingerprint for person in treasury.people
            }
            assert entry["non_witness_utxo"]["txid"] in {o.txid for o in tx.inputs_of(request_tx(request))}
            assert {d["path"] for d in entry["bip32_derivs"]} == {"m/48h/1h/0h/2h/0/0"}
        *paid, change = decoded["outputs"]
        assert [entry for entry in paid if entry] == []
        assert {d["path"].rpartition("/")[0] for d in change["bip32_derivs"]} == {"m/48h/1h/0h/2h/1"}

    def test_the_bundle_names_each_payment(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        found = api(treasury.carrier).get(address(request, "bundle/")).json()
        assert found["format"] == "govpay-signing-1"
        assert (found["payout_id"], found["txid"], found["kind"]) == (
            payout.pk,
            request.version.txid,
            "original",
        )
        ids = list(payout.payments.order_by("vout").values_list("pk", flat=True))
        assert found["payment_ids"][: len(ids)] == ids
        assert set(found["payment_ids"][len(ids) :]) == {None}
        assert found["descriptor"] == treasury.ministry.program.wallet.descriptor
        assert found["manifests"][0]["text"].startswith("govpay-manifest-1\n")

    def test_go_out_and_come_back_through_folders(self, treasury: Treasury, tmp_path: Path) -> None:
        payout, request = treasury.seal()
        name = treasury.carrier.get_username()
        call_command("export_psbt", f"--by={name}", str(tmp_path))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            f"signing-{request.pk}.json",
            f"signing-{request.pk}.psbt",
        ]
        text = base64.b64encode((tmp_path / f"signing-{request.pk}.psbt").read_bytes()).decode()
        back = tmp_path / "back"
        back.mkdir()
        (back / "anne.psbt").write_bytes(base64.b64decode(treasury.people[0].sign(text)))
        (back / "boris.txt").write_text(treasury.people[1].sign(text) + "\n")
        (back / "notes.md").write_text("nothing to import")
        (back / "bad.psbt").write_bytes(b"bad")
        with pytest.raises(CommandError, match="1 of 3 files are refused"):
            call_command("import_psbt", f"--by={name}", str(back))
        dispatch.advance(payout_id=payout.pk)
        assert Payout.objects.get().status == PayoutStatus.SENT

    def test_of_another_program_are_not_found(self, treasury: Treasury, tmp_path: Path) -> None:
        _, request = treasury.seal()
        outsider = factories.make_member(factories.make_program("ELSEWHERE"), "signer")
        (tmp_path / "a.psbt").write_bytes(base64.b64decode(treasury.people[0].sign(request.psbt)))
        before = state()
        for by in (outsider.get_username(), "nobody"):
            with pytest.raises(CommandError):
                call_command("import_psbt", f"--by={by}", str(tmp_path))
        with pytest.raises(CommandError):
            call_command(
                "export_psbt", f"--by={outsider.get_username()}", f"--request={request.pk}", str(tmp_path)
            )
        assert service.list_waiting(by=outsider) == []
        assert state() == before


class TestAdmin:
    def test_downloads_and_takes_back(self, treasury: Treasury) -> None:
        payout, request = treasury.seal()
        client = Client()
        client.force_login(treasury.carrier)
        page = f"/admin/payments/signingrequest/{request.pk}"
        html = client.get(f"{page}/change/").content.decode()
        for person in treasury.people:
            assert person.fingerprint in html
        assert client.get(f"{page}/psbt/").content == base64.b64decode(request.psbt)
        assert client.get(f"{page}/bundle/").json()["txid"] == request.version.txid
        before = state()
        refused = client.post(f"{page}/upload/", {"psbt": request.psbt})
        assert (refused.status_code, "There is no signature in it." in refused.content.decode()) == (
            422,
            True,
        )
        neither = client.post(f"{page}/upload/", {})
        assert "Give either a file or its text." in neither.content.decode()
        assert state() == before
        file = SimpleUploadedFile("a.psbt", base64.b64decode(treasury.people[0].sign(request.psbt)))
        assert client.post(f"{page}/upload/", {"file": file}).status_code == 302
        assert (
            client.post(f"{page}/upload/", {"psbt": treasury.people[1].sign(request.psbt)}).status_code == 302
        )
        dispatch.advance(payout_id=payout.pk)
        assert Payout.objects.get().status == PayoutStatus.SENT
        assert "/upload/" not in client.get(f"{page}/change/").content.decode()

    def test_gives_officers_no_files(self, treasury: Treasury) -> None:
        _, request = treasury.seal()
        client = Client()
        client.force_login(treasury.ministry.officer)
        page = f"/admin/payments/signingrequest/{request.pk}"
        assert client.get(f"{page}/change/").status_code == 200
        assert [client.get(f"{page}/{part}/").status_code for part in ("psbt", "bundle")] == [403, 403]
        before = state()
        signed = treasury.people[0].sign(request.psbt)
        assert client.post(f"{page}/upload/", {"psbt": signed}).status_code == 403
        assert state() == before


def request_tx(request: SigningRequest) -> bytes:
    return bytes(request.version.unsigned_tx)


def odd(request: SigningRequest, treasury: Treasury, sighash: int) -> str:
    """A PSBT that a signer signed under another sighash than was asked for."""
    parsed = wallycore.psbt_from_base64(request.psbt, 0)
    for position in range(wallycore.psbt_get_num_inputs(parsed)):
        wallycore.psbt_set_input_sighash(parsed, position, sighash)
    sign: Callable[..., None] = wallycore.psbt_sign_bip32
    sign(parsed, treasury.people[0].master, wallycore.EC_FLAG_GRIND_R)
    return str(wallycore.psbt_to_base64(parsed, 0))
