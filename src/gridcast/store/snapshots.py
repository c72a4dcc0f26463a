"""From rows of vintages to a `Snapshot`: what was public at an issue time, on regular grids. No database, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np
import polars as pl

from gridcast import contracts
from gridcast.contracts import LAST_VERSION, LOAD, OBSERVED, TSO_FORECAST, Series, Snapshot
from gridcast.errors import DataError
from gridcast.market.days import DAY, HOUR, Times
from gridcast.market.zones import BiddingZone

LONG_ENOUGH = 400 * DAY
"""How much load a resolution needs behind it before a zone is modelled at it."""

POWER = (LOAD, TSO_FORECAST)
"""Variables in MW: averaged up to the model's resolution, summed over the members of a zone."""

_TO_SCORE_BY = pl.col("variable").str.starts_with(f"{LOAD}_") & (pl.col("variable") != TSO_FORECAST)
"""Other loads, metered in real time or settled later: kept beside the load, and no model's input."""

_MICROSECOND = np.timedelta64(1, "us")


def snapshot(
    frame: pl.DataFrame,
    *,
    zone: BiddingZone,
    issue_times: Times,
    made_at: datetime | None = None,
    resolution: np.timedelta64 | None = None,
) -> Snapshot:
    """What was public in ``zone`` at one issue time, or at each of many.

    Rows published after the last issue time are dropped, so a snapshot of one issue time physically holds nothing
    younger; one of many filters each answer by the row's own issue time. Both go through `contracts.public`. Variables
    ending in ``_observed`` are exempt. Loads of another name (``load_settlement``) are left out: no model sees them.

    Of several vintages the latest published counts, whatever its source; of equally old ones a delivered one before an
    average of finer ones, then the one whose source sorts last. Load alone knows better and worse sources, in the order
    of ``zone.sources``: once a better one had a value of an interval, a worse one's counts no more, and no interval is
    put together from both. (A source that is not listed is as good as the first.) Load and TSO forecast stand at the
    model's resolution:
    a coarse interval made of finer ones has a value once all its parts have, and a vintage for each publication among
    them. Coarser load is left out; a coarser TSO forecast, like coarse weather, holds for every interval inside it.
    Weather keeps its own (finest) resolution.

    A variable that the zone itself lacks is put together from ``zone.members``: load and TSO forecast are summed,
    weather is the mean by ``zone.member_weights`` (equal ones where there are none), and only where every member has a
    value.

    Args:
        frame: Observations, any zones, all vintages.
        zone: whose snapshot.
        issue_times: ``datetime64[us]`` UTC, shape [O] or [].
        made_at: leave out what was fetched later than this instant (for the replay of an issued forecast).
        resolution: of the model; `model_resolution` of the load that was public at the first issue time unless given.

    Raises:
        DataError: there is no issue time.
    """
    issue_times = np.unique(np.atleast_1d(issue_times)).astype("datetime64[us]")
    if not issue_times.size:
        raise DataError(f"a snapshot of {zone.code} has no issue time", remedy="name at least one", where=zone.code)
    rows = frame.filter(pl.col("zone").is_in([zone.code, *zone.members]) & ~_TO_SCORE_BY)
    if made_at is not None:
        rows = rows.filter(pl.col("fetched_at") <= made_at)
    rows = rows.filter(pl.col("variable").str.ends_with(OBSERVED) | contracts.public_rows(rows, issue_times[-1]))

    parts = {str(name): part for (name,), part in rows.partition_by("variable", as_dict=True).items()}
    shares = {name: _shares(part, zone=zone) for name, part in parts.items()}
    parts = {name: part.filter(pl.col("zone").is_in(list(shares[name]))) for name, part in parts.items()}
    if resolution is None:
        resolution = _zone_resolution(parts[LOAD], first_issue=issue_times[0]) if LOAD in parts else HOUR
    series = {name: _series(part, zone=zone, shares=shares[name], model=resolution) for name, part in parts.items()}
    return Snapshot(zone, issue_times, resolution, {name: found for name, found in series.items() if found is not None})


def model_resolution(load: pl.DataFrame) -> np.timedelta64:
    """The finest resolution with at least 400 days of load, else the coarsest there is; an hour where there is no load.

    Args:
        load: Observations of load in one zone.
    """
    lengths = load.group_by("resolution").agg(pl.col("valid_time").n_unique()).sort("resolution")
    steps = lengths["resolution"].to_numpy()
    long_enough = steps * lengths["valid_time"].to_numpy() >= LONG_ENOUGH
    candidates = np.concatenate([steps[long_enough], steps[-1:], [HOUR]]).astype("timedelta64[us]")
    return np.timedelta64(int(candidates[0].astype(np.int64)), "us")


def _zone_resolution(load: pl.DataFrame, *, first_issue: np.datetime64) -> np.timedelta64:
    """The model resolution of a zone, or the coarsest among its members', by what was public at ``first_issue``."""
    history = load.filter(contracts.public_rows(load, first_issue))
    parts = (history if history.height else load).partition_by("zone")
    return max(model_resolution(part) for part in parts)


def _instants(column: pl.Series) -> Times:
    return column.dt.replace_time_zone(None).to_numpy()


def _shares(rows: pl.DataFrame, *, zone: BiddingZone) -> Mapping[str, float]:
    """Each zone code that makes up ``zone`` for this variable, with its factor."""
    if not zone.members or (rows["zone"] == zone.code).any():
        return {zone.code: 1.0}
    if rows["variable"][0] in POWER:
        return dict.fromkeys(zone.members, 1.0)
    weights = zone.member_weights or [1 / len(zone.members)] * len(zone.members)
    return dict(zip(zone.members, weights, strict=True))


def _series(
    rows: pl.DataFrame, *, zone: BiddingZone, shares: Mapping[str, float], model: np.timedelta64
) -> Series | None:
    """All vintages of one variable on its grid, or None where nothing fits it."""
    variable = rows["variable"][0]
    grid = model if variable in POWER else _steps(rows)[0]
    ranks = _ranks(rows["source"], zone=zone) if variable == LOAD else [rows["source"].unique().to_list()]
    if len(ranks) == 1:
        vintages = _vintages(rows, grid=grid)
    else:
        vintages, used = _ranked(rows, ranks, grid=grid)
        rows = rows.filter(pl.col("source").is_in(used))
    if len(shares) > 1:
        vintages = _combined(vintages, part="zone", weights=shares).with_columns(zone=pl.lit(""))
    if vintages.is_empty():
        return None
    vintages = vintages.sort("place", "published_at")
    place = vintages["place"].to_numpy()
    first_of_place = np.searchsorted(place, place)
    k, t = np.arange(len(place)) - first_of_place, place - place[0]
    shape = (int(k.max()) + 1, int(t[-1]) + 1)
    values, published_at = np.full(shape, np.nan), np.full(shape, "NaT", "datetime64[us]")
    values[k, t] = vintages["value"].to_numpy()
    published_at[k, t] = _instants(vintages["published_at"])
    return Series(
        start=np.datetime64(0, "us") + place[0] * grid,
        resolution=grid,
        values=values,
        published_at=published_at,
        basis=_joined(_bases(rows)),
        source=_joined(rows["source"]),
    )


def _ranks(sources: pl.Series, *, zone: BiddingZone) -> list[list[str]]:
    """The sources that occur, the best first, those that are equally good together."""
    place = {name: rank for rank, name in enumerate(zone.sources)}
    ranks: dict[int, list[str]] = {}
    for source in sources.unique():
        ranks.setdefault(place.get(source.partition(":")[0], 0), []).append(source)
    return [ranks[rank] for rank in sorted(ranks)]


def _ranked(
    rows: pl.DataFrame, ranks: Sequence[Sequence[str]], *, grid: np.timedelta64
) -> tuple[pl.DataFrame, list[str]]:
    """Vintages of the best sources, of worse ones those published before any better one's; and the sources used."""
    place = ["zone", "place"]
    kept, used = _NOTHING, list[str]()
    for sources in ranks:
        better = kept.group_by(place).agg(superseded=pl.col("published_at").min())
        worse = _vintages(rows.filter(pl.col("source").is_in(sources)), grid=grid).join(better, on=place, how="left")
        fresh = worse.filter((pl.col("published_at") < pl.col("superseded")).fill_null(True))
        kept = pl.concat([kept, fresh.select(kept.columns)])
        used += sources if fresh.height else []
    return kept, used


def _vintages(rows: pl.DataFrame, *, grid: np.timedelta64) -> pl.DataFrame:
    """Rows of one variable as vintages of the intervals of ``grid``, one a publication."""
    placed = [_placed(rows.filter(pl.col("resolution") == step.item()), step=step, grid=grid) for step in _steps(rows)]
    return _latest_source(pl.concat([part for part in placed if part is not None] or [_NOTHING]))


def _steps(rows: pl.DataFrame) -> list[np.timedelta64]:
    """The resolutions that occur, the finest first."""
    return [step.astype("timedelta64[us]") for step in rows["resolution"].unique().sort().to_numpy()]


def _bases(rows: pl.DataFrame) -> pl.Series:
    """What the publications rest on; an operator's forecast of assumed publication that came too late is named so."""
    if rows["variable"][0] != TSO_FORECAST:
        return rows["published_at_basis"]
    too_late = (pl.col("published_at_basis") == "assumed") & (pl.col("fetched_at") > pl.col("valid_time"))
    return rows.select(pl.when(too_late).then(pl.lit(LAST_VERSION)).otherwise("published_at_basis")).to_series()


_NOTHING = pl.DataFrame(
    schema={
        "zone": pl.String,
        "place": pl.Int64,
        "published_at": contracts.UTC_TIME,
        "source": pl.String,
        "step": pl.Int64,
        "value": pl.Float64,
    }
)


def _placed(rows: pl.DataFrame, *, step: np.timedelta64, grid: np.timedelta64) -> pl.DataFrame | None:
    """Rows of resolution ``step`` as vintages of the intervals of ``grid``, which are numbered from the epoch."""
    variable = rows["variable"][0]
    fine, coarse = int(step / _MICROSECOND), int(grid / _MICROSECOND)
    columns = {"place": pl.col("valid_time").to_physical() // coarse, "step": pl.lit(fine, dtype=pl.Int64)}
    if fine > coarse and (variable == LOAD or fine % coarse):
        return None
    if fine < coarse and coarse % fine:
        return None
    placed = rows.with_columns(**columns)
    if fine > coarse:
        inside = pl.int_ranges(pl.col("place"), pl.col("place") + fine // coarse)
        placed = placed.with_columns(place=inside).explode("place", empty_as_null=False, keep_nulls=False)
    if fine < coarse:
        parts = coarse // fine
        placed = placed.with_columns(part=((pl.col("valid_time").to_physical() % coarse) // fine).cast(pl.String))
        weights = {str(part): 1 / parts for part in range(parts)}
        placed = _combined(_latest_source(placed, "part"), part="part", weights=weights, within="zone").with_columns(
            source=pl.lit(""), step=pl.lit(fine, dtype=pl.Int64)
        )
    return placed.select(_NOTHING.columns)


def _latest_source(vintages: pl.DataFrame, *also: str) -> pl.DataFrame:
    """One row a publication: of several sources the one that sorts last, of several resolutions the coarsest."""
    key = ["zone", "place", *also, "published_at"]
    if not vintages.select(key).is_duplicated().any():
        return vintages
    return vintages.sort(*key, "source", "step").unique(key, keep="last", maintain_order=True)


def _combined(
    vintages: pl.DataFrame, *, part: str, weights: Mapping[str, float], within: str | None = None
) -> pl.DataFrame:
    """The weighted sum of parts: for each publication among them the sum of their latest values, once all have one."""
    group = ["place"] if within is None else [within, "place"]
    wide = vintages.pivot(on=part, index=[*group, "published_at"], values="value")
    if not set(weights) <= set(wide.columns):
        return wide.clear().select(*group, "published_at", value=pl.lit(0.0))
    latest = wide.sort(*group, "published_at").with_columns(pl.col(list(weights)).forward_fill().over(group))
    total = pl.sum_horizontal(pl.col(name) * weight for name, weight in weights.items())
    return latest.drop_nulls(list(weights)).select(*group, "published_at", value=total)


def _joined(labels: pl.Series) -> str:
    return "+".join(labels.unique().sort())
