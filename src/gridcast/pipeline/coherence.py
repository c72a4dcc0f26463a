"""A portfolio and its members forecast together, so that the members add up to the portfolio.

Each is forecast on its own; then the medians move, each by its share of the gap, the less sure ones more. Quantiles do
not add up and are not made to: they move with their medians. Futures do: peaks and energies are read off joint ones.

Source: Wickramasuriya, Athanasopoulos and Hyndman 2019, "Optimal forecast reconciliation for hierarchical and grouped
time series through trace minimization" (with a diagonal covariance).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gridcast import contracts
from gridcast.contracts import MEDIAN, QUANTILES, Floats
from gridcast.errors import ConfigError, ModelNotFound, NotForecastable, StoreError, TooLittleHistory
from gridcast.market.days import Task
from gridcast.market.zones import BiddingZone
from gridcast.models.daily import Days
from gridcast.pipeline.forecasting import fan_of, window_to_issue
from gridcast.pipeline.operations import Draft, Issued, champion_asked, draft
from gridcast.registry import Registry

if TYPE_CHECKING:
    from gridcast.store.database import Store

_LOW, _HIGH = QUANTILES.index(0.1), QUANTILES.index(0.9)
_LEAST = 1e-6
_CLOSE = 1e-9


def shares(fans: Floats, *, fixed: NDArray[np.bool_] | None = None) -> Floats:
    """What each forecast takes of the gap between the first one and the sum of the others, [Z, M], for `closed`.

    In proportion to the squared widths of their 80 % bands; nothing where one is ``fixed`` [Z].

    Args:
        fans: quantiles in MW [Z, M, Q], the portfolio's before its members'.
        fixed: those that may not move; not all of them.
    """
    width = np.maximum(fans[:, :, _HIGH] - fans[:, :, _LOW], _LEAST) ** 2
    if fixed is not None:
        width = np.where(fixed[:, None], 0.0, width)
    return np.asarray(width / width.sum(axis=0), np.float64)


def closed(values: Floats, *, shares: Floats) -> Floats:
    """Values in MW [Z, ..., M] moved so that the first is the sum of the others.

    >>> closed(np.array([[100.0], [70.0], [40.0]]), shares=np.array([[0.5], [0.3], [0.2]])).tolist()
    [[105.0], [67.0], [38.0]]
    """
    sign = np.where(np.arange(len(values)) == 0, 1.0, -1.0)
    gap = np.tensordot(sign, values, axes=1)
    return np.stack([each - own * share * gap for each, own, share in zip(values, sign, shares, strict=True)])


def coherent(drafts: list[Draft]) -> list[Draft]:
    """Forecasts of one window, the portfolio's before its members', with medians that add up.

    What is stored stays as it is, and the others move.

    Raises:
        NotForecastable: they differ in resolution; facts ``zone``.
        StoreError: all of them are stored, and do not add up.
    """
    origin = drafts[0].asked.origin
    if len({each.forecast["resolution"][0] for each in drafts}) > 1:
        raise NotForecastable(
            f"the forecasts of {_named(drafts)} differ in resolution, and cannot be added",
            remedy="bring the zones' load at one resolution and train them again, or leave --members out",
            zone=origin.zone.code,
        )
    fans = np.stack([fan_of(each.forecast) for each in drafts])
    medians = fans[:, :, MEDIAN]
    fixed = np.array([each.is_stored for each in drafts])
    if fixed.all():
        if np.abs(medians[0] - medians[1:].sum(axis=0)).max() > _CLOSE * medians.max():
            raise StoreError(
                f"{_named(drafts)} were each issued alone as of {origin.issue_time[0]}Z, and what was issued stays",
                remedy="issue them together before any is issued alone, or leave --members out",
            )
        return drafts
    moved = fans * (closed(medians, shares=shares(fans, fixed=fixed)) / medians)[:, :, None]
    return [
        each if each.is_stored else replace(each, forecast=_with(each.forecast, fan, draft=each))
        for each, fan in zip(drafts, moved, strict=True)
    ]


def outlooks(drafts: list[Draft]) -> list[Days | None]:
    """Peak and energy of coherent forecasts of one window, from futures that add up in every interval.

    A future of all the zones is what one past day brought to each of them. None where the models have too few days in
    common.
    """
    resolution = drafts[0].forecast["resolution"].to_numpy()[0]
    fans = np.stack([fan_of(each.forecast) for each in drafts])
    origins = [each.asked.origin for each in drafts]
    found = [each.asked.trained.fitted.calibration for each in drafts]
    common = reduce(np.intersect1d, [each.origin_of_path for each in found])
    try:
        scenarios = [
            each.of_issues(common).scenarios(fan, origins=origin, resolution=resolution)
            for each, fan, origin in zip(found, fans, origins, strict=True)
        ]
    except TooLittleHistory:
        return [None] * len(drafts)
    joint = closed(np.stack(scenarios), shares=shares(fans))
    return [
        Days.of(futures, origins=origin, resolution=resolution, fan=fan)
        for futures, fan, origin in zip(joint, fans, origins, strict=True)
    ]


def issue_with_members(
    store: Store,
    registry: Registry,
    *,
    zone: BiddingZone,
    members: list[BiddingZone],
    now: datetime,
    task: str = Task.DAY_AHEAD,
    delivery_day: date | None = None,
) -> list[Issued]:
    """Forecast a portfolio and its members with their champions for one issue time, coherently, and store them.

    The portfolio comes first. What was issued stays issued, as in `operations.issue_and_store`.

    Raises:
        ConfigError: the zone has no members, or an unknown task.
        ModelNotFound: some of the zones have no champion.
        NotForecastable: the day is too far ahead, or is not the same day everywhere.
        OutsideData: the store has no load of one of them.
        StoreError: all were issued alone before, and do not add up.
    """
    if not members:
        raise ConfigError(f"{zone.code} has no members", remedy="leave --members out, or name a portfolio")
    absent = [each.code for each in (zone, *members) if registry.champion(each.code, task) is None]
    if absent:
        words = "" if task == Task.DAY_AHEAD else f" task={task}"
        raise ModelNotFound(
            f"{', '.join(absent)}: no trained model for {task}",
            remedy="; ".join(f"gridcast train --zone {code}{words}" for code in absent),
            version=None,
        )
    asked = [
        champion_asked(registry, zone=each, now=now, task=task, delivery_day=delivery_day) for each in (zone, *members)
    ]
    newest = max(each.trained.trained_at for each in asked)
    origin = window_to_issue(zone, now=now, task=asked[0].trained.task, delivery_day=delivery_day, trained_at=newest)
    elsewhere = [each.code for each in members if each.market_tz != zone.market_tz]
    if elsewhere and origin.task is Task.DAY_AHEAD:
        raise NotForecastable(
            f"{', '.join(elsewhere)} and {zone.code} have delivery days of other clocks",
            remedy="issue them one by one, or with --task next_24h",
            zone=zone.code,
        )
    asked = [replace(each, origin=replace(origin, zone=each.origin.zone)) for each in asked]
    last_write = store.last_write()
    drafts = coherent([draft(store, each, last_write=last_write) for each in asked])
    for each in drafts:
        each.keep(store, now=now, together=drafts)
    return [Issued(each.forecast, each.observations, day) for each, day in zip(drafts, outlooks(drafts), strict=True)]


def _with(forecast: pl.DataFrame, fan: Floats, *, draft: Draft) -> pl.DataFrame:
    """The Forecast table with other quantiles [M, Q]."""
    table = forecast.sort("valid_time", "quantile").with_columns(value=pl.Series(fan.reshape(-1)))
    return contracts.forecast(table, origins=draft.asked.origin)


def _named(drafts: list[Draft]) -> str:
    return ", ".join(each.asked.origin.zone.code for each in drafts)
