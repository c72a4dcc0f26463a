"""A backtest, a forecast and a page to test reports with, and an eye for HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from html.parser import HTMLParser

import numpy as np
import polars as pl

from gridcast import report
from gridcast.backtesting import Backtest, Plan, Replay
from gridcast.contracts import FORECAST, QUANTILES
from gridcast.market.days import delivery_window, issue_time, local_wall, origins
from gridcast.market.zones import BiddingZone, zone

DK_1 = zone("DK_1")
FIRST, LAST = date(2018, 10, 22), date(2018, 11, 5)
VOID = {"meta", "link", "br", "hr", "img"}


def a_backtest(models: tuple[str, ...] = ("naive", "linear"), *, step: str = "60", tso_basis: str = "none") -> Backtest:
    """Two weeks around the end of summer time, with a missing actual and a row that ``linear`` cannot forecast."""
    resolution = np.timedelta64(int(step), "m").astype("timedelta64[us]")
    asked = origins(DK_1, first=FIRST, last=LAST)
    origin, valid_time = asked.rows(resolution)
    wall = local_wall(valid_time, DK_1.local_tz)
    day = wall.astype("datetime64[D]")
    slot = ((wall - day) // resolution).astype(np.intp)
    random = np.random.default_rng(1)
    shape = 2000 + 400 * np.sin(2 * np.pi * slot / slot.max())
    actual = shape + random.normal(0, 60, len(origin))
    actual[5] = np.nan
    spread = np.array([-120.0, -100, -77, -40, 0, 40, 77, 100, 120])
    fans = {name: shape[:, None] + random.normal(9 * i, 40, (len(origin), 1)) + spread for i, name in enumerate(models)}
    for fan in list(fans.values())[1:2]:
        fan[7] = np.nan
    return Backtest(
        plan=Plan(DK_1, FIRST, LAST, inputs=("load", "calendar")),
        origins=asked,
        resolution=resolution,
        origin=origin,
        valid_time=valid_time,
        day_kind=(day - day[0]).astype(np.intp) % 3,
        slot=slot,
        actual=actual,
        naive=shape + 50,
        tso=np.full(len(origin), np.nan) if tso_basis == "none" else shape + 30,
        weather_basis="observed",
        tso_basis=tso_basis,
        replays={name: Replay(fan, 1.25, 0.5) for name, fan in fans.items()},
    )


def a_forecast(place: BiddingZone = DK_1, *, day: date = date(2018, 12, 31), minutes: int = 60) -> pl.DataFrame:
    """One issue for a delivery day, with a peak in its 18th hour."""
    start, end = delivery_window(place, day)
    step = timedelta(minutes=minutes)
    times = [start + n * step for n in range((end - start) // step)]
    rows = [
        {
            "zone": place.code,
            "issue_time": issue_time(place, day),
            "valid_time": time,
            "resolution": step,
            "quantile": level,
            "value": 2000 - 25 * abs((time - start) / timedelta(hours=1) - 17) + 400 * (level - 0.5),
            "model_version": "ensemble-1",
            "degraded": "",
        }
        for time in times
        for level in QUANTILES
    ]
    return pl.DataFrame(rows, schema=FORECAST)


def a_history(forecast: pl.DataFrame, *, hours: int = 60) -> pl.DataFrame:
    """Hourly load up to three hours before the issue, without the last but fifth hour."""
    end = forecast["issue_time"][0] - timedelta(hours=3)
    times = [end - timedelta(hours=n) for n in range(hours, 0, -1) if n != 6]
    values = [1900.0 + 10 * n for n in range(len(times))]
    return pl.DataFrame(
        {"valid_time": times, "value": values}, schema={"valid_time": FORECAST["valid_time"], "value": pl.Float64}
    )


def a_page(**changes: object) -> str:
    forecast = a_forecast()
    whole = {
        "zone": DK_1,
        "forecast": forecast,
        "history": a_history(forecast),
        "result": a_backtest(),
        "title": "Western Denmark",
        "labels": ["synthetic data"],
        "facts": {"Data source": "demo"},
    }
    return report.render(**(whole | changes))


@dataclass
class Page(HTMLParser):
    """Tags opened and closed, attributes, and every table as rows of (text, bold)."""

    opened: list[str] = field(default_factory=list)
    attributes: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: list[list[list[tuple[str, bool]]]] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.opened.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(("", False))

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.attributes.append((tag, dict(attrs)))

    def handle_data(self, data):
        if {"td", "th"} & set(self.opened) and "code" not in self.opened:
            text, bold = self.tables[-1][-1][-1]
            self.tables[-1][-1][-1] = (text + data, bold or "strong" in self.opened)
        if "style" not in self.opened:
            self.text += data


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.opened == []
    return page


def table(page: Page, corner: str) -> dict[str, list[tuple[str, bool]]]:
    found = next(rows for rows in page.tables if rows[0][0][0] == corner)
    return {cells[0][0]: cells[1:] for cells in found}
