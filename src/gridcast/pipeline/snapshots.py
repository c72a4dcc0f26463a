"""Training snapshots: what the store held of a zone, as one Parquet file that can be versioned, and its statement.

The statement is a small JSON file of the same name beside it: zone, as-of, how many rows, their digest, what each
series looks like. Git keeps the statement, DVC the Parquet file; `read_snapshot` holds one against the other.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from gridcast.contracts import load_rows, observations, public_rows
from gridcast.errors import ConfigError, DataError, OutsideData, UnreadableFile
from gridcast.market.days import at_wall_clock, instant
from gridcast.market.zones import BiddingZone
from gridcast.store.digest import digest

if TYPE_CHECKING:
    from gridcast.store.database import Store

LAYOUT = 1
"""Version of the statement's own layout."""

_ROWS_A_GROUP = 1 << 17
_BYTES_A_PAGE = 1 << 20
_DIGITS = 6


@dataclass(frozen=True)
class Statement:
    """What a training snapshot holds.

    Attributes:
        zone: whose observations, and its members'.
        as_of: nothing in it was published later (UTC).
        start: the first local day, None where nothing was left out.
        end: the last local day, exclusive, or None.
        rows: values and vintages.
        digest: SHA-256 of the rows, the same whatever release of a library writes them.
        sha256: of the Parquet file's bytes; None where only the statement was written.
        series: by zone and variable: ``rows``, ``intervals``, the ``first`` and ``last`` interval's start, the
            ``sources``, and ``mean``, ``min`` and ``max`` over the rows, in the variable's unit.
    """

    zone: str
    as_of: datetime
    start: date | None
    end: date | None
    rows: int
    digest: str
    sha256: str | None
    series: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def to_json(self) -> str:
        """The text of the file: the same statement is the same text."""
        facts = {"layout": LAYOUT} | asdict(self) | {"as_of": _stamp(self.as_of)}
        return json.dumps(facts, indent=1, default=date.isoformat, allow_nan=False, ensure_ascii=False) + "\n"


def write_snapshot(
    store: Store,
    *,
    zone: BiddingZone,
    out: Path,
    as_of: datetime | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Statement:
    """Write what the store holds of a zone and its members; the same rows make the same bytes.

    Args:
        store: where the rows are.
        zone: whose rows.
        out: ``NAME.parquet`` for the snapshot and its statement ``NAME.json``; ``NAME.json`` for the statement alone.
        as_of: leave out what was published later; without it everything is taken, and it is the last publication.
        start: the first local day.
        end: the last local day, exclusive.

    Raises:
        OutsideData: the store has no load of the zone there.
        ConfigError: another ending than these two.
    """
    if out.suffix not in (".parquet", ".json"):
        raise ConfigError(f"{out} is neither .parquet nor .json", remedy="name the snapshot NAME.parquet")
    midnights = [None if day is None else at_wall_clock(day, time(0), tz=zone.local_tz) for day in (start, end)]
    rows = store.observations([zone.code, *zone.members], start=midnights[0], end=midnights[1])
    if as_of is not None:
        rows = rows.filter(public_rows(rows, instant(as_of)))
    if load_rows(rows, zone).is_empty():
        raise OutsideData(
            f"the store has no load of {zone.code} for a snapshot",
            remedy=f"gridcast ingest --zone {zone.code}, or choose other days or a later as-of",
            first=start,
            last=end,
        )
    # Zero has two signs in IEEE 754, which are no news.
    value = pl.when(pl.col("value") == 0).then(0.0).otherwise("value")
    rows = observations(rows, where="the store").with_columns(value=value).rechunk()
    content = _parquet(rows) if out.suffix == ".parquet" else None
    statement = Statement(
        zone=zone.code,
        as_of=as_of or rows["published_at"].max(),  # type: ignore[arg-type]
        start=start,
        end=end,
        rows=rows.height,
        digest=digest(rows),
        sha256=None if content is None else hashlib.sha256(content).hexdigest(),
        series=_series(rows),
    )
    if content is not None:
        out.write_bytes(content)
    out.with_suffix(".json").write_text(statement.to_json(), encoding="utf-8", newline="\n")
    return statement


def read_snapshot(path: Path, *, zone: BiddingZone | None = None) -> pl.DataFrame:
    """The Observations of a training snapshot, once they proved to be those of the statement beside it.

    Raises:
        ConfigError: it is not of ``zone``.
        UnreadableFile: the file is missing, or its statement is missing or damaged.
        DataError: not a byte, or not a row, may differ from what was stated, and one does.
    """
    statement = read_statement(path)
    if zone is not None and statement.zone != zone.code:
        raise ConfigError(f"{path} is a snapshot of {statement.zone}, not of {zone.code}", remedy="name its own zone")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableFile(
            f"the snapshot {path} cannot be read ({error.strerror})",
            remedy="fetch it with `dvc pull`, or write it with `gridcast snapshot`",
            where=str(path),
        ) from None
    if hashlib.sha256(content).hexdigest() != statement.sha256:
        raise _another(
            path,
            why="its SHA-256 is another",
            remedy="remove it and .dvc/cache, then `dvc pull`; the statement is in git",
        )
    rows = observations(pl.read_parquet(io.BytesIO(content)), where=str(path))
    if digest(rows) != statement.digest:
        raise _another(
            path, why="this Polars reads other rows", remedy="use the Polars of requirements.lock, and report it"
        )
    return rows


def read_statement(path: Path) -> Statement:
    """What a training snapshot is said to hold, by the JSON file beside it; the snapshot itself is not looked at.

    Raises:
        UnreadableFile: the JSON file is missing, damaged or of another layout.
    """
    beside = path.with_suffix(".json")
    try:
        facts = json.loads(beside.read_text(encoding="utf-8"))
        if facts.pop("layout") != LAYOUT:
            raise UnreadableFile(
                f"{beside} is not of layout {LAYOUT}", remedy="use the gridcast that wrote it", where=str(beside)
            )
        facts["as_of"] = datetime.fromisoformat(facts["as_of"])
        facts |= {name: facts[name] and date.fromisoformat(facts[name]) for name in ("start", "end")}
        return Statement(**facts)
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise UnreadableFile(
            f"{beside} is no statement of a snapshot that can be read",
            remedy="restore it from git, or write the snapshot again with `gridcast snapshot`",
            where=str(beside),
        ) from None


def _parquet(rows: pl.DataFrame) -> bytes:
    """The rows as a Parquet file in which everything is fixed that a writer may choose."""
    buffer = io.BytesIO()
    rows.write_parquet(
        buffer, compression="zstd", compression_level=9, row_group_size=_ROWS_A_GROUP, data_page_size=_BYTES_A_PAGE
    )
    return buffer.getvalue()


def _series(rows: pl.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    value, time_ = pl.col("value"), pl.col("valid_time")
    table = rows.group_by("zone", "variable", maintain_order=True).agg(
        rows=pl.len(),
        intervals=time_.n_unique(),
        first=time_.min(),
        last=time_.max(),
        sources=pl.col("source").unique().sort().str.join(", "),
        mean=value.mean().round(_DIGITS),
        min=value.min(),
        max=value.max(),
    )
    series: dict[str, dict[str, dict[str, Any]]] = {}
    for row in table.iter_rows(named=True):
        place, variable = row.pop("zone"), row.pop("variable")
        edges = {name: _stamp(row[name]) for name in ("first", "last")}
        series.setdefault(place, {})[variable] = row | edges
    return series


def _stamp(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _another(path: Path, *, why: str, remedy: str) -> DataError:
    beside = path.with_suffix(".json").name
    return DataError(f"{path} is not the snapshot that {beside} states: {why}", remedy=remedy, where=str(path))
