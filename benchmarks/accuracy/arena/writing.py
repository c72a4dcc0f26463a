"""Scores as Markdown tables and as lines of an append-only record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from arena.contestants import Contestant, everyone
from arena.running import Cost
from arena.scoring import BANDS, Scores
from arena.tasks import BenchTask

RESULTS = "results.jsonl"
FOUNDATION = (
    "Foundation models (Chronos-2, TimesFM, TiRex, Moirai, Toto) are not in the tables: their weights could not be had"
    " where these figures were made, and a row without a figure would say nothing."
)


@dataclass(frozen=True)
class Result:
    """One row: a contestant on a task."""

    task: BenchTask
    contestant: Contestant
    cost: Cost
    scores: Scores


def line(result: Result) -> str:
    """The result as one line of JSON."""
    facts = {
        "task": result.task.code,
        "contestant": result.contestant.code,
        "commit": result.cost.commit,
        "date": result.cost.date,
        "inputs": result.contestant.inputs(result.task),
        "weather_basis": _basis(result, "weather"),
        "tso_basis": _basis(result, "tso"),
        "cost": {name: value for name, value in asdict(result.cost).items() if name not in ("commit", "date")},
        "scores": result.scores,
    }
    return json.dumps(_rounded(facts), ensure_ascii=False)


def append(results: Sequence[Result], path: Path) -> int:
    """Add the lines that the record does not have yet; what is there stays. The number added."""
    there = path.read_text("utf-8").splitlines() if path.exists() else []
    new = [text for text in map(line, results) if text not in set(there)]
    with path.open("a", encoding="utf-8", newline="\n") as record:
        record.writelines(text + "\n" for text in new)
    return len(new)


def page(
    results: Sequence[Result], *, head: str, plots: Mapping[str, str], lags: Sequence[tuple[float, Result]] = ()
) -> str:
    """The whole page: the champion, a summary, tables of each task, the contestants and what they cost."""
    tasks = {result.task.code: result.task for result in results}
    place = {code: number for number, code in enumerate(everyone())}
    by_contestant = sorted(results, key=lambda result: place[result.contestant.code])
    lines = ["# Accuracy", "", head, "", *_INTRODUCTION, FOUNDATION, ""]
    lines += ["## The champion", "", *_champion(by_contestant), ""]
    lines += ["## MAE over the champion's", "", *_summary(by_contestant, list(tasks)), ""]
    lines += [text for name, caption in plots.items() for text in (f"![{caption}](accuracy/{name})", "")]
    if lags:
        lines += ["## When the load is public later", "", *_lag_table(lags), ""]
    for code, task in tasks.items():
        these = [result for result in results if result.task.code == code]
        lines += [f"## {task.name}", "", *_about(task), "", *_points(these), "", *_fans(these), ""]
    lines += ["## Contestants", "", *_contestants(by_contestant), ""]
    return "\n".join(lines)


_INTRODUCTION = [
    "Every contestant forecasts the same origins from the same file in a process and an environment of its own, on one"
    " thread; it is refitted where a month of delivery days begins, on what was public at that origin, and sees no load"
    " younger than was public at each (two hours after the interval's end). The truth leaves out values that cannot be"
    " true by a rule that no model knows. Weather is *observed* weather for all: real forecasts of it are worse."
    " The operator's forecast is the file's last version, taken as public at 10:00 on the day before: a row with `tso`"
    " among its inputs may have known a later version than a live one would.",
    "",
    "CPU is user and system time of the whole command, reading and building included. MAE / champion has its 95 %"
    " interval from 2,000 series redrawn in blocks of seven days; DM p is the Diebold-Mariano test of daily mean errors"
    " against the champion's (two-sided, Newey-West over seven days). CRPS is twice the mean pinball loss of nine"
    " quantiles. Ratios compare two contestants on the rows of both.",
    "",
]


def _champion(results: Sequence[Result]) -> list[str]:
    head = ["case", "MAE MW", "MAPE %", "/ naive", "/ TSO", "80 % band covers", "CPU-s", "inputs", "weather basis",
            "TSO basis"]  # fmt: skip
    rows = [
        [
            result.task.name,
            _number(result.scores.get("mae_mw"), 1),
            _number(result.scores.get("mape_pct"), 2),
            _number(result.scores.get("mae_to_naive"), 3),
            _number(result.scores.get("mae_to_operator"), 3),
            f"{_number(result.scores.get('coverage_80_pct'), 1)} %",
            _seconds(result.cost.cpu_seconds),
            ", ".join(result.contestant.inputs(result.task)),
            _basis(result, "weather"),
            _basis(result, "tso"),
        ]
        for result in results
        if result.contestant.code == "champion"
    ]
    return _table(head, rows)


def _summary(results: Sequence[Result], tasks: Sequence[str]) -> list[str]:
    labels = dict.fromkeys(result.contestant.label for result in results)
    found = {(result.contestant.label, result.task.code): result.scores for result in results}
    rows = []
    for label in labels:
        cells = []
        for code in tasks:
            scores = found.get((label, code), {})
            mark = "" if (scores.get("dm_p") or 0) < 0.05 else "°"
            ratio = scores.get("mae_to_champion")
            cells.append("-" if ratio is None else f"{ratio:.2f}{mark}")
        rows.append([label, *cells])
    return [*_table(["contestant", *tasks], rows), "", "° not told apart from the champion (DM p of 5 % or more)."]


def _about(task: BenchTask) -> list[str]:
    return [
        f"`{task.code}`: zone {task.zone}, {task.file}, delivery days {task.first} to {task.last} (exclusive), issued"
        f" at {task.issue_time}; inputs {', '.join(task.inputs)}; weather basis {task.weather_basis}, TSO basis"
        f" {task.tso_basis}."
    ]


def _points(results: Sequence[Result]) -> list[str]:
    head = ["contestant", "MAE MW", "MAPE %", "/ naive", "/ TSO", "/ champion [95 %]", "DM p", "MAPE ordinary, holiday,"
            " bridge %", "holiday / ordinary [95 %]", "CPU-s", "CPU-s a fit", "inputs", "rows lacking"]  # fmt: skip
    rows = []
    for result in results:
        s, cost = result.scores, result.cost
        kinds = ", ".join(_number(s.get(f"mape_{kind}_pct"), 2) for kind in ("ordinary", "holiday", "bridge"))
        cells = [
            result.contestant.label,
            _number(s.get("mae_mw"), 1),
            _number(s.get("mape_pct"), 2),
            _number(s.get("mae_to_naive"), 3),
            _number(s.get("mae_to_operator"), 3),
            _interval(s, "mae_to_champion"),
            _number(s.get("dm_p"), 3),
            kinds,
            _interval(s, "holiday_ratio"),
            _seconds(cost.cpu_seconds),
            _seconds(cost.fit_seconds / cost.fits) if cost.fits else "-",
            ", ".join(result.contestant.inputs(result.task)) or "its own",
            str(s.get("lacking", "-")),
        ]
        rows.append(cells)
    return _table(head, rows)


def _fans(results: Sequence[Result]) -> list[str]:
    head = ["contestant", "CRPS MW", "pinball MW", "80 % width / load %"]
    head += [f"{band} % band: all, worst quarter, month" for band in BANDS]
    rows = []
    for result in results:
        s = result.scores
        if s.get("crps_mw") is None:
            continue
        parts = ("", "_worst_quarter", "_worst_month")
        bands = [", ".join(_number(s.get(f"coverage_{band}{part}_pct"), 1) for part in parts) for band in BANDS]
        fan = [_number(s.get(name), 1) for name in ("crps_mw", "pinball_mw", "sharpness_pct")]
        rows.append([result.contestant.label, *fan, *bands])
    return _table(head, rows)


def _lag_table(lags: Sequence[tuple[float, Result]]) -> list[str]:
    rows = [
        [
            f"{lag:g} h",
            _number(result.scores.get("mae_mw"), 1),
            _number(result.scores.get("mape_pct"), 2),
            _number(result.scores.get("mae_to_naive"), 3),
            _number(result.scores.get("crps_mw"), 1),
        ]
        for lag, result in lags
    ]
    task = lags[0][1].task
    text = (
        f"The champion on `{task.code}` where the load is taken to be public so long after the interval's end. The law"
        " says one hour; every other figure on this page assumes two."
    )
    return [text, "", *_table(["lag", "MAE MW", "MAPE %", "/ naive", "CRPS MW"], rows)]


def _contestants(results: Sequence[Result]) -> list[str]:
    rows = []
    for contestant in dict.fromkeys(result.contestant for result in results):
        costs = [result.cost for result in results if result.contestant == contestant]
        fits = sum(cost.fits for cost in costs)
        rows.append(
            [
                contestant.label,
                contestant.note,
                _seconds(sum(cost.cpu_seconds for cost in costs) / len(costs)),
                _seconds(sum(cost.fit_seconds for cost in costs) / fits) if fits else "-",
                _seconds(sum(cost.predict_seconds for cost in costs) / len(costs)),
                f"{max(cost.rss_mib for cost in costs):.0f}",
                f"{costs[0].install_mib:.0f}" if costs[0].install_mib else "-",
                ", ".join(sorted({f"{cost.commit} ({cost.date})" for cost in costs})),
            ]
        )
    head = ["contestant", "what was chosen", "CPU-s a task", "CPU-s a fit", "predict CPU-s a task", "peak MiB",
            "installed MiB", "measured at"]  # fmt: skip
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _interval(scores: Scores, name: str) -> str:
    if scores.get(name) is None:
        return "-"
    if scores[f"{name}_low"] is None:
        return f"{scores[name]:.3f}"
    return f"{scores[name]:.3f} [{scores[f'{name}_low']:.2f}, {scores[f'{name}_high']:.2f}]"


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}" if value else "0"


def _basis(result: Result, name: str) -> str:
    return getattr(result.task, f"{name}_basis") if name in result.contestant.inputs(result.task) else "none"


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return float(f"{value:.6g}") if isinstance(value, float) else value
