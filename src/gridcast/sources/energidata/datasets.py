"""The data sets of Energi Data Service that give Danish load, and what their columns mean."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from gridcast.contracts import LOAD
from gridcast.sources.wire import Limit, Permit

SOURCE = "energidata"
REALTIME = "load_realtime"
SETTLEMENT = "load_settlement"

AREAS = {"DK_1": "DK1", "DK_2": "DK2"}
"""Our zones, and the service's price areas."""

VERSIONS = ("Initial", "Preliminary", "Final")
"""Of the versions of one hour the last of these counts."""

DANISH = "Europe/Copenhagen"
MOST_MW = 20_000.0
"""Above it a load is in the wrong unit: all of Denmark has never needed 8,000 MW."""
SLACK = timedelta(minutes=5)
"""By how much the service's clock may be ahead of ours."""

PRODUCTION = ("ProductionLt100MW", "ProductionGe100MW", "OffshoreWindPower", "OnshoreWindPower", "SolarPower")
BORDERS: Mapping[str, Mapping[str, str]] = {
    "DK1": {
        "ExchangeGreatBelt": "",
        "ExchangeGermany": "",
        "ExchangeNetherlands": "2019-09-07",
        "ExchangeGreatBritain": "2023-12-29",
        "ExchangeNorway": "",
        "ExchangeSweden": "",
    },
    "DK2": {"ExchangeGreatBelt": "", "ExchangeGermany": "", "ExchangeSweden": ""},
}
"""The borders of each area, and the day each link opened where the data set is older than it (general knowledge)."""
EXCHANGES = tuple(BORDERS["DK1"])


@dataclass(frozen=True)
class Dataset:
    """One data set: what it brings, its columns, how late it is and how much of it fits one answer."""

    name: str
    variable: str
    clock: str
    values: tuple[str, ...]
    resolution: timedelta
    lag: timedelta
    span: timedelta
    versioned: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """What is asked for: both clocks, the area, the version where there is one, the values."""
        version = ("Version",) if self.versioned else ()
        return (f"{self.clock}UTC", f"{self.clock}DK", "PriceArea", *version, *self.values)

    @property
    def permit(self) -> Permit:
        """One request a minute, counted for each data set. Source: the service's limit since 2025-08-26."""
        return Permit(f"{SOURCE}:{self.name}", (Limit(calls=1, seconds=60, burst=1),))


DATASETS = (
    Dataset(
        "GenerationProdTypeExchange",
        variable=LOAD,
        clock="Time",
        values=("GrossCon",),
        resolution=timedelta(hours=1),
        lag=timedelta(hours=2),
        span=timedelta(days=366),
        versioned=True,
    ),
    Dataset(
        "ElectricityProdex5MinRealtime",
        variable=REALTIME,
        clock="Minutes5",
        values=(*PRODUCTION, *EXCHANGES),
        resolution=timedelta(minutes=5),
        lag=timedelta(minutes=10),
        span=timedelta(days=92),
    ),
    Dataset(
        "ProductionConsumptionSettlement",
        variable=SETTLEMENT,
        clock="Hour",
        values=("GrossConsumptionMWh",),
        resolution=timedelta(hours=1),
        lag=timedelta(days=8),
        span=timedelta(days=366),
    ),
)
"""``lag`` is how long after an interval's end it is assumed public; ``span`` keeps an answer under about 20 MB."""


def scada_load(record: Mapping[str, float | None], *, area: str, day: str) -> float | None:
    """Load in MW: production plus imports over all borders, or None where one of them is missing.

    An empty border counts 0 only where the area has no such border, or had none on ``day`` (``YYYY-MM-DD``).
    ``BornholmSE4`` is a part of ``ExchangeSweden`` and stays out. Source: Energinet, description of the data set.

    21 February 2025, 19:10 UTC:

    >>> west = [347.149994, 408.899994, 1502.010010, 2135.169922, 7.38]
    >>> links = [-302.589996, 30.790001, -700.090027, -1455.079956, 1247.170044, 58.0]
    >>> west_record = dict(zip(PRODUCTION + EXCHANGES, west + links))
    >>> round(scada_load(west_record, area="DK1", day="2025-02-21"), 2)
    3278.81
    >>> east = [200.779999, 430.070007, 878.020020, 383.070007, 0.0]
    >>> links = [302.589996, -682.690002, None, None, None, 561.309998]
    >>> east_record = dict(zip(PRODUCTION + EXCHANGES, east + links))
    >>> round(scada_load(east_record, area="DK2", day="2025-02-21"), 2)
    2073.15
    >>> scada_load(east_record, area="DK1", day="2025-02-21") is None
    True
    """
    borders = BORDERS[area]
    needed = PRODUCTION + tuple(name for name, opened in borders.items() if day >= opened)
    if any(record[name] is None for name in needed):
        return None
    return math.fsum(record[name] or 0.0 for name in PRODUCTION + EXCHANGES)
