"""The door out: where a POST may go, over real sockets, and names that a resolver of the test's own answers for."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from payments import outbound
from payments.outbound import OPERATOR, AddressRefused, Unanswered
from tests.payments.payout import receiver as receivers

PUBLIC_ADDRESS = "93.184.215.14"
NOT_PUBLIC = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
]


class Names:
    """Answers for names in the place of the system, once with each answer of a list and then with the last."""

    def __init__(self, **hosts: list[list[str]]) -> None:
        self.hosts = {name.replace("_", "."): answers for name, answers in hosts.items()}
        self.asked: list[str] = []

    def __call__(self, host: str, port: int) -> list[str]:
        if host not in self.hosts:
            return outbound.lookup(host, port)
        self.asked.append(host)
        answers = self.hosts[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


class Listener:
    """Says 200 to each request, and keeps where it went and by which name."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[tuple[str, str]] = []
        self.answer: receivers.Answer = receivers.status(200)
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                listener.requests.append((self.path, self.headers["Host"]))
                try:
                    listener.answer(self)
                except OSError:
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self.server = receivers.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def loopback(settings: Any) -> None:
    settings.GOVPAY_OUTBOUND_LOOPBACK = True


def post(url: str, names: Names | None = None, **more: Any) -> outbound.Answer:
    rule = more.pop("rule", None) or outbound.public()
    return outbound.post(url, b"{}", {}, rule=rule, timeout_s=more.pop("timeout_s", 5), resolve=names, **more)


class TestForm:
    @pytest.mark.parametrize(
        "url",
        [
            "http://example.org/",
            "ftp://example.org/",
            "file:///etc/passwd",
            "gopher://127.0.0.1:6379/_FLUSHALL",
            "https://",
            "https://user@example.org/",
            "https://example.org:0/",
            "https://example.org:99999/",
            "https://example.org/#part",
            "https://example.org\\@127.0.0.1/",
            "https://example.org/a b",
            "https://example.org/\r\nX: y",
            "https://exämple.org/",
            "https://a..b/",
            "https://[::1/",
            "https://[fe80::1%25lo]/",
            "https://2130706433/",
            "https://0x7f000001/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.0.1.1/",
            "https://169.254.43518/",
            "https://127.0.0.1/",
            "https://10.0.0.1/",
            "https://[::ffff:10.0.0.1]/",
        ],
    )
    def test_of_what_is_no_plain_https_address_is_refused_before_anybody_is_asked(self, url: str) -> None:
        names = Names()
        with pytest.raises(AddressRefused):
            outbound.check(url, outbound.public())
        with pytest.raises(AddressRefused):
            post(url, names)

    @pytest.mark.parametrize("address", NOT_PUBLIC)
    def test_with_a_number_that_is_not_public_is_refused_before_anybody_is_asked(self, address: str) -> None:
        host = f"[{address}]" if ":" in address else address
        with pytest.raises(AddressRefused):
            outbound.check(f"https://{host}/hook", outbound.public())

    def test_with_a_loopback_number_is_taken_where_a_setting_says_so(self, settings: Any) -> None:
        settings.GOVPAY_OUTBOUND_LOOPBACK = True
        outbound.check("http://127.0.0.1:8080/hook", outbound.public())

    @pytest.mark.parametrize(
        "url",
        [
            "https://example.org",
            "https://EXAMPLE.org./hook?token=t0ken",
            "https://hooks.example.org:8443/a",
            "https://93.184.215.14/",
            "https://[2606:4700::1111]/",
            "https://xn--exmple-cua.org/",
        ],
    )
    def test_of_plain_https_addresses_is_taken(self, url: str) -> None:
        outbound.check(url, outbound.public())


class TestAddresses:
    @pytest.mark.parametrize("address", NOT_PUBLIC)
    def test_that_are_not_public_are_refused(self, address: str) -> None:
        with pytest.raises(AddressRefused, match="to which nothing is sent"):
            post("https://hook.example/", Names(hook_example=[[address]]))

    @pytest.mark.parametrize("address", NOT_PUBLIC)
    def test_that_are_not_public_are_refused_beside_one_that_is(self, address: str) -> None:
        with pytest.raises(AddressRefused):
            post("https://hook.example/", Names(hook_example=[[PUBLIC_ADDRESS, address]]))

    @pytest.mark.parametrize("address", [PUBLIC_ADDRESS, "2606:4700::1111", "::ffff:93.184.215.14"])
    def test_that_are_public_are_permitted(self, address: str) -> None:
        plain = outbound._plain(address)
        assert outbound.public().permits("https", plain)
        assert not outbound.public().permits("http", plain)

    def test_of_which_there_are_none_are_said_to_be_missing(self) -> None:
        with pytest.raises(AddressRefused, match="no address"):
            post("https://hook.example/", Names(hook_example=[[]]))

    def test_on_loopback_are_refused_unless_a_setting_says_otherwise(
        self, listener: Listener, settings: Any
    ) -> None:
        url = f"http://localhost:{listener.port}/"
        with pytest.raises(AddressRefused):
            post(url)
        settings.GOVPAY_OUTBOUND_LOOPBACK = True
        assert post(url, Names(localhost=[["127.0.0.1"]])) == (200, b"")
        assert listener.requests == [("/", f"localhost:{listener.port}")]

    def test_elsewhere_are_posted_to_over_https_only(self, loopback: None) -> None:
        with pytest.raises(AddressRefused):
            post("http://hook.example/", Names(hook_example=[[PUBLIC_ADDRESS]]))

    def test_of_the_operators_choice_may_be_anywhere(self, listener: Listener) -> None:
        assert post(f"http://127.0.0.1:{listener.port}/a?b", rule=OPERATOR).status == 200
        assert listener.requests == [("/a?b", f"127.0.0.1:{listener.port}")]


class TestOwnServices:
    @pytest.mark.parametrize("setting", ["GOVPAY_NODE_URL", "GOVPAY_NODE_ZMQ_URL", "REDIS_URL"])
    def test_are_told_by_their_ports_on_loopback(
        self, listener: Listener, loopback: None, settings: Any, setting: str
    ) -> None:
        setattr(settings, setting, f"tcp://user:word@127.0.0.1:{listener.port}")
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
            with pytest.raises(AddressRefused):
                post(f"http://{host}:{listener.port}/")
        assert listener.requests == []

    def test_elsewhere_are_refused_whatever_the_port(self, settings: Any) -> None:
        settings.REDIS_URL = "redis://cache.example:6379/0"
        names = Names(cache_example=[[PUBLIC_ADDRESS]], hook_example=[[PUBLIC_ADDRESS]])
        with pytest.raises(AddressRefused):
            post("https://hook.example:8443/", names)

    def test_are_refused_where_the_database_is(self, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(settings.DATABASES, "default", {"HOST": "base.example", "PORT": ""})
        names = Names(base_example=[[PUBLIC_ADDRESS]], hook_example=[[PUBLIC_ADDRESS]])
        with pytest.raises(AddressRefused):
            post("https://hook.example/", names)

    def test_without_an_address_now_end_the_attempt(self, settings: Any) -> None:
        settings.REDIS_URL = "redis://cache.invalid:6379/0"
        with pytest.raises(Unanswered, match="No connection"):
            post("https://hook.example/", Names(hook_example=[[PUBLIC_ADDRESS]]))


class TestRebinding:
    def test_leads_nowhere_for_the_name_is_asked_once_and_the_checked_address_reached(
        self, listener: Listener, loopback: None
    ) -> None:
        """A second look-up, as by a library that connects by name, would be told the metadata service's address."""
        names = Names(hook_example=[["127.0.0.1"], ["169.254.169.254"]])
        assert post(f"http://hook.example:{listener.port}/", names).status == 200
        assert names.asked == ["hook.example"]
        assert listener.requests == [("/", f"hook.example:{listener.port}")]

    def test_between_attempts_is_seen_by_the_next_check(self, listener: Listener, loopback: None) -> None:
        names = Names(hook_example=[["127.0.0.1"], ["169.254.169.254"]])
        post(f"http://hook.example:{listener.port}/", names)
        with pytest.raises(AddressRefused):
            post(f"http://hook.example:{listener.port}/", names)
        assert len(listener.requests) == 1


class TestTls:
    @pytest.fixture
    def listener(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "hook.pem"))
        made = Listener(receivers.make_certificate(tmp_path / "hook.pem", name="hook.example"))
        yield made
        made.close()

    def test_is_of_the_name_at_the_address_that_was_checked(
        self, listener: Listener, loopback: None, settings: Any
    ) -> None:
        names = Names(hook_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
        assert post(f"https://hook.example:{listener.port}/in", names).status == 200
        assert listener.requests == [("/in", f"hook.example:{listener.port}")]
        with pytest.raises(Unanswered, match="CERTIFICATE_VERIFY_FAILED"):
            post(f"https://other.example:{listener.port}/in", names)
        assert len(listener.requests) == 1


class TestAnswer:
    def test_that_leads_elsewhere_is_not_followed(self, listener: Listener, loopback: None) -> None:
        listener.answer = receivers.status(307, Location=f"http://127.0.0.1:{listener.port}/elsewhere")
        answer = post(f"http://127.0.0.1:{listener.port}/")
        assert (answer.status, len(listener.requests)) == (307, 1)
        assert outbound.why_not_taken(307) == "The receiver answered HTTP 307; no redirect is followed."

    def test_is_read_as_far_as_was_asked_and_refused_beyond(self, listener: Listener, loopback: None) -> None:
        listener.answer = receivers.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour")
        url = f"http://127.0.0.1:{listener.port}/"
        assert post(url, most_bytes=4) == (200, b"four")
        assert post(url) == (200, b"")
        with pytest.raises(Unanswered, match="longer than 3 bytes"):
            post(url, most_bytes=3)

    def test_comes_within_the_time_or_not_at_all(self, loopback: None) -> None:
        with (
            socket.create_server(("127.0.0.1", 0)) as silent,
            pytest.raises(Unanswered, match=r"within 0\.2 s"),
        ):
            post(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.2)

    def test_is_not_waited_for_when_the_look_up_hangs(self) -> None:
        over = threading.Event()

        def hang(host: str, port: int) -> list[str]:
            over.wait()
            return []

        begun = time.monotonic()
        with pytest.raises(Unanswered, match=r"within 0\.2 s"):
            post("https://hook.example/", hang, timeout_s=0.2)  # type: ignore[arg-type]
        over.set()
        assert time.monotonic() - begun >= 0.2

    def test_never_comes_through_a_proxy_of_the_environment(
        self, listener: Listener, loopback: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")
        assert post(f"http://127.0.0.1:{listener.port}/").status == 200

    def test_that_is_refused_says_nothing_of_the_address(self, loopback: None) -> None:
        with pytest.raises(Unanswered) as refusal:
            post("http://127.0.0.1:9/t0ken")
        assert "t0ken" not in str(refusal.value)
