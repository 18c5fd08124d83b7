"""Exchanges on loopback that answer as the public ones do, each in its own format and at its own paths, or misbehave."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from payments.models import SourceKind

K = SourceKind
Answer = Callable[[BaseHTTPRequestHandler], None]


def body(kind: str, currency: str, price: str, at: datetime) -> str:
    """What a source of the kind says; the price is put in as the text it is given as, whether it is one or not."""
    iso, unix, low = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), int(at.timestamp()), currency.lower()
    return {
        K.KRAKEN: f"""{{"error":[],"result":{{"XXBTZ{currency}":{{"a":["{price}","1","1.000"],"b":["{price}","2","2.000"],
            "c":["{price}","0.00134070"],"v":["1068.92","{unix}"],"p":["1.0","2.0"],"t":[8113,23614],"l":["1.0","2.0"],
            "h":["3.0","4.0"],"o":"2.5"}}}}}}""",
        K.COINBASE: f"""{{"ask":"2.0","bid":"1.0","volume":"53602.03940154","trade_id":86326522,"price":"{price}",
            "size":"0.00698254","time":"{iso}","rfq_volume":"1.0"}}""",
        K.COINBASE_SPOT: f'{{"data":{{"amount":"{price}","base":"BTC","currency":"{currency}"}}}}',
        K.BITSTAMP: f"""{{"ask":"2.0","bid":"1.0","high":"3.0","last":"{price}","low":"1.0","open":"2","open_24":"2.0",
            "percent_change_24":"1.5","side":"0","timestamp":"{unix}","volume":"213.26801100","vwap":"2.0"}}""",
        K.BITFINEX: f"""[["tBTC{currency}",1.0,2.5,3.0,4.5,-5,-0.0074,{price},{unix % 100_000}.25,7.0,1.0]]""",
        K.COINGECKO: f'{{"bitcoin":{{"{low}":{price},"last_updated_at":{unix}}}}}',
    }[SourceKind(kind)]


def path(kind: str, currency: str) -> str:
    """Where the public documentation of a source has its ticker."""
    low = currency.lower()
    return {
        K.KRAKEN: f"/0/public/Ticker?pair=XBT{currency}",
        K.COINBASE: f"/products/BTC-{currency}/ticker",
        K.COINBASE_SPOT: f"/v2/prices/BTC-{currency}/spot",
        K.BITSTAMP: f"/api/v2/ticker/btc{low}/",
        K.BITFINEX: f"/v2/tickers?symbols=tBTC{currency}",
        K.COINGECKO: f"/api/v3/simple/price?ids=bitcoin&vs_currencies={low}&include_last_updated_at=true&precision=full",
    }[SourceKind(kind)]


class Exchange:
    """Listens from its making until ``close``; says ``price`` as of ``at`` (now, where it is None), or answers ``odd``."""

    def __init__(self, kind: str, price: str, currency: str = "USD") -> None:
        self.kind, self.price, self.currency = kind, price, currency
        self.at: datetime | None = None
        self.odd: Answer | None = None
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop, and let whoever waits go."""
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    def says(self) -> str:
        """The text of its answer now."""
        return body(self.kind, self.currency, self.price, self.at or datetime.now(UTC))

    def slow(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a byte now and then, and never come to the end."""
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not self.closing.wait(0.05):
            request.wfile.write(b" ")

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                exchange.asked.append(self.path)
                if exchange.odd is None and self.path != path(exchange.kind, exchange.currency):
                    answer(404, b"{}")(self)
                    return
                try:
                    (exchange.odd or answer(200, exchange.says().encode()))(self)
                except OSError:
                    # Whoever asked has gone: it read as much as it wanted.
                    self.close_connection = True

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        return Handler


def answer(status: int, content: bytes, **headers: str) -> Answer:
    """Answer with a status and these bytes."""

    def write(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    return write
