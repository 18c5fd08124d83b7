"""The node's proxy, between our client and a node: every mode reaches the caller as the error it should be."""

from collections.abc import Iterator

import pytest

from payments.onchain import node
from tests import services
from tests.faults.proxy import NodeProxy


@pytest.fixture
def proxy() -> Iterator[NodeProxy]:
    with NodeProxy(services.ensure_node().url) as between:
        yield between


@pytest.fixture
def client(proxy: NodeProxy) -> node.Node:
    return node.Node(proxy.url, timeout_s=1)


class TestFail:
    @pytest.mark.parametrize(
        ("mode", "error"),
        [
            ("drop", node.NodeTimeout),
            ("swallow", node.NodeTimeout),
            ("reset", node.NodeTimeout),
            ("hang", node.NodeTimeout),
            ("delay", node.NodeTimeout),
            ("drip", node.NodeTimeout),
            ("truncate", node.NodeReplyInvalid),
            ("busy", node.NodeBusy),
            ("unauthorized", node.NodeUnauthorized),
            ("forbidden", node.NodeUnauthorized),
            ("html", node.NodeReplyInvalid),
            ("garbage", node.NodeReplyInvalid),
            ("cut_json", node.NodeReplyInvalid),
            ("other", node.NodeReplyInvalid),
        ],
    )
    def test_reaches_the_caller_once(
        self, mode: str, error: type[node.NodeError], proxy: NodeProxy, client: node.Node
    ) -> None:
        proxy.fail("getblockcount", mode, delay_s=2)
        with pytest.raises(error) as caught:
            client.call("getblockcount")
        assert type(caught.value) is error
        assert client.call("getblockcount") >= 0
        assert (proxy.seen["getblockcount"], proxy.failed["getblockcount"]) == (2, 1)

    def test_of_every_method_lasts_until_it_is_healed(self, proxy: NodeProxy, client: node.Node) -> None:
        proxy.fail("*", "busy", times=None)
        for method in ("getblockcount", "getmempoolinfo", "getblockcount"):
            with pytest.raises(node.NodeBusy):
                client.call(method)
        proxy.heal()
        assert client.call("getmempoolinfo")["loaded"] is True

    def test_duplicate_leaves_no_reply_behind_for_the_next_call(
        self, proxy: NodeProxy, client: node.Node
    ) -> None:
        proxy.fail("getblockcount", "duplicate")
        height = client.call("getblockcount")
        assert client.call("getblockhash", height) == client.call("getbestblockhash")

    @pytest.mark.parametrize("method", ["getblockcount", "batch"])
    def test_stale_reply_is_refused_and_the_true_one_behind_it_never_read(
        self, method: str, proxy: NodeProxy, client: node.Node
    ) -> None:
        best = client.call("getbestblockhash")
        proxy.fail(method, "stale")
        with pytest.raises(node.NodeReplyInvalid):
            client.call(method) if method != "batch" else client.call_many("getblockcount", [()])
        assert client.call("getbestblockhash") == best


class TestAnswer:
    def test_speaks_in_the_nodes_place(self, proxy: NodeProxy, client: node.Node) -> None:
        proxy.answer("estimatesmartfee", {"feerate": 0.00012345, "blocks": 2})
        assert client.estimate_feerate_sat_kvb(6) == 12_345
        proxy.answer("estimatesmartfee", {"errors": ["Insufficient data or no feerate found"]}, times=1)
        assert client.estimate_feerate_sat_kvb(6) is None
        proxy.heal("estimatesmartfee")
        with pytest.raises(node.RpcError, match="Fee estimation disabled"):
            client.call("estimatesmartfee", 6)

    def test_refuses_in_the_nodes_words(self, proxy: NodeProxy, client: node.Node) -> None:
        proxy.refuse("sendrawtransaction", -26, "min relay fee not met", times=1)
        with pytest.raises(node.RpcError) as caught:
            client.call("sendrawtransaction", "00")
        assert (caught.value.rpc_code, caught.value.reason) == (-26, "min relay fee not met")
        assert proxy.seen["sendrawtransaction"] == 1
