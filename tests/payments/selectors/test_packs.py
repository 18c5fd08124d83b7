"""What payments testify to packs: here, how a script is called on the network of the settings."""

from payments.onchain import address
from payments.onchain.network import Network
from payments.selectors import packs


class TestAddress:
    def test_is_that_of_the_network(self) -> None:
        script = bytes.fromhex("0014" + "22" * 20)
        found = packs.backend().address(script)
        assert found is not None
        assert address.script_from_address(found, Network.REGTEST) == script

    def test_is_none_where_a_script_has_none(self) -> None:
        assert packs.backend().address(b"\x6a") is None
