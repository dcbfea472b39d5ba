"""A proxy before an S3 server that answers a share of the requests with 503 or resets the connection."""

import contextlib
import http.client
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_SLOW_DOWN = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>"
_SLOW_SECONDS, _STUCK_SECONDS = 0.2, 3.0
_OF_ONE_CONNECTION = ("connection", "keep-alive", "transfer-encoding", "expect")


@dataclass
class Traffic:
    """What went through a proxy."""

    url: str = ""
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of the requests, names in lower case."""
    faults: dict[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def faulty_proxy(
    upstream: str, share: float = 0.0, seed: int = 0, spoil: Callable[[str], str | None] = lambda request: None
) -> Iterator[Traffic]:
    """A proxy that spoils requests: `share` of them by dice, and those for which `spoil` names a fault.

    Faults: "503"; "reset", the connection breaks before the server sees the request; "lost answer", it breaks in the
    middle of the answer (so the request was done, and its sender does not know); "slow", the answer takes its time;
    "stuck", there is none for longer than anybody waits.
    """
    traffic = Traffic()
    dice = random.Random(seed)
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                fault = spoil(f"{self.command} {self.path}")
                if fault is None and dice.random() < share:
                    fault = dice.choice(["503", "reset", "lost answer"])
                traffic.requests.append(f"{self.command} {self.path}")
                traffic.headers.append({name.lower(): value for name, value in self.headers.items()})
                if fault:
                    traffic.faults[fault] = traffic.faults.get(fault, 0) + 1
            if fault == "503":
                self._answer(503, [("Content-Type", "application/xml")], _SLOW_DOWN)
            elif fault == "reset":
                self._reset()
            elif fault == "stuck":
                time.sleep(_STUCK_SECONDS)
                self._reset()
            else:
                time.sleep(_SLOW_SECONDS if fault == "slow" else 0)
                self._pass_on(body, lose=fault == "lost answer")

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815 - names that the base class calls

        def _pass_on(self, body: bytes, lose: bool) -> None:
            connection = http.client.HTTPConnection(urlsplit(upstream).netloc, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _OF_ONE_CONNECTION}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_ONE_CONNECTION]
            if lose:
                if len(content) > 1:
                    self._answer(answer.status, kept, content[: len(content) // 2])
                self._reset()
            else:
                self._answer(answer.status, kept, content)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            with contextlib.suppress(ConnectionError):
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                if not any(name.lower() == "content-length" for name, _ in headers):
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        def _reset(self) -> None:
            self.close_connection = True
            linger = struct.pack("ii", 1, 0)  # close with a reset instead of an orderly end
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a connection that was reset on purpose

    server = Server(("127.0.0.1", 0), Handler)
    traffic.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield traffic
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
