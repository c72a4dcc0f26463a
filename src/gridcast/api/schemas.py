"""What goes in and out, as OpenAPI has it: requests are read by these, answers are made by the pipeline."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"
DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
MOST_INTERVALS = 24_000
"""Twelve weeks of five minutes: more than any model looks at."""

Instant = Annotated[
    str,
    Field(pattern=INSTANT, max_length=40, json_schema_extra={"format": "date-time"}, examples=["2026-11-23T10:00:00Z"]),
]
Day = Annotated[str, Field(pattern=DAY, json_schema_extra={"format": "date"}, examples=["2026-11-24"])]
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Row = Annotated[list[Finite], Field(min_length=12, max_length=12)]
Quantiles = dict[str, float]


class Answer(BaseModel):
    """What an answer has, and nothing else."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """Why there is no answer, and what to do about it (RFC 9457); the facts stand beside it."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:gridcast:problem:unknown-zone"])
    title: str = Field(examples=["Unknown zone"])
    status: int = Field(ge=400, le=599, examples=[404])
    detail: str = Field(examples=["there is no zone 'DK_3'"])
    remedy: str = Field(examples=["did you mean DK_1?"])
    request_id: str = Field(examples=["5f0c1e7a9b3d2468"])


class Zone(Answer):
    """A bidding zone, and the days that there are of its load and of its forecasts."""

    zone: str
    name: str
    country: str
    market_tz: str
    local_tz: str
    latitude: float | None
    longitude: float | None
    has_data: bool
    has_forecast: bool
    first_day: Day | None
    last_day: Day | None
    first_forecast_day: Day | None
    last_forecast_day: Day | None
    synthetic: bool


class Zones(Answer):
    """Every zone that can be asked for."""

    zones: list[Zone]


class Peak(Answer):
    """The highest median, and where its interval starts."""

    valid_time: Instant
    value: float


class Interval(Answer):
    """Quantiles of the mean load of an interval, named by its start; MW."""

    valid_time: Instant
    quantiles: Quantiles


class PeakHour(Answer):
    """The hour of the local clock that most likely holds the peak."""

    local: str
    probability: float
    by_hour: dict[str, float]


class DayOutlook(Answer):
    """Quantiles of the day's peak and energy."""

    peak_mw: Quantiles
    peak_hour: PeakHour
    energy_mwh: Quantiles


class Forecast(Answer):
    """A forecast of one delivery day; ``degraded`` says why it is worse than usual, or is empty."""

    zone: str
    issue_time: Instant
    unit: Literal["MW"]
    resolution: str
    model_version: str
    degraded: str
    peak: Peak
    intervals: list[Interval]
    day: DayOutlook | None


class ExplainedInterval(Answer):
    """The median, and the terms that sum to it; MW."""

    valid_time: Instant
    local_time: str
    forecast_mw: float
    terms_mw: dict[str, float]


class Explanation(Answer):
    """Why a forecast is what it is."""

    zone: str
    issue_time: Instant
    unit: Literal["MW"]
    resolution: str
    model_version: str
    degraded: str
    terms: list[str]
    intervals: list[ExplainedInterval]


class LoadInterval(Answer):
    """The load and the operator's forecast of it, MW; null where unknown."""

    valid_time: Instant
    load: float | None
    tso: float | None


class Load(Answer):
    """The newest known load of a period."""

    zone: str
    unit: Literal["MW"]
    resolution: str
    tso_basis: str
    intervals: list[LoadInterval]


class Score(Answer):
    """How good forecasts were over ``n`` intervals; null where nothing can be said."""

    n: int
    mae_mw: float | None
    mape_pct: float | None
    naive_mae_mw: float | None
    tso_mae_mw: float | None
    coverage_80_pct: float | None


class DayScore(Score):
    """How good the forecast of a delivery day was."""

    delivery_day: Day


class Scores(Answer):
    """Scores by day, and over all their intervals."""

    zone: str
    unit: Literal["MW"]
    days: list[DayScore]
    mean: Score


class QualityDay(Answer):
    """Intervals of load that are due, known and in quarantine."""

    day: Day
    due: int
    known: int
    in_quarantine: int


class Quality(Answer):
    """The state of a zone's data."""

    zone: str
    newest_load: Instant
    data_age_hours: float
    resolution: str
    days: list[QualityDay]


class Drift(Answer):
    """The last week's errors against those of the four weeks before; ``ratio`` is of the mean absolute errors."""

    zone: str
    unit: Literal["MW"]
    recent_days: int
    usual_days: int
    bias_mw: float | None
    usual_bias_mw: float | None
    mae_mw: float | None
    usual_mae_mw: float | None
    coverage_80_pct: float | None
    usual_coverage_80_pct: float | None
    ratio: float | None


class Card(Answer):
    """The model card of a champion."""

    zone: str
    task: str
    version: str
    model: str
    parameters: dict[str, Any]
    trained_at: Instant
    first_day: Day
    last_day: Day
    inputs: list[str]
    unit: Literal["MW"]
    resolution: str
    weather_basis: str
    tso_basis: str
    usual_load_mw: float | None
    data_sha256: str
    manifest_sha256: str
    gridcast: str
    canary: str


class Check(Answer):
    """One thing that must be so."""

    check: str
    ok: bool
    detail: str


class Ready(Answer):
    """Whether the service may be asked for forecasts."""

    ready: bool
    model_version: str
    canary: str
    data_age_hours: float | None
    checks: list[Check]
    notices: list[str]


class Alive(Answer):
    """The process lives."""

    status: Literal["alive"]


class Given(BaseModel):
    """What a request may have, and nothing else."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Megawatts(Given):
    """The mean of an interval, named by its start."""

    valid_time: Instant
    value: Annotated[Finite, Field(ge=0, le=1e9)]


class Celsius(Given):
    """The temperature of an interval, named by its start."""

    valid_time: Instant
    value: Annotated[Finite, Field(ge=-90, le=60)]


class History(Given):
    """A zone's recent load, and what else is known: four weeks at least, without gaps; eleven are better."""

    zone: Annotated[str, Field(min_length=1, max_length=64, examples=["DK_1"])]
    delivery_day: Day | None = None
    issue_time: Instant | None = None
    load: Annotated[list[Megawatts], Field(min_length=1, max_length=MOST_INTERVALS)]
    tso: Annotated[list[Megawatts], Field(max_length=MOST_INTERVALS)] = []
    temperature: Annotated[list[Celsius], Field(max_length=MOST_INTERVALS)] = []


class Window(BaseModel):
    """The classic raw window: 96 rows (an hour each, oldest first) of 12 values, unscaled."""

    model_config = ConfigDict(extra="forbid", strict=True)

    features: Annotated[list[Row], Field(min_length=96, max_length=96)]


class Predictions(Answer):
    """The 24 hours that follow a window."""

    predictions: Annotated[list[float], Field(min_length=24, max_length=24)]
    unit: Literal["MW"]
    model_version: str
