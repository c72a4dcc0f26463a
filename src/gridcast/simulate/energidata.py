"""Energi Data Service: Danish load by hour, as SCADA every five minutes, and as settled.

Times in requests are Danish wall clocks; in answers they have no zone, a column for UTC and one for Denmark.
"""

from __future__ import annotations

import json
import math
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from scipy.special import ndtr

from gridcast.contracts import Floats
from gridcast.errors import Refused
from gridcast.market.days import DAY, HOUR, Times, from_local_wall, instant, local_wall
from gridcast.market.zones import zone
from gridcast.simulate.chance import normal, remembered
from gridcast.simulate.exchange import JSON, Ask, Reply, json_reply
from gridcast.simulate.world import MINUTE, World

TZ = "Europe/Copenhagen"
PAUSE = timedelta(minutes=1)
"""One request a data set, address and this long."""

AREAS = {"DK1": "DK_1", "DK2": "DK_2"}
HOUR_DELAY, SETTLED_AFTER = 2 * HOUR, 8 * DAY
PRELIMINARY_AFTER, FINAL_AFTER, OVERLAP = 9 * DAY, 60 * DAY, 2 * DAY
"""When an hour gets its next ``Version``, and how long the one before stands beside it. Our own choice: the real
calendar of versions is not published."""

_BORDERS = {
    "DK1": ("GreatBelt", "Norway", "Sweden", "Netherlands", "GreatBritain", "Germany"),
    "DK2": ("GreatBelt", "Sweden", "Germany"),
}
_ALL_BORDERS = ("GreatBelt", "Germany", "Netherlands", "GreatBritain", "Norway", "Sweden")
_FUELS = {"Biomass": 0.12, "Biogas": 0.02, "Waste": 0.05, "FossilGas": 0.04, "FossilOil": 0.005, "FossilHardCoal": 0.08}
_PARAMS = {"start", "end", "columns", "filter", "sort", "limit", "offset"}
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_WORDS = re.compile(r"(now|StartOfDay|StartOfMonth|StartOfYear)(?:([+-])(P.+))?")
_FORMS = ("%Y-%m-%dT%H:%M", "%Y-%m-%d", "%Y-%m", "%Y")


@dataclass(frozen=True)
class _Dataset:
    """``reach`` is how far back an answer goes where the request names no start."""

    make: Callable[[World, str, Times, datetime], pl.DataFrame]
    time: str
    minutes: int
    updates: str
    reach: np.timedelta64


class Energidata:
    """Answers ``/energidata/...``."""

    def __init__(self, world: World, *, limits: bool) -> None:
        self.world = world
        self._limits = limits
        self._lock = threading.Lock()
        self._last: dict[tuple[str, str], datetime] = {}

    def answer(self, ask: Ask) -> Reply:
        """A page of records, a description, or why not."""
        kind, _, name = ask.path.removeprefix("/energidata/").rpartition("/")
        if name not in DATASETS or kind not in ("dataset", "meta/dataset") or ask.method != "GET":
            return _message(404, f"Dataset '{name}' not found")
        if kind == "meta/dataset":
            return json_reply(_described(name, self.world, now=ask.at))
        wait = self._wait(name, ask)
        if wait:
            reply = _message(429, f"Rate limit is exceeded. Try again in {wait} seconds.")
            return Reply(429, reply.body, reply.kind, (("Retry-After", str(wait)),))
        try:
            return self._page(name, ask)
        except Refused as refusal:
            return _message(400, refusal.what)

    def _wait(self, name: str, ask: Ask) -> int:
        """Seconds until this address may ask for this data set again, 0 for now."""
        with self._lock:
            last = self._last.get((name, ask.peer))
            if self._limits and last is not None and last <= ask.at < last + PAUSE:
                return math.ceil((last + PAUSE - ask.at).total_seconds())
            self._last[name, ask.peer] = ask.at
            return 0

    def _page(self, name: str, ask: Ask) -> Reply:
        params, dataset = ask.params, DATASETS[name]
        strange = set(params) - _PARAMS
        if strange:
            raise _refused(f"Unknown parameter '{min(strange)}'")
        first, last = (_when(params[key], now=ask.at) if params.get(key) else None for key in ("start", "end"))
        limit, offset = _count(params, "limit", default=100), _count(params, "offset", default=0)
        wanted = _filter(params.get("filter"))
        frame = self._records(name, ask.at, first=first, last=last)
        for column, values in wanted.items():
            if column not in frame.columns:
                raise _refused(f"Column '{column}' not found in dataset '{name}'")
            frame = frame.filter(pl.col(column).cast(pl.String).is_in(values))
        sort = params.get("sort") or f"{dataset.time}UTC DESC"
        frame = _sorted(frame, sort, dataset=name)
        total = frame.height
        frame = frame.slice(offset, limit or None)
        if params.get("columns"):
            columns = params["columns"].split(",")
            missing = set(columns) - set(frame.columns)
            if missing:
                raise _refused(f"Column '{min(missing)}' not found in dataset '{name}'")
            frame = frame.select(columns)
        head: dict[str, object] = {"total": total}
        if params.get("filter"):
            head["filters"] = params["filter"]
        head["sort"] = sort
        if limit:
            head["limit"] = limit
        head["dataset"] = name
        text = json.dumps(head, ensure_ascii=False, separators=(",", ":"))
        return Reply(200, f'{text[:-1]},"records":{frame.write_json()}}}'.encode(), JSON)

    def _records(self, name: str, now: datetime, *, first: datetime | None, last: datetime | None) -> pl.DataFrame:
        """Every record whose Danish time is in ``first`` .. ``last`` (exclusive)."""
        dataset = DATASETS[name]
        step = dataset.minutes * MINUTE
        begin, end = instant(self.world.begins), instant(now)
        if last is not None:
            end = min(end, _utc(last) + 2 * HOUR)
        begin = max(begin, _utc(first) - 2 * HOUR if first is not None else end - dataset.reach)
        begin = begin.astype("datetime64[h]").astype("datetime64[us]")
        times = np.arange(begin, max(begin, end), step)
        frame = pl.concat([dataset.make(self.world, area, times, now) for area in AREAS])
        local = pl.col(f"{dataset.time}DK")
        if first is not None:
            frame = frame.filter(local >= first)
        if last is not None:
            frame = frame.filter(local < last)
        stamps = pl.col(pl.Datetime("us")).dt.strftime("%Y-%m-%dT%H:%M:%S")
        return frame.with_columns(stamps, pl.col(pl.Float64).round(6).fill_nan(None))


# --- what there is ---------------------------------------------------------------------------------------------------


def _hours(world: World, area: str, times: Times, now: datetime) -> tuple[Times, Floats, Floats]:
    """The complete hours of an area among ``times``, their load as now public (NaN: not yet) and the true one, MW."""
    if not len(times):
        return times, np.empty(0), np.empty(0)
    begin, end = (when.astype(datetime).replace(tzinfo=UTC) for when in (times[0], times[-1] + HOUR))
    strip = world.load(zone(AREAS[area]), begin=begin, end=end)
    hour = strip.start.astype("datetime64[h]").astype("datetime64[us]")
    hours, first, count = np.unique(hour, return_index=True, return_counts=True)
    if not len(hours):
        return hours, np.empty(0), np.empty(0)
    shown, true = (np.add.reduceat(values, first) / count for values in (strip.as_of(now), strip.value[-1]))
    whole = (count * strip.resolution[first] == HOUR) & np.isfinite(true)
    return hours[whole], shown[whole], true[whole]


def _hourly(world: World, area: str, times: Times, now: datetime) -> pl.DataFrame:
    """GenerationProdTypeExchange: the hour's versions, of which two may stand side by side."""
    hours, shown, true = _hours(world, area, times, now)
    age = instant(now) - (hours + HOUR)
    stages = {
        "Initial": (HOUR_DELAY, PRELIMINARY_AFTER + OVERLAP, shown),
        "Preliminary": (PRELIMINARY_AFTER, FINAL_AFTER + OVERLAP, true),
        "Final": (FINAL_AFTER, np.timedelta64(2**62, "us"), true),
    }
    parts = []
    for version, (since, until, load) in stages.items():
        keep = (age >= since) & (age < until) & np.isfinite(load)
        mix = _mix(world, area, hours, load)
        # A self-consumed part of the sun is in the gross consumption and in no exchange.
        sun = mix.pop("SolarPower")
        columns = {
            "GrossCon": load,
            "SolarPower": 0.85 * sun,
            "SolarPowerSelfCon": 0.15 * sun,
            "HydroPower": 0 * load,
            "CO2PerkWh": 240 - 200 * np.clip(mix["OffshoreWindPower"] / load * 4, 0, 1),
            **mix,
        }
        frame = _table("Time", area, hours, columns=columns).with_columns(Version=pl.lit(version))
        parts.append(frame.filter(pl.Series(keep, dtype=pl.Boolean)))
    return pl.concat(parts)


def _realtime(world: World, area: str, times: Times, now: datetime) -> pl.DataFrame:
    """ElectricityProdex5MinRealtime: production and exchange, whose sum is the load."""
    hours, _, true = _hours(world, area, times, now)
    place = np.searchsorted(hours, times.astype("datetime64[h]").astype("datetime64[us]"))
    inside = place < len(hours)
    inside[inside] = hours[place[inside]] == times[inside].astype("datetime64[h]").astype("datetime64[us]")
    keep = inside & (times + 10 * MINUTE <= instant(now))
    times, place = times[keep], place[keep]
    slope = np.gradient(true)[place] if len(true) > 1 else np.zeros(len(place))
    within = (times - hours[place] + 2.5 * MINUTE) / HOUR - 0.5 if len(place) else np.empty(0)
    noise = 0.002 * normal(times, f"scada/{area}", seed=world.seed) if len(times) else np.empty(0)
    load = np.round((true[place] + slope * within) * (1 + noise), 6)
    mix = _mix(world, area, times, load)
    large = np.sum([mix.pop(name) for name in _FUELS], axis=0) if len(times) else np.empty(0)
    small = np.round(0.3 * large, 6)
    columns: dict[str, Floats] = {
        "ProductionLt100MW": small,
        "ProductionGe100MW": np.round(large - small, 6),
        **mix,
    }
    # Already in the exchange with Sweden; western Denmark has none.
    columns["BornholmSE4"] = -0.01 * load if area == "DK2" else np.full(len(load), np.nan)
    return _table("Minutes5", area, times, columns=columns)


def _settled(world: World, area: str, times: Times, now: datetime) -> pl.DataFrame:
    """ProductionConsumptionSettlement: 0.5 to 3 % above the load, smoothly so."""
    hours, _, true = _hours(world, area, times, now)
    keep = instant(now) - (hours + HOUR) >= SETTLED_AFTER
    hours, true = hours[keep], true[keep]
    angle = (hours - np.datetime64("2015-01-01", "us")) / DAY * 2 * np.pi
    gross = true * (1.0175 + 0.0125 * np.sin(angle / 365.25) * np.cos(angle))
    part = {"GridLossTransmissionMWh": 0.015, "GridLossInterconnectorsMWh": 0.002, "GridLossDistributionMWh": 0.04}
    part |= {"PowerToHeatMWh": 0.03, "SolarPowerSelfConMWh": 0.01, "LocalPowerSelfConMWh": 0.005}
    mix = _mix(world, area, hours, gross)
    names = {"Norway": "NO", "Sweden": "SE", "Germany": "GE", "Netherlands": "NL", "GreatBritain": "GB"}
    columns: dict[str, Floats] = {
        "GrossConsumptionMWh": gross,
        **{name: share * gross for name, share in part.items()},
    }
    columns |= {f"Exchange{names.get(border, border)}_MWh": mix[f"Exchange{border}"] for border in _ALL_BORDERS}
    return _table("Hour", area, hours, columns=columns)


DATASETS = {
    "GenerationProdTypeExchange": _Dataset(_hourly, "Time", 60, "hourly", 4000 * DAY),
    "ElectricityProdex5MinRealtime": _Dataset(_realtime, "Minutes5", 5, "every 5 minutes", 31 * DAY),
    "ProductionConsumptionSettlement": _Dataset(_settled, "Hour", 60, "daily", 4000 * DAY),
}


def _mix(world: World, area: str, times: Times, load: Floats) -> dict[str, Floats]:
    """Production and exchange that add up to the load, MW; NaN at a border that the area does not have."""
    if not len(times):
        exchanges = (f"Exchange{border}" for border in _ALL_BORDERS)
        return dict.fromkeys(("OffshoreWindPower", "OnshoreWindPower", "SolarPower", *_FUELS, *exchanges), load)
    first = times[0].astype("datetime64[h]").astype("datetime64[us]")
    hours = np.arange(first, times[-1] + HOUR, HOUR)
    hour = ((times - first) // HOUR).astype(np.intp)

    def of(name: str, memory: float) -> Floats:
        return np.asarray(remembered(hours, name, seed=world.seed, memory=memory)[hour], float)

    wind = ndtr(of(f"wind power/{area}", 18))
    clock = (times - times.astype("datetime64[D]")) / HOUR + 0.7
    season = (times - times.astype("datetime64[Y]")) / DAY
    sun = np.clip(np.cos((clock - 12) * np.pi / 12) - 0.45 * np.cos(season * 2 * np.pi / 365.25), 0, None)
    mix: dict[str, Floats] = {
        "OffshoreWindPower": np.round(0.3 * wind * load, 6),
        "OnshoreWindPower": np.round(0.4 * wind * load, 6),
        "SolarPower": np.round(0.2 * sun * load * ndtr(of(f"cloud/{area}", 6)), 6),
    }
    mix |= {name: np.round(share * load, 6) for name, share in _FUELS.items()}
    belt = 300 * of("great belt", 12) * (1 if area == "DK2" else -1)
    exchange: dict[str, Floats] = {f"Exchange{border}": np.full(len(times), np.nan) for border in _ALL_BORDERS}
    exchange["ExchangeGreatBelt"] = np.round(belt, 6)
    for border in _BORDERS[area][1:-1]:
        exchange[f"Exchange{border}"] = np.round(250 * of(f"{border}/{area}", 12), 6)
    given = np.nansum([*mix.values(), *exchange.values()], axis=0)
    exchange["ExchangeGermany"] = np.round(load - given, 6)
    return mix | exchange


def _table(name: str, area: str, times: Times, *, columns: Mapping[str, Floats]) -> pl.DataFrame:
    """Records of an area: its times on both clocks, and the columns [N]."""
    stamps = pl.DataFrame(
        {f"{name}UTC": times, f"{name}DK": local_wall(times, TZ)},
        schema={f"{name}UTC": pl.Datetime("us"), f"{name}DK": pl.Datetime("us")},
    )
    series = {column: pl.Series(values, dtype=pl.Float64) for column, values in columns.items()}
    return stamps.with_columns(PriceArea=pl.lit(area)).with_columns(**series)


# --- what is asked ---------------------------------------------------------------------------------------------------


def _when(text: str, *, now: datetime) -> datetime:
    """A Danish wall clock: a date in one of four forms, or a word with a duration."""
    words = _WORDS.fullmatch(text.replace(" ", "+"))
    if words:
        begin = now.astimezone(ZoneInfo(TZ)).replace(tzinfo=None)
        cuts: dict[str, dict[str, int]] = {"now": {}, "StartOfDay": {}, "StartOfMonth": {"day": 1}}
        cuts["StartOfYear"] = {"day": 1, "month": 1}
        begin = begin.replace(**cuts[words[1]])  # type: ignore[arg-type]
        if words[1] != "now":
            begin = begin.replace(hour=0, minute=0, second=0, microsecond=0)
        return _moved(begin, words[3], sign=-1 if words[2] == "-" else 1) if words[3] else begin
    for form in _FORMS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # a wall clock
        except ValueError:
            continue
    raise _refused(f"'{text}' is not a valid date: use yyyy, yyyy-MM, yyyy-MM-dd or yyyy-MM-ddTHH:mm")


def _moved(begin: datetime, duration: str, *, sign: int) -> datetime:
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise _refused(f"'{duration}' is not a valid duration")
    years, months, weeks, days, hours, minutes, seconds = (sign * int(part or 0) for part in match.groups())
    month = begin.year * 12 + begin.month - 1 + years * 12 + months
    last = (datetime(month // 12, month % 12 + 1, 1).replace(day=28) + timedelta(days=4)).replace(day=1)  # noqa: DTZ001
    day = min(begin.day, (last - timedelta(days=1)).day)
    begin = begin.replace(year=month // 12, month=month % 12 + 1, day=day)
    return begin + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)


def _utc(wall: datetime) -> np.datetime64:
    instants: Times = from_local_wall(np.array([wall], "datetime64[us]"), TZ)
    when: np.datetime64 = instants[0]
    return when


def _count(params: Mapping[str, str], name: str, *, default: int) -> int:
    text = params.get(name, str(default))
    if not text.isdigit():
        raise _refused(f"'{name}' must be a whole number")
    return int(text)


def _filter(text: str | None) -> dict[str, list[str]]:
    if not text:
        return {}
    try:
        wanted = json.loads(text)
    except ValueError:
        wanted = None
    if re.search(r"\s", text) or not isinstance(wanted, dict):
        raise _refused("The filter is not valid JSON")
    return {
        column: [str(value) for value in (values if isinstance(values, list) else [values])]
        for column, values in wanted.items()
    }


def _sorted(frame: pl.DataFrame, sort: str, *, dataset: str) -> pl.DataFrame:
    keys = [part.strip().split() for part in sort.split(",")]
    for key in keys:
        if not key or key[0] not in frame.columns or key[1:] not in ([], ["asc"], ["desc"], ["ASC"], ["DESC"]):
            raise _refused(f"'{sort}' is not a valid sort of dataset '{dataset}'")
    down = [key[-1].lower() == "desc" for key in keys]
    return frame.sort([key[0] for key in keys], descending=down, maintain_order=True)


def _described(name: str, world: World, *, now: datetime) -> dict[str, object]:
    dataset = DATASETS[name]
    times = np.array([instant(world.begins)], "datetime64[us]")
    frame = dataset.make(world, "DK1", times, now)
    unit = {"PriceArea": "-", "Version": "-"}
    return {
        "datasetName": name,
        "description": "SYNTHETIC: a simulator's answer",
        "timeColumn": f"{dataset.time}UTC",
        "resolution": f"PT{dataset.minutes}M",
        "updateFrequency": dataset.updates,
        "columns": [
            {"dbColumn": column, "unit": unit.get(column, "MWh" if kind == pl.Float64 else "-"), "dataType": str(kind)}
            for column, kind in frame.schema.items()
        ],
    }


def _message(status: int, text: str) -> Reply:
    return json_reply({"statusCode": status, "message": text}, status=status)


def _refused(text: str) -> Refused:
    return Refused(text, remedy="ask for what there is", reason=text)
