"""Who signs for a new program: the node's wallet on regtest, signers elsewhere by their descriptor anywhere (R-31)."""

import pytest

from govpay.errors import InvalidInput
from ledger.models import Account, Elements
from payments.models import Program, Signer, Wallet
from payments.onchain import fee
from tests import factories, signers

pytestmark = pytest.mark.django_db

PEOPLE = [signers.SoftSigner(f"programs {number}") for number in range(3)]


def refused(**columns: str) -> str:
    """The code of the refusal, after which there is no new program."""
    before = Program.objects.count()
    with pytest.raises(InvalidInput) as refusal:
        factories.make_program("REFUSED", is_ready=False, **columns)
    assert Program.objects.count() == before
    (error,) = refusal.value.details["errors"]
    assert error["column"] == "descriptor"
    return str(error["code"])


class TestCreate:
    def test_lets_the_nodes_wallet_sign_on_regtest(self) -> None:
        wallet = factories.make_program().wallet
        assert (wallet.signer, wallet.descriptor) == (Signer.NODE, "")
        assert (wallet.input_weight, wallet.change_weight) == (fee.P2WPKH_INPUT_WEIGHT, 124)

    @pytest.mark.parametrize("name", ["signet", "testnet3", "testnet4"])
    def test_does_not_elsewhere(self, settings: object, name: str) -> None:
        settings.GOVPAY_NETWORK = name  # type: ignore[attr-defined]
        assert refused() == "node_signer_refused"
        text = signers.multi(2, PEOPLE)
        wallet = factories.make_program("WATCHED", is_ready=False, descriptor=text).wallet
        assert (wallet.signer, wallet.descriptor) == (Signer.PSBT, text)
        assert (wallet.input_weight, wallet.change_weight) == (fee.P2WSH_2_OF_3_INPUT_WEIGHT, 172)

    def test_names_the_rule_that_a_descriptor_breaks(self) -> None:
        good = signers.single(PEOPLE[0])
        assert refused(descriptor="x") == "descriptor_checksum_missing"
        assert refused(descriptor=good[:-1]) == "descriptor_checksum"
        secret = PEOPLE[0].private_branches(84, 1, 0)[0]
        assert refused(descriptor=f"wpkh({secret})") == "descriptor_private_key"
        assert Wallet.objects.filter(descriptor__contains="prv").count() == 0

    def test_classifies_every_account_for_good(self) -> None:
        program = factories.make_program("CASH", entity="MOF", function="10.71", fund="F1")
        found = Account.objects.filter(scope=program.scope)
        assert {account.elements._replace(object="") for account in found} == {
            Elements("MOF", "10.71", "", "F1", "CASH")
        }
        assert {account.code.split(":")[1]: account.object for account in found} == {
            "HotWallet": "614",
            "InTransit": "614",
            "BeneficiariesPayable": "6308",
            "Appropriation": "1331",
            "Transfers": "272",
            "NetworkFees": "22",
        }
        other = factories.make_program("OTHER", project="P-7")
        assert {account.project for account in Account.objects.filter(scope=other.scope)} == {"P-7"}

    @pytest.mark.parametrize("column", ["entity", "function", "fund", "project"])
    @pytest.mark.parametrize("value", ["a05", "A 5", "A" * 31, "-A", "A\n"])
    def test_refuses_a_classification_that_is_no_code(self, column: str, value: str) -> None:
        with pytest.raises(InvalidInput) as refusal:
            factories.make_program("REFUSED", is_ready=False, **{column: value})
        (error,) = refusal.value.details["errors"]
        assert (error["column"], error["code"]) == (column, "invalid")
        assert (Program.objects.count(), Account.objects.count()) == (0, 0)

    @pytest.mark.parametrize(("needed", "keys"), [(1, 2), (1, 3), (2, 4)])
    def test_refuses_a_wallet_where_half_of_the_keys_sign(self, needed: int, keys: int) -> None:
        people = [*PEOPLE, signers.SoftSigner("programs 3")][:keys]
        assert refused(descriptor=signers.multi(needed, people)) == "descriptor_overlap"
        factories.make_program("MOST", is_ready=False, descriptor=signers.multi(keys // 2 + 1, people))

    def test_takes_keys_for_one_program_only(self) -> None:
        first, second, third = PEOPLE
        factories.make_program("FIRST", is_ready=False, descriptor=signers.multi(2, PEOPLE))
        assert refused(descriptor=signers.multi(2, PEOPLE)) == "descriptor_in_use"
        # In another order they are the same scripts, and so the same coins.
        assert refused(descriptor=signers.multi(2, [third, first, second])) == "descriptor_in_use"
        # With another threshold they are other scripts.
        factories.make_program("SECOND", is_ready=False, descriptor=signers.multi(3, PEOPLE))
