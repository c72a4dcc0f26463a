"""The scores of a backtest as text: what each is called, how it is written and which value is best."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Score = float | int | None
NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Measure:
    """A score's name in words, its format, and how far a value is from perfect (None where no value is better)."""

    name: str
    form: str
    distance: Callable[[float], float] | None = None


MEASURES: Mapping[str, Measure] = {
    "mae_mw": Measure("Mean absolute error, MW", ",.1f", abs),
    "rmse_mw": Measure("Root mean squared error, MW", ",.1f", abs),
    "mape_pct": Measure("Mean absolute percentage error, %", ".2f", abs),
    "bias_mw": Measure("Bias (forecast minus actual), MW", "+,.1f", abs),
    "crps_mw": Measure("CRPS, MW", ",.1f", abs),
    "coverage_50_pct": Measure("Actuals inside the 50 % band, %", ".1f", lambda value: abs(value - 50)),
    "coverage_80_pct": Measure("Actuals inside the 80 % band, %", ".1f", lambda value: abs(value - 80)),
    "coverage_90_pct": Measure("Actuals inside the 90 % band, %", ".1f", lambda value: abs(value - 90)),
    "coverage_95_pct": Measure("Actuals inside the 95 % band, %", ".1f", lambda value: abs(value - 95)),
    "mape_ordinary_pct": Measure("Percentage error on ordinary days, %", ".2f", abs),
    "mape_holiday_pct": Measure("Percentage error on holidays, %", ".2f", abs),
    "mape_bridge_pct": Measure("Percentage error on bridge days, %", ".2f", abs),
    "skill_vs_naive": Measure("Skill against naive (1 is perfect)", ".3f", lambda value: 1 - value),
    "skill_vs_tso": Measure("Skill against the operator's forecast", ".3f", lambda value: 1 - value),
    "n": Measure("Intervals scored", ",d"),
    "origins": Measure("Origins (issue times)", ",d"),
    "fit_seconds": Measure("Fitting, CPU seconds", ",.1f"),
    "predict_seconds": Measure("Predicting, CPU seconds", ",.2f"),
}


def measure(key: str) -> Measure:
    """How a score is shown; one this table has not heard of keeps its key."""
    return MEASURES.get(key, Measure(key, ",.6g"))


def written(key: str, value: Score) -> str:
    """A score as text.

    >>> written("mae_mw", 1234.56)
    '1,234.6'
    """
    return NONE if value is None else format(value, measure(key).form)


def best(key: str, values: Mapping[str, Score]) -> set[str]:
    """The models whose score is the best, ties as written included; none where there is nothing to choose from.

    >>> sorted(best("bias_mw", {"a": -1.0, "b": 3.0, "c": 1.02}))
    ['a', 'c']
    """
    distance = measure(key).distance
    known = {model: value for model, value in values.items() if value is not None}
    if distance is None or len(known) < 2:
        return set()
    shown = {model: distance(float(written(key, value).replace(",", ""))) for model, value in known.items()}
    nearest = min(shown.values())
    winners = {model for model, each in shown.items() if each - nearest < 1e-9}
    return winners if len(winners) < len(known) else set()
