"""One attempt: a request goes out, and what comes back is a plain value, never an exception that holds the request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import SecretStr

from gridcast.sources.wire.body import Broken, unpacked
from gridcast.sources.wire.redaction import Veil, silence

if TYPE_CHECKING:
    import httpx

ERROR_BYTES = 1 << 20
"""So much is read of an answer that is not accepted; the rest could tell nobody anything."""

OURS = {
    "User-Agent": "gridcast",
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}


@dataclass(frozen=True)
class Request:
    """What is asked; its secrets are still closed."""

    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str | SecretStr] = field(default_factory=dict)
    secret_params: Mapping[str, SecretStr] = field(default_factory=dict)
    form: Mapping[str, str | SecretStr] | None = None
    json: object = None

    def secrets(self) -> list[SecretStr]:
        """Everything that may not be seen."""
        values = [*self.headers.values(), *self.secret_params.values(), *(self.form or {}).values()]
        return [value for value in values if isinstance(value, SecretStr)]

    def shown(self) -> dict[str, str]:
        """What was asked, as far as it may be seen."""
        form = {name: value for name, value in (self.form or {}).items() if isinstance(value, str)}
        document = {} if self.json is None else {"json": json.dumps(self.json, sort_keys=True)}
        return {**self.params, **form, **document}


@dataclass(frozen=True)
class Reply:
    """What came back, no secret in it.

    ``status`` is 0 where there was no answer; ``fault`` is empty for an answer that came whole, or where the status
    alone says enough; ``seconds`` is how long it took. Where not ``connected``, the server knows of no request.
    """

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    fault: str = ""
    seconds: float = 0.0
    connected: bool = True


class Exchange:
    """Sends requests, each within a deadline.

    Args:
        silence: seconds without a byte after which an attempt is given up.
        max_bytes: of a body, on the wire or unpacked.
    """

    def __init__(self, *, silence: float, max_bytes: int) -> None:
        from gridcast.sources.wire.network import Transport

        self._max_bytes = max_bytes
        self._transport = Transport(silence=silence)

    def close(self) -> None:
        """Closes what is open."""
        self._transport.close()

    def send(self, request: Request, *, seconds: float, accept: Collection[int]) -> Reply:
        """What came back within so many seconds."""
        from gridcast.sources.wire.network import Unconnected, fault_of

        began = monotonic()
        status, headers, pieces, fault, connected = 0, {}, [], "", True
        with silence():
            try:
                sent = _opened(request, deadline=began + seconds)
            except Exception:
                return Reply(fault="unsendable")
            try:
                answer = self._transport.handle_request(sent)
                try:
                    status = answer.status_code
                    headers = {name: answer.headers[name] for name in answer.headers if name != "set-cookie"}
                    for piece in self._pieces(answer, whole=status in accept):
                        pieces.append(piece)
                finally:
                    answer.close()
            except Broken as error:
                fault = error.fault
            except Exception as error:
                fault, connected = fault_of(error), not isinstance(error, Unconnected)
            del sent
        veil, body = Veil(request.secrets()), b"".join(pieces)
        if status and status not in accept:
            # The status says what it is, so as much as came will do; a secret that was cut in two is cut off.
            body, fault = (body[: max(0, len(body) - veil.longest)], "") if fault else (body, "")
        return Reply(
            status=status,
            headers={name: veil.text(value) for name, value in headers.items()},
            body=b"" if fault else veil.content(body),
            fault=fault,
            seconds=monotonic() - began,
            connected=connected,
        )

    def _pieces(self, answer: httpx.Response, *, whole: bool) -> Iterator[bytes]:
        """The body's pieces, all or an error; of an answer that is not accepted, as much as is worth reading."""
        most = self._max_bytes if whole else min(self._max_bytes, ERROR_BYTES)
        length = answer.headers.get("content-length", "")
        if whole and length.isdecimal() and int(length) > most:
            raise Broken("too large")
        yield from unpacked(answer.iter_raw(), coding=answer.headers.get("content-encoding", ""), most=most)


def _opened(request: Request, *, deadline: float) -> httpx.Request:
    """The request with its secrets opened, sure to go to the address that was asked for."""
    import httpx

    headers = httpx.Headers(OURS)
    headers.update({name: _open(value) for name, value in request.headers.items()})
    times = {"connect": deadline, "read": deadline, "write": deadline, "pool": deadline - monotonic()}
    sent = httpx.Request(
        request.method,
        request.url,
        params={**request.params, **{name: _open(value) for name, value in request.secret_params.items()}} or None,
        headers=headers,
        data=None if request.form is None else {name: _open(value) for name, value in request.form.items()},
        json=request.json,
        extensions={"timeout": times},
    )
    wanted = urlsplit(request.url)
    if (sent.url.scheme, sent.url.host, sent.url.port) != (wanted.scheme, wanted.hostname, wanted.port):
        raise Broken("unsendable")
    return sent


def _open(value: str | SecretStr) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else value
