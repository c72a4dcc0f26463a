"""HTTP over sockets that keep a deadline.

httpx and httpcore limit the silence between two reads, so a server that sends a byte now and then holds them for ever.
Here a "time-out" that is handed down to a socket is an instant of the monotonic clock, the same for every step of an
attempt: finding the address, connecting, the handshake, headers, body. A connection serves one request, so nothing
that is left over from one answer can be taken for another.
"""

from __future__ import annotations

import ipaddress
import queue
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from time import monotonic

import httpcore
import httpx

LONGEST_CONNECT = 10.0
"""Seconds that one address may take to accept a connection."""


class Unconnected(httpcore.ConnectError):
    """No connection came about, so nothing was asked; the cause says why."""


class Sockets(httpcore.NetworkBackend):
    """Plain sockets whose time-outs are instants of the monotonic clock.

    Args:
        silence: seconds that may pass without a byte, whatever the deadline.
    """

    def __init__(self, *, silence: float) -> None:
        self._silence = silence
        self._plain = httpcore.SyncBackend()

    def connect_tcp(  # type: ignore[override] # httpcore passes everything by name
        self,
        host: str,
        port: int,
        *,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first of the host's addresses that accepts one.

        Raises:
            Unconnected: none does, or there is none.
        """
        refusal: Exception = httpcore.ConnectError("no address")
        try:
            for address in _addresses(host, port, deadline=timeout):
                seconds = min(LONGEST_CONNECT, _left(timeout, otherwise=httpcore.ConnectTimeout))
                try:
                    stream = self._plain.connect_tcp(
                        address, port, timeout=seconds, local_address=local_address, socket_options=socket_options
                    )
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    refusal = error
                else:
                    return Stream(stream, silence=self._silence)
            raise refusal
        except (OSError, httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            raise Unconnected from error


class Stream(httpcore.NetworkStream):
    """A connection whose time-outs are instants of the monotonic clock."""

    def __init__(self, plain: httpcore.NetworkStream, *, silence: float) -> None:
        self._plain = plain
        self._silence = silence

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """What has come, as soon as something has."""
        seconds = min(self._silence, _left(timeout, otherwise=httpcore.ReadTimeout))
        return self._plain.read(max_bytes, timeout=seconds)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Sends all of it."""
        seconds = min(self._silence, _left(timeout, otherwise=httpcore.WriteTimeout))
        self._plain.write(buffer, timeout=seconds)

    def start_tls(  # type: ignore[override] # httpcore passes everything by name
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, *, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The same connection, encrypted."""
        try:
            seconds = min(self._silence, _left(timeout, otherwise=httpcore.ConnectTimeout))
        except httpcore.ConnectTimeout:
            self.close()  # as httpcore's own does: who asked for this has nothing to close yet
            raise
        return Stream(self._plain.start_tls(ssl_context, server_hostname, seconds), silence=self._silence)

    def close(self) -> None:
        """Closes it."""
        self._plain.close()

    def get_extra_info(self, info: str) -> object:
        """A fact about the connection."""
        return self._plain.get_extra_info(info)


class Transport(httpx.BaseTransport):
    """httpx on such sockets: HTTP/1.1, one request a connection, no proxy, nothing from the environment."""

    def __init__(self, *, silence: float) -> None:
        self._pool = httpcore.ConnectionPool(
            network_backend=Sockets(silence=silence), max_connections=None, max_keepalive_connections=0
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer's head; its body is read from it, and it is closed, by the caller."""
        answer = self._pool.handle_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(
                    scheme=request.url.raw_scheme,
                    host=request.url.raw_host,
                    port=request.url.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        """Closes what is open."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def fault_of(error: Exception) -> str:
    """What went wrong on the network, in a word or two.

    >>> fault_of(httpcore.ReadTimeout("the read timed out"))
    'time-out'
    """
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    return next((name for kind, name in FAULTS.items() if any(isinstance(link, kind) for link in chain)), "network")


FAULTS: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: "certificate",
    socket.gaierror: "no such host",
    ConnectionRefusedError: "refused",
    ConnectionResetError: "reset",
    BrokenPipeError: "reset",
    httpcore.TimeoutException: "time-out",
    httpcore.LocalProtocolError: "unsendable",
    httpcore.ProtocolError: "broken HTTP",
}


def _left(deadline: float | None, *, otherwise: type[Exception]) -> float:
    if deadline is None:
        return LONGEST_CONNECT
    seconds = deadline - monotonic()
    if seconds <= 0:
        raise otherwise("the deadline has passed")
    return seconds


def _addresses(host: str, port: int, *, deadline: float | None) -> list[str]:
    """The host's addresses. The system's resolver knows no deadline: where it is late, a thread waits it out."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.put(list(dict.fromkeys(str(entry[4][0]) for entry in entries)))
        except OSError as error:
            found.put(error)

    threading.Thread(target=look_up, name=f"address of {host}", daemon=True).start()
    try:
        addresses = found.get(timeout=_left(deadline, otherwise=httpcore.ConnectTimeout))
    except queue.Empty:
        raise httpcore.ConnectTimeout("the name was not resolved in time") from None
    if isinstance(addresses, OSError):
        raise addresses
    return addresses
