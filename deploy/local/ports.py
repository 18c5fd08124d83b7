"""Free ports on the loopback interface."""

import errno
import socket

HOST = "127.0.0.1"


def choose(preferred: int | None = None) -> int:
    """Return the preferred port if nobody listens on it, else one that the system gives out."""
    for port in (preferred or 0, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            # As the servers themselves do: a connection still closing from an earlier run is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
                continue
            return int(probe.getsockname()[1])
    raise OSError(errno.EADDRINUSE, "no free port on the loopback interface")


def is_open(port: int) -> bool:
    """Tell whether somebody accepts connections there."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0
