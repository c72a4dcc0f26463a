"""Results on the terminal and in files: one JSON document, a table, a sparkline."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl
from rich.console import Console
from rich.table import Table

from gridcast import pipeline
from gridcast.cli import daily
from gridcast.errors import ConfigError
from gridcast.pipeline import documents
from gridcast.pipeline.documents import iso, stamp

if TYPE_CHECKING:
    from gridcast.backtesting import Backtest
    from gridcast.market.zones import BiddingZone
    from gridcast.store.backup import Manifest

_BLOCKS = "▁▂▃▄▅▆▇█"


def document(content: Mapping[str, Any]) -> None:
    """Print one JSON document on stdout."""
    print(json.dumps(content, indent=1, allow_nan=False, ensure_ascii=False))


def zones(known: Mapping[str, BiddingZone], *, as_json: bool) -> None:
    """The zones, a line each."""
    if as_json:
        document(
            {
                "zones": {
                    code: {
                        "name": zone.name,
                        "eic": zone.eic,
                        "country": zone.country,
                        "market_tz": zone.market_tz,
                        "local_tz": zone.local_tz,
                        "gate_closure": zone.gate_closure and zone.gate_closure.isoformat("minutes"),
                        "issue_time": zone.issue_time.isoformat("minutes"),
                        "members": list(zone.members),
                    }
                    for code, zone in known.items()
                }
            }
        )
        return
    table = _table("zone", "name", "EIC", "local time", "issue time (market)", "gate")
    for code, zone in known.items():
        gate = zone.gate_closure.isoformat("minutes") if zone.gate_closure else "-"
        table.add_row(
            code, zone.name, zone.eic or "-", zone.local_tz, f"{zone.issue_time:%H:%M} {zone.market_tz}", gate
        )
    _print(table)


def account(found: pipeline.Account, *, as_json: bool) -> None:
    """What an ingest brought, and every interval that it did not."""
    if as_json:
        document(account_document(found))
        return
    print(
        f"{found.zone}: {found.received} of {found.requested} intervals from {found.source or 'nobody'}"
        + (f", {stamp(found.first)} to {stamp(found.last)}" if found.first and found.last else "")
        + f"; {found.new} new, {found.revised} revised, {found.quarantined} in quarantine"
    )
    for variable, start, end, count in _runs(found.missing):
        print(f"  missing: {variable} {stamp(start)} to {stamp(end)} ({count})")
    for verdict, days in found.verdicts.items():
        if verdict != "complete":
            print(f"  {days} days of load: {verdict}")
    for note in found.notes:
        print(f"  note: {note}")
    for source, why in found.failed.items():
        print(f"  failed: {source}: {why}")


def account_document(found: pipeline.Account) -> dict[str, Any]:
    """The account's JSON: see the command line's contract."""
    return {
        "zone": found.zone,
        "source": found.source,
        "requested": found.requested,
        "received": found.received,
        "missing": [
            {"variable": each.variable, "start": stamp(each.start), "end": stamp(each.end)} for each in found.missing
        ],
        "revised": found.revised,
        "new": found.new,
        "quarantined": found.quarantined,
        "first": found.first and stamp(found.first),
        "last": found.last and stamp(found.last),
        "verdicts": dict(found.verdicts),
        "notes": list(found.notes),
        "failed": dict(found.failed),
    }


def _runs(missing: Sequence[pipeline.Missing]) -> Iterator[tuple[str, datetime, datetime, int]]:
    """Missing intervals that follow one another, as one: variable, start, end and how many."""
    run: list[pipeline.Missing] = []
    for each in missing:
        if run and (each.variable, each.start) != (run[-1].variable, run[-1].end):
            yield run[0].variable, run[0].start, run[-1].end, len(run)
            run = []
        run.append(each)
    if run:
        yield run[0].variable, run[0].start, run[-1].end, len(run)


def poll(found: pipeline.Poll) -> None:
    """One poll, as a line of the log."""
    made = found.account
    text = (
        f"failed: {found.error}"
        if made is None
        else f"{made.received} of {made.requested} from {made.source}, {made.new} new, {made.revised} revised"
    )
    print(f"{stamp(found.at)} {text}", file=sys.stderr)


def polls(found: Sequence[pipeline.Poll], *, zone: BiddingZone, as_json: bool) -> None:
    """What a watch brought in all."""
    made = [each.account for each in found if each.account is not None]
    content = {
        "zone": zone.code,
        "polls": len(found),
        "failed": len(found) - len(made),
        "new": sum(each.new for each in made),
        "revised": sum(each.revised for each in made),
        "quarantined": sum(each.quarantined for each in made),
        "last": account_document(made[-1]) if made else None,
    }
    if as_json:
        document(content)
    else:
        print("{zone}: {polls} polls, {failed} failed, {new} new values, {revised} revised".format(**content))


def findings(found: Sequence[pipeline.Finding], *, as_json: bool) -> None:
    """What the doctor saw."""
    if as_json:
        document(
            {"sound": all(each.state != pipeline.State.BAD for each in found), "findings": [asdict(x) for x in found]}
        )
        return
    for each in found:
        remedy = f": {each.remedy}" if each.remedy else ""
        print(f"{each.state.value:7} {each.subject}: {each.what}{remedy}")


def quarantined(rows: pl.DataFrame, *, zone: BiddingZone, released: bool, as_json: bool) -> None:
    """Values that were set aside."""
    if as_json:
        listed = [
            {
                "variable": row["variable"],
                "start": stamp(row["valid_time"]),
                "value": row["value"],
                "source": row["source"],
                "fetched_at": stamp(row["fetched_at"]),
                "reason": row["reason"],
            }
            for row in rows.iter_rows(named=True)
        ]
        document({"zone": zone.code, "released": released, "values": listed})
        return
    for row in rows.iter_rows(named=True):
        print(f"{row['variable']} {stamp(row['valid_time'])} {row['value']:.1f} from {row['source']}: {row['reason']}")
    print(f"{zone.code}: {rows.height} values {'released' if released else 'in quarantine'}")


def backup(found: Manifest, *, path: Path, as_json: bool) -> None:
    """What a backup holds."""
    if as_json:
        document(
            {"file": str(path), "rows": found.rows, "tables": {name: asdict(x) for name, x in found.tables.items()}}
        )
        return
    held = ", ".join(f"{x.rows} {name}" for name, x in found.tables.items())
    print(f"{path}: {found.rows} rows ({held}), every hash right")


def retained(found: pipeline.Left, *, as_json: bool) -> None:
    """What left the store, or would."""
    if as_json:
        document(asdict(found))
        return
    print(
        f"{found.observations} observations, {found.forecasts} forecasts, {found.quarantined} values in quarantine, "
        f"{found.looks} looks, {found.answers} raw answers and the bodies of {found.entries} journal entries "
        + ("deleted" if found.deleted else "would go; nothing was deleted: add --delete")
    )


def note(words: str) -> None:
    """Something to know that is no error, on stderr."""
    print(f"gridcast: note: {words}", file=sys.stderr)


def registered(found: pipeline.Registered, *, as_json: bool) -> None:
    """A model version that was trained."""
    version, trained = found.version, found.trained
    if trained.left_out:
        note(
            f"too few of the days since {trained.first_day} have {', '.join(trained.left_out)}, so it is not used: "
            f"gridcast ingest --zone {version.zone} --source openmeteo --start {trained.first_day}"
        )
    if as_json:
        names = {"version": version.id, "model": found.model, "champion": found.is_champion}
        document({**asdict(version), **names, "weather_basis": trained.weather_basis})
        return
    champion = ", the champion" if found.is_champion else ", a challenger"
    print(f"{version.zone} {version.task}: {found.model} registered as {version.id}{champion}")
    print(f"  weather basis: {trained.weather_basis}")


def scores(result: Backtest, *, sha256: str, as_json: bool) -> None:
    """The score of every model."""
    content = scores_document(result, sha256=sha256)
    if as_json:
        document(content)
        return
    table = _table(
        "model",
        "MAE MW",
        "MAPE %",
        "RMSE MW",
        "bias MW",
        "CRPS MW",
        "80 % band",
        "95 % band",
        "vs naive",
        "vs TSO",
        "fit s",
    )
    for name, row in content["models"].items():
        table.add_row(
            name,
            *(
                _number(row[key], digits)
                for key, digits in {
                    "mae_mw": 1,
                    "mape_pct": 2,
                    "rmse_mw": 1,
                    "bias_mw": 1,
                    "crps_mw": 1,
                    "coverage_80_pct": 1,
                    "coverage_95_pct": 1,
                    "skill_vs_naive": 3,
                    "skill_vs_tso": 3,
                    "fit_seconds": 1,
                }.items()
            ),
        )
    _print(table)
    _day_scores(content)
    print(
        f"{content['zone']} {content['task']}, delivery days {content['from']} to {content['to']} (exclusive), "
        f"{len(result.valid_time)} intervals, {content['n_excluded']} excluded; inputs {','.join(content['inputs'])}; "
        f"weather basis: {content['weather_basis']}; TSO basis: {content['tso_basis']}"
    )


def _day_scores(content: Mapping[str, Any]) -> None:
    """How good every model's daily peaks and energies were, where they were scored."""
    columns = {
        "peak_mae_mw": ("peak MAE MW", 1),
        "peak_hour_hit_pct": ("its hour right, +-1 h %", 1),
        "peak_coverage_80_pct": ("80 % band", 1),
        "energy_mape_pct": ("daily energy MAPE %", 2),
        "energy_coverage_80_pct": ("80 % band ", 1),
    }
    days = {name: row["days"] for name, row in content["models"].items() if "days" in row}
    if days:
        table = _table("model", *(title for title, _ in columns.values()))
        for name, row in days.items():
            table.add_row(name, *(_number(row[key], digits) for key, (_, digits) in columns.items()))
        _print(table)


def scores_document(result: Backtest, *, sha256: str) -> dict[str, Any]:
    """The backtest's JSON: see the command line's contract."""
    plan, days = result.plan, result.days()
    return {
        "models": {name: row | ({"days": days[name]} if name in days else {}) for name, row in result.scores().items()},
        "zone": plan.zone.code,
        "task": plan.task.value,
        "from": plan.first.isoformat(),
        "to": plan.last.isoformat(),
        "inputs": list(plan.inputs),
        "resolution": iso(result.resolution),
        "weather_basis": result.weather_basis,
        "tso_basis": result.tso_basis,
        "n_excluded": result.n_excluded,
        "data_sha256": sha256,
    }


def timeless(content: Mapping[str, Any]) -> str:
    """A backtest's JSON without how long it took, in numbers of six decimals: the same text for the same scores."""

    def rounded(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: rounded(each) for key, each in value.items() if not key.endswith("_seconds")}
        return round(value, 6) if isinstance(value, float) else value

    models = {name: rounded(row) for name, row in content["models"].items()}
    return json.dumps({**content, "models": models}, indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def forecast(issued: pipeline.Issued, *, zone: BiddingZone, output: str) -> None:
    """An issued forecast as ``table``, ``json`` or ``csv``."""
    if output == "json":
        document(issued_document(issued, zone=zone))
    elif output == "csv":
        _csv(issued.forecast)
    else:
        _forecast_table(issued, zone=zone)


def forecasts(issued: Sequence[pipeline.Issued], *, zones: Sequence[BiddingZone], output: str) -> None:
    """Forecasts that were issued together, a zone after the other."""
    if output == "json":
        pairs = zip(issued, zones, strict=True)
        document({"forecasts": [issued_document(each, zone=zone) for each, zone in pairs]})
    elif output == "csv":
        _csv(pl.concat([each.forecast for each in issued]))
    else:
        for number, (each, zone) in enumerate(zip(issued, zones, strict=True)):
            print("\n" * (number > 0), end="")
            _forecast_table(each, zone=zone)


def issued_document(issued: pipeline.Issued, *, zone: BiddingZone) -> dict[str, Any]:
    """An issued forecast, and what it means for the day, as JSON."""
    return documents.issued_document(issued.forecast, zone=zone, day=issued.day)


def _csv(table: pl.DataFrame) -> None:
    print(documents.forecast_csv(table), end="")


def _forecast_table(issued: pipeline.Issued, *, zone: BiddingZone) -> None:
    table = issued.forecast
    rows = documents.wide(table)
    local = ZoneInfo(zone.local_tz)
    first, peak = table.row(0, named=True), pipeline.peak(table)
    day = rows["valid_time"][0].astimezone(zone.market_zone)
    console = Console(highlight=False)
    console.print(f"[bold]{zone.name} ({zone.code})[/bold], {day:%A %d %B %Y}", soft_wrap=True)
    console.print(f"load in MW, clocks of {zone.local_tz}", soft_wrap=True)
    median = rows["q0.5"].to_list()
    low, high = min(median), max(median)
    console.print("".join(_BLOCKS[min(7, int(8 * (value - low) / (high - low or 1)))] for value in median))
    grid = _table("from", "median", "80 % band", "95 % band", "")
    for row in rows.iter_rows(named=True):
        start = row["valid_time"].astimezone(local)
        grid.add_row(
            f"{start:%H:%M}",
            f"{row['q0.5']:,.0f}",
            f"{row['q0.1']:,.0f} - {row['q0.9']:,.0f}",
            f"{row['q0.025']:,.0f} - {row['q0.975']:,.0f}",
            "peak" if row["valid_time"] == peak.valid_time else "",
        )
    console.print(grid)
    if issued.day is not None:
        console.print(daily.line(issued.day), soft_wrap=True)
    else:
        note(f"the model of {zone.code} saw too few whole days to say how sure its peak and its energy are")
    console.print(
        f"highest median {peak.value:,.0f} MW at {peak.valid_time.astimezone(local):%H:%M}; "
        f"issued {stamp(first['issue_time'])} "
        f"by {first['model_version']}" + (f"; degraded: {first['degraded']}" if first["degraded"] else ""),
        soft_wrap=True,
    )


def write_table(table: pl.DataFrame, path: Path) -> None:
    """Write a table as Parquet or CSV, by the path's ending.

    Raises:
        ConfigError: another ending.
    """
    if path.suffix == ".parquet":
        table.write_parquet(path)
    elif path.suffix == ".csv":
        table.with_columns(pl.col("resolution").dt.total_minutes()).write_csv(path, datetime_format=documents.STAMP)
    else:
        raise ConfigError(f"{path} is neither .parquet nor .csv", remedy="give it one of these endings")


def _table(*headers: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number, header in enumerate(headers):
        table.add_column(header, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def _print(table: Table) -> None:
    Console(file=sys.stdout, highlight=False, width=None if sys.stdout.isatty() else 160).print(table)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
