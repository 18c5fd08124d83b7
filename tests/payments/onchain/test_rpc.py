"""The RPC client against a node that times out, lies, hangs up, drips and confuses its replies."""

import socket
import threading
from collections.abc import Callable
from decimal import Decimal

import pytest

from payments.onchain import node, rpc, tx
from payments.onchain.send import SendOutcome
from tests.payments.onchain import fake_node
from tests.payments.onchain.fake_node import FakeNode, Reply

RAW = tx.build_unsigned([tx.OutPoint("ab" * 32, 0)], [tx.Output(1000, b"\x00\x14" + bytes(20))])
TXID = tx.parse(RAW).txid


def reply_to(request_id: object) -> bytes:
    body = b'{"result": 1, "error": null, "id": %s}' % str(request_id).encode()
    return fake_node.http("200 OK", body)


FAILURES: list[tuple[Reply, type[rpc.NodeError]]] = [
    (fake_node.raw(fake_node.http("503 Service Unavailable", b"Work queue depth exceeded")), rpc.NodeBusy),
    (fake_node.error(-28, "Loading block index"), rpc.NodeBusy),
    (fake_node.raw(fake_node.http("401 Unauthorized", b"")), rpc.NodeUnauthorized),
    (fake_node.raw(fake_node.http("403 Forbidden", b"")), rpc.NodeUnauthorized),
    (fake_node.raw(fake_node.http("200 OK", b"<html>captive portal</html>")), rpc.NodeReplyInvalid),
    (fake_node.raw(fake_node.http("502 Bad Gateway", b"<html>")), rpc.NodeReplyInvalid),
    (fake_node.raw(fake_node.http("200 OK", b'{"result": {"a": ')), rpc.NodeReplyInvalid),
    (fake_node.raw(fake_node.http("200 OK", b'{"result": 1', length=5000)), rpc.NodeReplyInvalid),
    (fake_node.raw(b"\x00\x01garbage\r\n\r\n"), rpc.NodeReplyInvalid),
    (fake_node.raw(reply_to('"another"')), rpc.NodeReplyInvalid),
    (fake_node.raw(reply_to("null")), rpc.NodeReplyInvalid),
    (fake_node.raw(fake_node.http("200 OK", b"[" * 100_000)), rpc.NodeReplyInvalid),
    (fake_node.raw(fake_node.http("200 OK", b"[]")), rpc.NodeReplyInvalid),
    (fake_node.close, rpc.NodeTimeout),
    (fake_node.silence, rpc.NodeTimeout),
    (fake_node.drip, rpc.NodeTimeout),
]


class TestCall:
    def test_keeps_the_connection_and_the_digits(self) -> None:
        def exact(_node: FakeNode, sock: socket.socket, request: dict[str, str]) -> None:
            body = b'{"result": 0.10000001, "error": null, "id": "%s"}' % request["id"].encode()
            sock.sendall(fake_node.http("200 OK", body))

        with FakeNode(fake_node.result(1), exact) as peer:
            asked = node.Node(peer.url)
            assert asked.call("getblockcount") == 1
            assert asked.call(
                "getbalance", Decimal("1E-8"), 3, None, True, ["x"], {"k": Decimal(5)}
            ) == Decimal("0.10000001")
            assert peer.connections == 1
            assert peer.requests[1]["params"] == [1e-08, 3, None, True, ["x"], {"k": 5}]

    @pytest.mark.parametrize(("reply", "expected"), FAILURES)
    def test_names_each_failure_and_drops_the_connection(
        self, reply: Reply, expected: type[rpc.NodeError]
    ) -> None:
        with FakeNode(reply, fake_node.result("next")) as peer:
            asked = node.Node(peer.url, timeout_s=0.3)
            with pytest.raises(rpc.NodeError) as failure:
                asked.call("getblockcount")
            assert type(failure.value) is expected
            assert len(peer.requests) == 1
            # Whatever was left in the old connection, the next answer is the next call's own (F14).
            assert asked.call("getblockcount") == "next"

    def test_gives_the_node_s_own_error(self) -> None:
        with FakeNode(fake_node.error(-8, "Block height out of range")) as peer:
            with pytest.raises(rpc.RpcError) as failure:
                node.Node(peer.url).call("getblockhash", 7)
            assert (failure.value.rpc_code, failure.value.method) == (-8, "getblockhash")

    @pytest.mark.parametrize("rpc_code", [-18, -19, -13])
    def test_tells_a_missing_wallet_apart(self, rpc_code: int) -> None:
        with FakeNode(fake_node.error(rpc_code, "no wallet")) as peer:
            with pytest.raises(rpc.WalletUnavailable) as failure:
                node.Node(peer.url, wallet="fund a/b").call("getnewaddress")
            assert failure.value.is_transient
            assert peer.headers[0].startswith("POST /wallet/fund%20a%2Fb HTTP/1.1")

    def test_says_when_nothing_was_sent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://officer:open-sesame@127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(rpc.NodeUnreachable):
            node.Node(url).call("getblockcount")

    @pytest.mark.parametrize(
        ("method", "requests"), [("getblockcount", 2), ("sendrawtransaction", 1), ("getnewaddress", 1)]
    )
    def test_asks_again_only_on_a_closed_idle_connection_and_only_to_read(
        self, method: str, requests: int
    ) -> None:
        # The peer closes as the second request arrives: the client cannot have seen it before it wrote.
        with FakeNode(fake_node.result(1), fake_node.close, fake_node.result(2)) as peer:
            asked = node.Node(peer.url)
            asked.call("getblockcount")
            if requests == 2:
                assert asked.call(method) == 2
            else:
                with pytest.raises(rpc.NodeTimeout):
                    asked.call(method)
            assert len(peer.requests) == 1 + requests

    def test_reconnects_before_it_sends_where_the_peer_had_closed(self) -> None:
        with FakeNode(fake_node.result(1), fake_node.result(2)) as peer:
            first = peer.replies[0]

            def answer_then_close(fake: FakeNode, sock: socket.socket, request: dict[str, object]) -> None:
                first(fake, sock, request)
                sock.shutdown(socket.SHUT_RDWR)

            peer.replies[0] = answer_then_close
            asked = node.Node(peer.url)
            asked.call("getblockcount")
            kept = asked._transport._local.sock
            fake_node.eventually(lambda: not kept.is_idle())
            assert asked.call("sendrawtransaction", "00") == 2
            assert (peer.connections, len(peer.requests)) == (2, 2)

    def test_gives_each_thread_its_own_connection(self) -> None:
        with FakeNode(*[fake_node.result(n) for n in range(4)]) as peer:
            asked = node.Node(peer.url)
            asked.call("getblockcount")
            other = threading.Thread(target=lambda: (asked.call("getblockcount"), asked.close()))
            other.start()
            other.join()
            asked.call("getblockcount")
            assert (peer.connections, len(peer.requests)) == (2, 3)

    def test_leaves_a_connection_inherited_through_fork_to_its_parent(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with FakeNode(fake_node.result(1), fake_node.result(2)) as peer:
            asked = node.Node(peer.url)
            asked.call("getblockcount")
            monkeypatch.setattr(rpc.os, "getpid", lambda: -1)
            asked.call("getblockcount")
            assert peer.connections == 2

    @pytest.mark.parametrize("value", [0.1, float("nan"), b"00", {1}, object()])
    def test_sends_nothing_inexact(self, value: object) -> None:
        with FakeNode() as peer:
            with pytest.raises(TypeError):
                node.Node(peer.url).call("sendrawtransaction", [value])
            assert peer.requests == []

    @pytest.mark.parametrize("constant", [b"NaN", b"Infinity", b"-Infinity"])
    def test_takes_no_number_that_is_none(self, constant: bytes) -> None:
        body = b'{"result": %s, "error": null, "id": "x"}' % constant
        reply = fake_node.raw(fake_node.http("200 OK", body))
        with FakeNode(reply) as peer, pytest.raises(rpc.NodeReplyInvalid, match="not JSON"):
            node.Node(peer.url).call("getmempoolinfo")

    @pytest.mark.parametrize(("reply", "_expected"), FAILURES)
    def test_never_shows_the_password(self, reply: Reply, _expected: type[rpc.NodeError]) -> None:
        with FakeNode(reply) as peer:
            asked = node.Node(peer.url, timeout_s=0.3)
            with pytest.raises(rpc.NodeError) as failure:
                asked.call("getblockcount")
            error: BaseException | None = failure.value
            shown = f"{asked!r}{asked._transport!r}"
            while error is not None:
                shown += f"{error}{error!r}{getattr(error, 'details', '')}"
                error = error.__cause__
            assert "sesame" not in shown
            assert "b2ZmaWNlcjpvcGVuLXNlc2FtZQ" not in shown

    @pytest.mark.parametrize("url", ["", "ftp://a:b@h:1", "http://", "http://a:sesame@h:x", "http://h:99999"])
    def test_refuses_an_address_of_no_node_without_repeating_it(self, url: str) -> None:
        with pytest.raises(rpc.NodeMisconfigured) as refusal:
            node.Node(url)
        assert "sesame" not in str(refusal.value)


class TestEncode:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (Decimal("1E-8"), "0.00000001"),
            (Decimal("1E+2"), "100"),
            (Decimal("0.1"), "0.1"),
            (10**20, "1" + "0" * 20),
            ('a"b', '"a\\"b"'),
            ([None, True, {"a": Decimal("0.10")}], '[null,true,{"a":0.10}]'),
        ],
    )
    def test_writes_plain_digits(self, value: object, text: str) -> None:
        assert rpc.encode(value) == text


class TestSendRaw:
    def test_returns_the_txid_and_passes_the_ceiling(self) -> None:
        with FakeNode(fake_node.result(TXID)) as peer:
            reply = node.Node(peer.url).send_raw(RAW, max_feerate_sat_kvb=25_001)
            assert reply == (SendOutcome.ACCEPTED, TXID, "")
            assert peer.requests[0]["params"] == [RAW.hex(), 0.00025001]

    @pytest.mark.parametrize(
        "reply",
        [
            fake_node.silence,
            fake_node.close,
            fake_node.drip,
            fake_node.raw(fake_node.http("503 Service Unavailable", b"Work queue depth exceeded")),
            fake_node.raw(fake_node.http("200 OK", b"<html>")),
            fake_node.raw(reply_to('"another"')),
            fake_node.result("cd" * 32),
        ],
    )
    def test_calls_every_answer_that_may_hide_an_acceptance_unknown(self, reply: Reply) -> None:
        with FakeNode(reply) as peer:
            answer = node.Node(peer.url, timeout_s=0.3).send_raw(RAW, max_feerate_sat_kvb=1000)
            assert (answer.outcome, answer.txid) == (SendOutcome.UNKNOWN, None)
            assert len(peer.requests) == 1

    @pytest.mark.parametrize(
        ("reply", "expected"),
        [(fake_node.raw(fake_node.http("401 Unauthorized", b"")), rpc.NodeUnauthorized)],
    )
    def test_raises_where_nothing_was_done(self, reply: Reply, expected: type[rpc.NodeError]) -> None:
        with FakeNode(reply) as peer, pytest.raises(expected):
            node.Node(peer.url).send_raw(RAW, max_feerate_sat_kvb=1000)

    def test_sends_no_bytes_that_are_not_a_tx(self) -> None:
        with FakeNode() as peer:
            with pytest.raises(tx.MalformedTx):
                node.Node(peer.url).send_raw(RAW[:-1], max_feerate_sat_kvb=1000)
            assert peer.requests == []


class TestScanUtxos:
    @pytest.mark.parametrize(
        "reply",
        [fake_node.error(-8, "Scan already in progress, use action"), fake_node.result({"success": False})],
    )
    def test_waits_for_another_scan(self, reply: Reply) -> None:
        with FakeNode(reply) as peer, pytest.raises(rpc.NodeBusy):
            node.Node(peer.url).scan_utxos([b"\x51"])


class TestEnsureWallet:
    @pytest.mark.parametrize(
        ("replies", "methods"),
        [
            ([fake_node.result(["fund"])], ["listwallets"]),
            (
                [
                    fake_node.result([]),
                    fake_node.result({"wallets": [{"name": "fund"}]}),
                    fake_node.result({}),
                ],
                ["listwallets", "listwalletdir", "loadwallet"],
            ),
            (
                [fake_node.result([]), fake_node.result({"wallets": []}), fake_node.result({})],
                ["listwallets", "listwalletdir", "createwallet"],
            ),
            (
                [
                    fake_node.result([]),
                    fake_node.result({"wallets": []}),
                    fake_node.error(-4, "Database already exists"),
                    fake_node.result(["fund"]),
                ],
                ["listwallets", "listwalletdir", "createwallet", "listwallets"],
            ),
        ],
        ids=["loaded", "on disk", "absent", "another was faster"],
    )
    def test_does_the_least(self, replies: list[Reply], methods: list[str]) -> None:
        with FakeNode(*replies) as peer:
            node.Node(peer.url).ensure_wallet("fund")
            assert [request["method"] for request in peer.requests] == methods

    def test_says_that_a_wallet_cannot_be_loaded_and_creates_none(self) -> None:
        replies: list[Callable[..., None]] = [
            fake_node.result([]),
            fake_node.result({"wallets": [{"name": "fund"}]}),
            fake_node.error(-4, "Wallet file verification failed"),
            fake_node.result([]),
        ]
        with FakeNode(*replies) as peer:
            with pytest.raises(rpc.WalletUnavailable, match="verification failed"):
                node.Node(peer.url).ensure_wallet("fund")
            assert "createwallet" not in [request["method"] for request in peer.requests]
