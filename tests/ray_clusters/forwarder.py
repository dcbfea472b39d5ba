"""A port of 127.0.0.1 that leads to another one, as a forwarded dashboard; its connections can be cut."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self


class Forwarder:
    """Forwards until the block ends."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sides: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self.cut = 0
        """Ends of connections that were cut while they were open."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def drop(self) -> None:
        """Cut every connection there is; new ones are taken."""
        with self._lock:
            for side in self._sides:
                with contextlib.suppress(OSError):  # it ended before
                    side.shutdown(socket.SHUT_RDWR)
                    self.cut += 1

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._listener.close()
        self.drop()
        for thread in self._threads:
            thread.join()
        for side in self._sides:
            side.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                with self._lock:
                    self._sides += [near, far]
                    for one, other in ((near, far), (far, near)):
                        thread = threading.Thread(target=self._copy, args=(one, other), daemon=True)
                        thread.start()
                        self._threads.append(thread)

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
