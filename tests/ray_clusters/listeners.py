"""What processes accept connections on."""

from collections.abc import Iterable

import psutil


def listeners(processes: Iterable[psutil.Process]) -> set[str]:
    """Addresses of the sockets that listen; IPv4 as IPv4 where it is written as IPv6."""
    return {
        connection.laddr.ip.removeprefix("::ffff:")
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
