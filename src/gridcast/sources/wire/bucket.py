"""How many requests a provider allows, shared by every process of this machine through one SQLite file.

The rule is the generic cell rate algorithm (ITU-T I.371): a limit remembers one instant, until which it is spent. A
request moves that instant on by its cost; it may pass if the instant then lies at most a burst ahead of now.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gridcast.errors import ConfigError, RateLimited, StoreError
from gridcast.sources.fetched import Clock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
LONGEST_NAP = 60 * SECOND
"""After so much sleep the file is read again, whatever it said before: a clock may have been set meanwhile."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS spent (name TEXT, span INTEGER, until INTEGER, PRIMARY KEY (name, span)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS blocked (name TEXT PRIMARY KEY, since INTEGER, until INTEGER) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Limit:
    """Never more than ``calls`` in any window of ``seconds``, and never more than ``burst`` at once.

    Fractions are rounded down. The smaller the burst, the nearer the lasting rate comes to ``calls``.

    Raises:
        ConfigError: not ``1 <= burst <= calls``, or no positive span.
    """

    calls: float
    seconds: float
    burst: float

    def __post_init__(self) -> None:
        if not (1 <= self.burst <= self.calls < math.inf and 0 < self.seconds < math.inf):
            raise ConfigError(f"{self} can never be kept", remedy="give 1 <= burst <= calls, and a positive span")

    @property
    def span(self) -> int:
        """The window in microseconds."""
        return round(self.seconds * SECOND)

    @property
    def tokens(self) -> int:
        """What may be spent at once."""
        return math.floor(self.burst)

    @property
    def interval(self) -> int:
        """Microseconds until one token has come back.

        Tokens that are spent within a window were there at its start or came back during it, so they are fewer than
        ``burst + span / interval``, and this is at most ``calls + 1``:

        >>> Limit(calls=360, seconds=60, burst=1).interval
        166667
        >>> Limit(calls=360, seconds=60, burst=181).interval
        333334
        """
        return self.span // (math.floor(self.calls) - self.tokens + 1) + 1


@dataclass(frozen=True)
class Permit:
    """What one request needs: ``cost`` tokens (rounded up) of every limit that goes by ``name``.

    Raises:
        ConfigError: a cost that is not positive, or two limits over the same span.
    """

    name: str
    limits: tuple[Limit, ...]
    cost: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.cost < math.inf:
            raise ConfigError(f"a request of {self.name} costs {self.cost}", remedy="give a positive cost")
        if len({limit.span for limit in self.limits}) < len(self.limits):
            raise ConfigError(f"{self.name} has two limits over the same span", remedy="keep the stricter one")

    @property
    def tokens(self) -> int:
        """The cost in whole tokens."""
        return math.ceil(self.cost)


@dataclass(frozen=True)
class Grant:
    """A permit that was handed out: what of each limit was spent, as (span, until before, until after)."""

    name: str
    spent: tuple[tuple[int, int, int], ...]


class Bucket:
    """Permits handed out to all processes that name the same file.

    A permit is handed out at the instant it is used, in one transaction: a process that is killed can only have taken
    one too many. If the clock is set back, no limit stays spent for longer than its burst takes to come back, and no
    ban lasts longer than it was given for. Whoever asks first after a wait is served first.

    Args:
        path: the SQLite file; it and its folder are made where they are missing.
        clock: tells the time and lets it pass.

    Raises:
        StoreError: the file is foreign, damaged or cannot be written (from every method).
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock

    def take(self, permit: Permit, *, patience: float) -> Grant:
        """Waits until one request may be made, at most ``patience`` seconds in all.

        Raises:
            RateLimited: it would take longer; nothing is spent.
            ConfigError: the request costs more than a limit allows at once, so it could never be made.
        """
        for limit in permit.limits:
            if permit.tokens > limit.tokens:
                raise ConfigError(
                    f"a request of {permit.name} costs {permit.tokens}, and no more than {limit.tokens} go at once",
                    remedy="ask for less in one request",
                )
        left = math.floor(patience * SECOND)
        while not isinstance(wait := self._claim(permit), Grant):
            if wait > left:
                until = self._clock.now() + timedelta(microseconds=wait)
                raise RateLimited(
                    f"{permit.name} may be asked again at {until:%Y-%m-%d %H:%M:%S} UTC, later than we may wait",
                    remedy="run it again then",
                    name=permit.name,
                    until=until,
                )
            nap = min(wait, LONGEST_NAP)
            left -= nap
            self._clock.sleep(nap / SECOND)
        return wait

    def give_back(self, grant: Grant) -> None:
        """As if it had never been handed out, for a request that never left; spent it stays once another one was."""
        with self._transaction() as database:
            database.executemany(
                "UPDATE spent SET until = ? WHERE name = ? AND span = ? AND until = ?",
                [(before, grant.name, span, after) for span, before, after in grant.spent],
            )

    def block(self, name: str, *, until: datetime) -> None:
        """Nobody is served under this name until then; a longer block that stands already stays.

        Raises:
            ConfigError: the instant has no time zone.
        """
        if until.tzinfo is None:
            raise ConfigError(f"{name} is blocked until {until}, which has no time zone", remedy="give it in UTC")
        with self._transaction() as database:
            now = _micros(self._clock.now())
            end = max(_micros(until), self._blocked_until(database, name, now=now))
            if end > now:
                database.execute("INSERT OR REPLACE INTO blocked VALUES (?, ?, ?)", (name, now, end))

    def _claim(self, permit: Permit) -> int | Grant:
        """The permit, written down, or the microseconds until it is worth asking again."""
        with self._transaction() as database:
            now = _micros(self._clock.now())
            free_at = self._blocked_until(database, permit.name, now=now)
            granted = []
            for limit in permit.limits:
                at_once = limit.tokens * limit.interval
                before = self._spent_until(database, permit.name, span=limit.span, most=now + at_once)
                after = max(now, before) + permit.tokens * limit.interval
                free_at = max(free_at, after - at_once)
                granted.append((limit.span, before, after))
            if free_at > now:
                return free_at - now
            rows = [(permit.name, span, after) for span, _, after in granted]
            database.executemany("INSERT OR REPLACE INTO spent VALUES (?, ?, ?)", rows)
            return Grant(permit.name, tuple(granted))

    def _spent_until(self, database: sqlite3.Connection, name: str, *, span: int, most: int) -> int:
        row = database.execute("SELECT until FROM spent WHERE name = ? AND span = ?", (name, span)).fetchone()
        if row is None:
            return 0
        if row[0] > most:
            # No grant reaches so far ahead: the clock was set back, or the limit's burst was made smaller.
            database.execute("UPDATE spent SET until = ? WHERE name = ? AND span = ?", (most, name, span))
        return int(min(row[0], most))

    def _blocked_until(self, database: sqlite3.Connection, name: str, *, now: int) -> int:
        row = database.execute("SELECT since, until FROM blocked WHERE name = ?", (name,)).fetchone()
        if row is None:
            return 0
        since, until = row
        if now < since:
            # The clock was set back: the block keeps its length from now on.
            until -= since - now
            database.execute("UPDATE blocked SET since = ?, until = ? WHERE name = ?", (now, until, name))
        return int(until)

    def fault(self) -> str:
        """Why the file cannot be used; empty where it is sound, or not there yet. Changes nothing."""
        if not self._path.exists():
            return ""
        try:
            with closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as database:
                said = database.execute("PRAGMA integrity_check").fetchone()[0]
        except sqlite3.Error as error:
            return str(error)
        return "" if said == "ok" else str(said)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """The file, locked for this process; a connection an operation, so that forks and threads share none."""
        failure = ""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=60.0, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = TRUNCATE")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute("BEGIN IMMEDIATE")
                if not database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'blocked'").fetchone():
                    for statement in SCHEMA.strip().split("\n"):
                        database.execute(statement)
                yield database
                database.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            failure = str(error)
        if failure:
            raise StoreError(
                f"the shared count of requests at {self._path} cannot be used ({failure})",
                remedy="see that its folder can be written; a damaged file may be deleted, once nobody is fetching",
            )


def _micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
