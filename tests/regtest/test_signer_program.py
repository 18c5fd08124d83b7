"""Lists of watch-only wallets, signed by the separate program on hosts of their own, sent and settled."""

import itertools
import json
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from ledger.models import Checkpoint
from ledger.seals import checkpoints
from payments.models import ManifestSignature, Payout, SigningRequest
from payments.onchain import descriptor as descriptors
from payments.onchain import node
from payments.payout import bump, child, dispatch, wallets
from payments.services import (
    approver_keys,
    bundles,
    disbursements,
    interventions,
    manifests,
    reissues,
    signing,
)
from payments.signer import bundle, psbt
from payments.states import PayoutStatus
from tests import approvals, factories, signers
from tests.payments.signer.host import SECRET, Host
from tests.regtest.ministry import Ministry, use_node
from tests.regtest.offline import offline_node
from tests.regtest.test_wallet_coins import RATES, give_many

pytestmark = pytest.mark.django_db(transaction=True)

_serial = itertools.count(1)


@pytest.fixture(autouse=True)
def _node(settings: object) -> None:
    use_node(settings)


class Office:
    """A ministry whose signers are programs on hosts of their own; files are carried between them."""

    def __init__(
        self, folder: Path, *, hosts: int, others: list[signers.SoftSigner], needed: int | None, **rules: int
    ) -> None:
        self.hosts = [Host(folder / f"host-{n}") for n in range(hosts)]
        options = () if needed is None else ("--multisig",)
        keys = []
        for host in self.hosts:
            host.home.mkdir(mode=0o700)
            out = host.run("key", "new", "--network", "regtest", *options, secrets=(SECRET,))
            keys.append(out.splitlines()[-1])
        keys += [other.key(*signers.MULTI_PATH).removesuffix("/<0;1>/*") for other in others]
        count = () if needed is None else ("--needed", str(needed))
        self.descriptor = self.hosts[0].run("descriptor", *count, *keys).strip()
        self.ministry = Ministry.open(
            deposits_sat=[1_000_000, 900_000],
            code=f"APART-{next(_serial)}",
            descriptor=self.descriptor,
            **rules,
        )
        self.carrier: User = factories.make_member(self.ministry.program, "signer")
        approver = self.ministry.approver
        self.trusted = f"{approver.get_username()}={approvals.public_key_of(approver).hex()}"
        for host in self.hosts:
            self.set_up(host)

    def set_up(self, host: Host, *options: str) -> None:
        """Tell a host of the wallet and of the approver that it trusts."""
        program = self.ministry.program
        about = ("--approver", self.trusted, *options)
        host.init(self.descriptor, *about, wallet=program.wallet.name, code=program.code)

    def carry(self, host: Host, request: SigningRequest, name: str = "payout") -> Path:
        """Take a request's bundle to a host."""
        return host.write(f"{name}.json", bundles.make(by=self.carrier, request_id=request.pk))

    def sign(self, host: Host, request: SigningRequest, name: str = "payout") -> str:
        """Have a host sign a request and return its PSBT."""
        path, out = self.carry(host, request, name), host.home / f"{name}.psbt"
        host.run("sign", str(path), "--out", str(out), secrets=(SECRET,), says="sign\n")
        return out.read_text()

    def bring(self, request: SigningRequest, psbt: str) -> Payout:
        """Bring a signature back."""
        signing.upload(by=self.carrier, request_id=request.pk, data=psbt.encode())
        dispatch.advance(payout_id=request.version.payout_id)
        return Payout.objects.get(pk=request.version.payout_id)

    def raise_fee(self, payout: Payout, feerate_sat_kvb: int) -> SigningRequest:
        """Have the engine build a bump and ask for its signature."""
        client = node.connect()
        wallets.add_change(payout.wallet, client, 2)
        version = bump.build(payout.pk, feerate_sat_kvb, client)
        dispatch.advance(payout_id=payout.pk)
        return SigningRequest.objects.get(version=version)

    def give_up(self, payout: Payout) -> SigningRequest:
        """Two people give the payout up; the engine asks for the void's signature."""
        treasurer = factories.make_member(self.ministry.program, "treasurer")
        asked = {"payout_id": payout.pk, "kind": "void"}
        shown = interventions.preview(by=treasurer, **asked)
        proposed = interventions.propose(by=treasurer, **asked, note="It was wrong.", shown=shown)
        interventions.approve(by=self.ministry.approver, intervention_id=proposed.pk, note="I looked.")
        dispatch.intervene(intervention_id=proposed.pk)
        dispatch.advance(payout_id=payout.pk)
        return SigningRequest.objects.filter(version__payout=payout).latest("pk")

    def settle(self, payout: Payout) -> None:
        """Let blocks bury the payout, and everything be judged."""
        self.ministry.mine(6)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.SETTLED
        self.ministry.judge(exactly=True)


class TestProgram:
    def test_signs_alone(self, tmp_path: Path) -> None:
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        (host,) = office.hosts
        (payout,) = office.ministry.pay(office.ministry.release([500_000, 600_000, 50_000]))
        assert payout.status == PayoutStatus.COMMITTED
        request = SigningRequest.objects.get()
        shown = host.run("inspect", str(office.carry(host, request)))
        assert "1,150,000 sat in 3 payments" in shown
        assert request.version.txid in shown
        payout = office.bring(request, office.sign(host, request))
        assert payout.status == PayoutStatus.SENT
        office.settle(payout)
        assert request.version.txid in host.run("history")

    def test_signs_with_another_program_for_two_of_three(self, tmp_path: Path) -> None:
        office = Office(tmp_path, hosts=2, others=[signers.SoftSigner(str(tmp_path))], needed=2)
        (payout,) = office.ministry.pay(office.ministry.release([500_000, 600_000, 50_000]))
        request = SigningRequest.objects.get()
        assert request.needed == 2
        first, second = (office.sign(host, request) for host in office.hosts)
        assert office.bring(request, first).status == PayoutStatus.COMMITTED
        payout = office.bring(request, second)
        assert payout.status == PayoutStatus.SENT
        office.settle(payout)

    def test_signs_with_an_offline_node_for_two_of_three(self, tmp_path: Path) -> None:
        soft = signers.SoftSigner(str(tmp_path))
        office = Office(tmp_path, hosts=2, others=[soft], needed=2)
        (payout,) = office.ministry.pay(office.ministry.release([500_000, 600_000]))
        request = SigningRequest.objects.get()
        assert office.bring(request, office.sign(office.hosts[1], request)).status == PayoutStatus.COMMITTED
        with offline_node() as offline:
            wallet = offline.keep(soft, descriptors.parse(office.descriptor))
            payout = office.bring(request, wallet.sign(request.psbt))
        assert payout.status == PayoutStatus.SENT
        office.settle(payout)

    def test_signs_through_hwi_with_a_node_for_its_device(self, tmp_path: Path) -> None:
        """The device is Bitcoin's own wallet: it reads the PSBT that it is handed by nobody's code but its own."""
        soft = signers.SoftSigner(str(tmp_path))
        office = Office(tmp_path, hosts=1, others=[soft, signers.SoftSigner(f"{tmp_path} 2")], needed=2)
        host = Host(tmp_path / "device")
        host.home.mkdir(mode=0o700)
        office.set_up(host, "--device", soft.fingerprint)
        (payout,) = office.ministry.pay(office.ministry.release([500_000, 600_000]))
        request = SigningRequest.objects.get()
        assert office.bring(request, office.sign(office.hosts[0], request)).status == PayoutStatus.COMMITTED
        with offline_node() as offline:
            wallet = offline.keep(soft, descriptors.parse(office.descriptor))
            host.plug_in(soft.fingerprint, rpc=offline.node.url, wallet=wallet.name)
            path, out = office.carry(host, request), host.home / "payout.psbt"
            host.run("sign", str(path), "--out", str(out), says="sign\n")
        payout = office.bring(request, out.read_text())
        assert payout.status == PayoutStatus.SENT
        office.settle(payout)

    def test_signs_a_bump_and_a_void_and_remembers_both(self, tmp_path: Path) -> None:
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        (host,) = office.hosts
        ministry = office.ministry
        (payout,) = ministry.pay(ministry.release([300_000, 200_000]))
        original = SigningRequest.objects.get()
        payout = office.bring(original, office.sign(host, original))
        assert payout.status == PayoutStatus.SENT
        bumped = office.raise_fee(payout, 9_000)
        office.bring(bumped, office.sign(host, bumped, "bump"))
        planned = office.give_up(payout)
        payout = office.bring(planned, office.sign(host, planned, "void"))
        history = host.run("history")
        for request, kind in ((original, "original"), (bumped, "bump"), (planned, "void")):
            assert [line for line in history.splitlines() if request.version.txid in line and kind in line]
        # The void was signed: no version that pays is signed any more, not even the one that was.
        err = host.run("inspect", str(office.carry(host, bumped, "again")), code=1)
        assert err.startswith("refused (payout_voided): ")
        ministry.mine(1)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDING
        ministry.judge(exactly=False)

    def test_signs_a_reissue_after_the_void_and_uses_the_freed_coins(self, tmp_path: Path) -> None:
        soft = signers.SoftSigner(str(tmp_path))
        office = Office(tmp_path, hosts=2, others=[soft], needed=2)
        host, other = office.hosts
        ministry = office.ministry
        (payout,) = ministry.pay(ministry.release([900_000, 700_000]))
        request = SigningRequest.objects.get()
        spent = set(bundle_inputs(office.carry(host, request)))
        assert len(spent) == 2
        office.bring(request, office.sign(other, request))
        payout = office.bring(request, office.sign(host, request))
        assert payout.status == PayoutStatus.SENT
        planned = office.give_up(payout)
        assert len(bundle_inputs(office.carry(host, planned))) == 1
        office.bring(planned, office.sign(host, planned, "void"))
        office.bring(planned, soft.sign(planned.psbt))
        ministry.mine(100)
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.VOIDED
        again = reissues.of_payout(by=ministry.officer, payout_id=payout.pk)
        (second,) = ministry.pay(ministry.go_on(again))
        request = SigningRequest.objects.get(version__payout=second)
        reused = spent & set(bundle_inputs(office.carry(host, request)))
        assert len(reused) == 1
        # The one host signed the void; the other did not, and refuses until it has.
        path = office.carry(other, request, "reissue")
        assert host.run("inspect", str(office.carry(host, request, "reissue"))).count("reissues") == 2
        err = other.run("inspect", str(path), code=1)
        assert err.startswith("refused (input_reused): ")
        office.sign(other, planned, "void")
        assert "Every rule is kept" in other.run("inspect", str(path))
        office.bring(request, office.sign(other, request, "reissue"))
        second = office.bring(request, office.sign(host, request, "reissue"))
        assert second.status == PayoutStatus.SENT
        office.settle(second)

    def test_signs_a_child_that_pays_for_its_parent(self, tmp_path: Path) -> None:
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        (host,) = office.hosts
        (payout,) = office.ministry.pay(office.ministry.release([300_000, 200_000]))
        request = SigningRequest.objects.get()
        payout = office.bring(request, office.sign(host, request))
        version = child.build(payout.pk, 9_000, node.connect())
        dispatch.advance(payout_id=version.payout_id)
        request = SigningRequest.objects.get(version=version)
        carried = bundle.load(office.carry(host, request, "child").read_text())
        assert (carried.kind, carried.manifests, set(carried.payment_ids)) == ("child", (), {None})
        helper = office.bring(request, office.sign(host, request, "child"))
        assert helper.status == PayoutStatus.SENT
        office.ministry.mine(6)
        helper.refresh_from_db()
        assert helper.status == PayoutStatus.SETTLED
        office.settle(payout)

    def test_signs_a_consolidation_of_many_small_coins(self, tmp_path: Path) -> None:
        rules = {"consolidate_feerate_sat_kvb": 2_000, "consolidate_budget_daily_sat": 50_000}
        others = [signers.SoftSigner(str(tmp_path))]
        office = Office(tmp_path, hosts=2, others=others, needed=2, **RATES, **rules)
        give_many(office.ministry, [5_000 + n for n in range(30)])
        dispatch.consolidate(wallet_id=office.ministry.program.wallet.pk)
        merging = Payout.objects.get()
        dispatch.advance(payout_id=merging.pk)
        request = SigningRequest.objects.get()
        first, second = (office.sign(host, request) for host in office.hosts)
        office.bring(request, first)
        assert office.bring(request, second).status == PayoutStatus.SENT
        office.settle(merging)

    def test_refuses_what_its_approvers_did_not_sign(self, tmp_path: Path) -> None:
        """The engine's database is in a thief's hands: the list is changed, hash and all, and released."""
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        (host,) = office.hosts
        ministry = office.ministry
        (payout,) = ministry.pay(ministry.release([500_000, 600_000]))
        request = SigningRequest.objects.get()
        honest = bundle.load(office.carry(host, request).read_text())
        ManifestSignature.objects.all().delete()
        err = host.run("inspect", str(office.carry(host, request, "unsigned")), code=1)
        assert err.startswith("refused (manifest_signatures): ")
        thief = approvals.signature(payout.disbursement, ministry.releaser)
        forged = bundle.Signature(thief["public_key"], thief["signature"])
        stolen = bundle.SignedManifest(honest.manifests[0].text, (forged,))
        fields = {name: getattr(honest, name) for name in bundle.Bundle.__slots__}  # type: ignore[attr-defined]
        text = bundle.dump(bundle.Bundle(**fields | {"manifests": (stolen,)}))
        err = host.run("inspect", str(host.write("forged.json", text)), code=1)
        assert err.startswith("refused (manifest_signatures): ")
        payout.refresh_from_db()
        assert payout.status == PayoutStatus.COMMITTED

    def test_gets_no_bundle_that_it_would_not_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        office.ministry.pay(office.ministry.release([500_000, 600_000]))
        request = SigningRequest.objects.get()
        monkeypatch.setattr(bundle, "MAX_BYTES", 1_000)
        with pytest.raises(bundles.BundleImpossible) as refused:
            bundles.make(by=office.carrier, request_id=request.pk)
        assert refused.value.code == "bundle_impossible"

    def test_approves_the_file_that_the_product_hands_out(self, tmp_path: Path) -> None:
        """The approver's own key file: from the download to the release."""
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        (host,) = office.hosts
        ministry = office.ministry
        made = factories.make_disbursement(ministry.program, ministry.officer, amounts_sat=[70_000])
        made = disbursements.submit(by=ministry.officer, disbursement_id=made.pk)
        text = b"".join(manifests.export(by=ministry.approver, disbursement_id=made.pk)).decode()
        key, out = host.home / "approver.json", host.home / "signature.json"
        user = ministry.approver.get_username()
        host.run("approver", "new", "--user", user, "--key", str(key), secrets=(SECRET,))
        command = ("approve", str(host.write("list.txt", text)), "--key", str(key), "--out", str(out))
        digest = bytes(made.manifest_hash or b"")
        host.run(*command, "--sha256", digest.hex(), secrets=(SECRET,), says="approve\n")
        _register(ministry.approver, host.run("approver", "show", "--key", str(key)))
        disbursements.approve(by=ministry.approver, disbursement_id=made.pk, manifest_hash=digest)
        _bring_signature(ministry.approver, made.pk, out.read_text())
        released = disbursements.release(by=ministry.releaser, disbursement_id=made.pk, manifest_hash=digest)
        assert released.status == "released"


def bundle_inputs(path: Path) -> tuple[str, ...]:
    """The outpoints that a bundle's tx spends."""
    return tuple(spent.outpoint for spent in psbt.decode(bundle.load(path.read_text()).psbt).inputs)


def _register(user: User, text: str) -> None:
    given = {name: bytes.fromhex(value) for name, value in json.loads(text).items()}
    approver_keys.register(by=user, **given)


def _bring_signature(user: User, disbursement_id: int, text: str) -> None:
    given = {name: bytes.fromhex(value) for name, value in json.loads(text).items()}
    manifests.sign(by=user, disbursement_id=disbursement_id, **given)


class TestAnchor:
    def test_is_signed_by_the_program_that_shows_its_hash(self, tmp_path: Path, settings: object) -> None:
        office = Office(tmp_path, hosts=1, others=[], needed=None)
        settings.GOVPAY_SEAL_KEY = bytes(range(32))  # type: ignore[attr-defined]
        settings.GOVPAY_ANCHOR_PROGRAM = office.ministry.program.code  # type: ignore[attr-defined]
        dispatch.seal_books()
        checkpoint = Checkpoint.objects.get()
        dispatch.anchor(checkpoint_id=checkpoint.pk)
        dispatch.advance(payout_id=Payout.objects.get().pk)
        request = SigningRequest.objects.get()
        host = office.hosts[0]
        path, out = office.carry(host, request), host.home / "anchor.psbt"
        shown = host.run("sign", str(path), "--out", str(out), secrets=(SECRET,), says="sign\n")
        # The screen breaks lines where it likes.
        assert checkpoints.digest(checkpoint).hex() in "".join(shown.split())
        payout = office.bring(request, out.read_text())
        assert (payout.kind, payout.checkpoint_id) == ("anchor", checkpoint.pk)
        office.settle(payout)
