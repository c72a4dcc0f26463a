"""One provider's HTTP: an answer that can be used, or one error that says what was wrong."""

from __future__ import annotations

import hashlib
import logging
import random
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from gridcast.errors import BadAnswer, ConfigError, RateLimited, Refused, SourceError, Unauthorized, Unreachable
from gridcast.sources.endpoints import check
from gridcast.sources.fetched import Answer, Clock
from gridcast.sources.wire.bucket import Bucket, Grant, Permit
from gridcast.sources.wire.exchange import Exchange, Reply, Request
from gridcast.sources.wire.kept import Kept
from gridcast.sources.wire.reading import LONGEST_BAN, first_words, redirect_host, retry_after

RETRIED = frozenset((408, 425, 429))
"""What is asked again beside every 5xx; the first two say that the server gave up on us, the third is a limit."""

FINAL = frozenset(("too large", "coding", "certificate"))
"""Faults of an exchange that another attempt would only meet again."""

MOST_ATTEMPTS = 10
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
MOST_HINTLESS = 3
"""So many refusals for too many requests (429) in a row that say not how long are taken for the provider's ban."""

_log = logging.getLogger(__name__)


class Wire:
    """Asks one provider. Thread-safe; a context manager.

    Every call ends within ``budget`` seconds of network and pauses between attempts, plus at most ``patience`` seconds
    of waiting until the provider's limits allow the request. What failed in passing (408, 425, 429, 5xx, no
    connection, silence, an answer that is cut or no HTTP) is asked again after a random pause of up to 0.5, 1, 2, ...
    30 s, ten times at most; so is a POST, which for every provider is only another way to read. An instant named by
    ``Retry-After`` or the body holds for every process that shares the bucket.

    Redirects are not followed, cookies not sent back, proxies and .netrc not used, whatever the environment says: what
    is asked goes to the address given, or nowhere. Secrets are opened in the last step before httpx, are looked for in
    whatever comes back, and appear in no error, log, `Answer` or kept file.

    Args:
        source: the provider's name, on errors and kept answers.
        clock: for pauses, waits and ``fetched_at``; the network itself takes the machine's time.
        bucket: what all processes may ask in all.
        kept: where raw answers go before anybody parses them, errors included.
        budget: seconds; a third of them may pass in silence before an attempt is given up.
        patience: seconds.
        max_bytes: of a body, on the wire or unpacked.
        pauses: the source of randomness, for a test that wants the same pauses twice.
    """

    def __init__(
        self,
        source: str,
        *,
        clock: Clock,
        bucket: Bucket,
        kept: Kept | None = None,
        budget: float = 180.0,
        patience: float = 1200.0,
        max_bytes: int = 64 << 20,
        pauses: random.Random | None = None,
    ) -> None:
        self.source = source
        self._clock = clock
        self._bucket = bucket
        self._kept = kept
        self._budget = budget
        self._patience = patience
        self._pauses = pauses or random.SystemRandom()
        self._exchange = Exchange(silence=budget / 3, max_bytes=max_bytes)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str],
        permit: Permit,
        headers: Mapping[str, str | SecretStr] = {},
        secret_params: Mapping[str, SecretStr] = {},
        accept: Collection[int] = (200,),
        wait_for: Callable[[Answer], datetime | None] | None = None,
        ban: timedelta | None = None,
    ) -> Answer:
        """The provider's answer, its status one of ``accept`` and its body not empty.

        Args:
            url: without a query.
            params: the query that may be seen.
            secret_params: more of the query, in no error and no kept answer.
            permit: what the request costs.
            headers: sent beside our own.
            accept: the statuses that are an answer.
            wait_for: reads out of an answer of any status until when its body bans us (UTC), if it does; an answer
                that does is none, though its status be accepted.
            ban: how long the provider bans whoever asks too often: so long nothing is asked under this permit once it
                has refused three times in a row (429) without saying for how long.

        Raises:
            Unreachable: nothing but failures.
            RateLimited: the provider wants us to wait longer than ``patience``.
            Unauthorized: 401 or 403.
            Refused: another 4xx.
            BadAnswer: a redirect, an empty or partial answer, one too large or badly coded, or a wrong certificate.
            ConfigError: the address is not a provider's, or a header or parameter cannot be sent.
        """
        request = Request("GET", url, params=params, headers=headers, secret_params=secret_params)
        return self._ask(request, permit=permit, accept=accept, wait_for=wait_for, ban=ban, keep=True)

    def post(
        self,
        url: str,
        *,
        permit: Permit,
        json: object = None,
        form: Mapping[str, str | SecretStr] | None = None,
        headers: Mapping[str, str | SecretStr] = {},
        accept: Collection[int] = (200,),
        keep: bool = True,
    ) -> Answer:
        """The same for a POST of a JSON document or a form; ``keep=False`` where the answer itself is a secret.

        Raises:
            SourceError: as `get` does.
            ConfigError: as `get` does.
        """
        request = Request("POST", url, headers=headers, form=form, json=json)
        return self._ask(request, permit=permit, accept=accept, wait_for=None, ban=None, keep=keep)

    def close(self) -> None:
        """Closes what is open."""
        self._exchange.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(
        self,
        request: Request,
        *,
        permit: Permit,
        accept: Collection[int],
        wait_for: Callable[[Answer], datetime | None] | None,
        ban: timedelta | None,
        keep: bool,
    ) -> Answer:
        check(request.url)
        budget, patience, said, hintless = self._budget, self._patience, "", 0
        for attempt in range(1, MOST_ATTEMPTS + 1):
            facts = {"source": self.source, "url": request.url, "attempts": attempt - 1}
            grant, waited = self._granted(permit, patience=patience, facts=facts | {"said": said})
            patience -= waited
            reply = self._exchange.send(request, seconds=budget, accept=accept)
            if not reply.connected:
                self._bucket.give_back(grant)
            budget -= reply.seconds
            facts |= {"attempts": attempt, "status": reply.status or None}
            answer = self._answer(request, reply)
            said = first_words(answer) if keep or answer.status >= 400 else ""
            facts["said"] = said
            whole = bool(answer.body) and not reply.fault
            until = self._told(answer, wait_for, accept=accept)
            usable = whole and until is None and answer.status in accept
            if keep and self._kept is not None and whole:
                self._kept.keep(answer, accepted=usable)
            if usable:
                return answer
            now = self._clock.now()
            told = until is not None and until > now
            limited = answer.status == 429 or (until is not None and answer.status in accept)
            hintless = hintless + 1 if limited and not told else 0
            if ban is not None and hintless >= MOST_HINTLESS:
                until, told = now + ban, True
            if until is None:
                self._refuse(answer, fault=reply.fault, accept=accept, facts=facts)
            else:
                self._bucket.block(permit.name, until=until)
            longest = 0.0 if told else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
            pause = self._pauses.uniform(0, longest)
            budget -= pause
            if attempt == MOST_ATTEMPTS or budget <= 0:
                break
            what, wait = reply.fault or f"status {reply.status}", f"until {until}" if told else f"{pause:.1f} s"
            _log.info("%s: attempt %d failed (%s), waiting %s", self.source, attempt, what, wait)
            if not told:
                self._clock.sleep(pause)
        raise self._exhausted(reply, until=until, facts=facts)

    def _granted(self, permit: Permit, *, patience: float, facts: dict[str, object]) -> tuple[Grant, float]:
        """Waits for the permit; how many seconds it took."""
        began = self._clock.now()
        try:
            grant = self._bucket.take(permit, patience=patience)
        except RateLimited as refusal:
            until = refusal.until
        else:
            return grant, max(0.0, (self._clock.now() - began).total_seconds())
        raise RateLimited(
            f"{self.source} may be asked again at {until:%Y-%m-%d %H:%M:%S} UTC, later than we may wait",
            remedy="run it again then",
            until=until,
            **facts,
        )

    def _answer(self, request: Request, reply: Reply) -> Answer:
        return Answer(
            source=self.source,
            url=request.url,
            params=request.shown(),
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            fetched_at=self._clock.now(),
            sha256=hashlib.sha256(reply.body).hexdigest(),
        )

    def _told(
        self, answer: Answer, wait_for: Callable[[Answer], datetime | None] | None, *, accept: Collection[int]
    ) -> datetime | None:
        """Until when the provider wants to be left alone, if it says so."""
        now = self._clock.now()
        until = wait_for(answer) if wait_for else None
        refused = answer.status not in accept and (answer.status in RETRIED or answer.status >= 500)
        if until is None and refused:
            until = retry_after(answer.headers, now=now)
        return until and min(until, now + LONGEST_BAN)

    def _refuse(self, answer: Answer, *, fault: str, accept: Collection[int], facts: dict[str, object]) -> None:
        """Raises what another attempt cannot mend.

        Raises:
            SourceError: it is of that kind.
        """
        status, where, said = answer.status, f"{self.source} at {facts['url']}", facts["said"]
        if fault == "unsendable":
            raise ConfigError(
                f"a request to {where} has a header, parameter or address that HTTP does not allow",
                remedy="look for a line end or a foreign letter in the key",
            )
        if fault in FINAL:
            raise BadAnswer(
                f"the answer of {where} is unusable ({fault})", remedy=REMEDIES[fault], fault=fault, **facts
            )
        if fault or status in RETRIED or status >= 500:
            return
        if status in accept or status == 204:
            fault = "empty"
        elif status == 206:
            fault = "partial"
        elif status == 304:
            fault = "not modified"
        elif 300 <= status < 400:
            host = redirect_host(answer)
            raise BadAnswer(
                f"{where} redirects to {host}, and redirects are not followed",
                remedy=REMEDIES["redirect"],
                fault="redirect",
                host=host,
                **facts,
            )
        elif status < 400:
            fault = "status"
        if fault:
            raise BadAnswer(
                f"{where} answered with status {status} and no data ({fault})",
                remedy=REMEDIES["empty"],
                fault=fault,
                **facts,
            )
        kind, remedy = (Unauthorized, "unauthorized") if status in (401, 403) else (Refused, "refused")
        raise kind(
            f"{where} refused the request with status {status}" + (f" ({said})" if said else ""),
            remedy=REMEDIES[remedy],
            reason=said,
            **facts,
        )

    def _exhausted(self, reply: Reply, *, until: datetime | None, facts: dict[str, object]) -> SourceError:
        """The error after the last attempt."""
        attempts = f"{facts['attempts']} attempts" if facts["attempts"] != 1 else "one attempt"
        where = f"{self.source} at {facts['url']}"
        if reply.status == 429 or until is not None:
            until = until or self._clock.now() + timedelta(seconds=LONGEST_PAUSE)
            return RateLimited(
                f"{where} kept limiting us in {attempts}",
                remedy=f"run it again after {until:%Y-%m-%d %H:%M:%S} UTC, and see that nothing else uses the same key "
                "or address",
                until=until,
                **facts,
            )
        said = f": {facts['said']}" if facts["said"] else ""
        fault = reply.fault or "status"
        last = f"status {reply.status}{said}" if fault == "status" else fault
        return Unreachable(
            f"{where} gave no usable answer in {attempts} (last: {last})",
            remedy="see whether the provider is down and whether this machine reaches it; then run it again",
            fault=fault,
            **facts,
        )


REMEDIES = {
    "too large": "ask for a shorter period",
    "coding": "run it again later; if it stays so, the provider has changed its answers",
    "certificate": "see what stands between this machine and the provider; the connection was not used",
    "redirect": "if the provider has moved, a new release or a setting must name its new address",
    "empty": "run it again later",
    "unauthorized": "check the key, and that it may use this service",
    "refused": "check what was asked for",
}
