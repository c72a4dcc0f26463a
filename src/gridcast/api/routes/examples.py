"""Answers as examples for OpenAPI: of the synthetic Denmark of the demo."""

from __future__ import annotations

QUANTILES = {
    "0.025": 1917.4,
    "0.05": 1935.5,
    "0.1": 1957.0,
    "0.25": 1986.2,
    "0.5": 2018.7,
    "0.75": 2053.4,
    "0.9": 2086.9,
    "0.95": 2107.6,
    "0.975": 2125.1,
}
_HEAD = {
    "zone": "DK_1",
    "issue_time": "2026-11-23T10:00:00Z",
    "unit": "MW",
    "resolution": "PT60M",
    "model_version": "20261025T153000Z-3bd2a990",
    "degraded": "",
}
FORECAST = {
    **_HEAD,
    "peak": {"valid_time": "2026-11-24T16:00:00Z", "value": 3205.5},
    "intervals": [{"valid_time": "2026-11-23T23:00:00Z", "quantiles": QUANTILES}],
    "day": {
        "peak_mw": {level: value + 1200 for level, value in QUANTILES.items()},
        "peak_hour": {"local": "17:00", "probability": 0.89, "by_hour": {"17:00": 0.89, "18:00": 0.11}},
        "energy_mwh": {level: 30 * value for level, value in QUANTILES.items()},
    },
}
EXPLANATION = {
    **_HEAD,
    "terms": ["typical", "calendar", "temperature", "recent_level"],
    "intervals": [
        {
            "valid_time": "2026-11-23T23:00:00Z",
            "local_time": "2026-11-24T00:00+01:00",
            "forecast_mw": 2018.5,
            "terms_mw": {"typical": 2300.0, "calendar": -350.0, "temperature": 60.0, "recent_level": 8.5},
        }
    ],
}
ZONES = {
    "zones": [
        {
            "zone": "DK_1",
            "name": "Western Denmark",
            "country": "DK",
            "market_tz": "Europe/Copenhagen",
            "local_tz": "Europe/Copenhagen",
            "latitude": 56.045,
            "longitude": 9.7576,
            "has_data": True,
            "has_forecast": True,
            "first_day": "2023-08-26",
            "last_day": "2026-11-23",
            "first_forecast_day": "2026-10-26",
            "last_forecast_day": "2026-11-24",
            "synthetic": True,
        }
    ]
}
LOAD = {
    "zone": "DK_1",
    "unit": "MW",
    "resolution": "PT60M",
    "tso_basis": "none",
    "intervals": [{"valid_time": "2026-11-23T03:00:00Z", "load": 1887.8, "tso": None}],
}
_SCORE = {
    "n": 24,
    "mae_mw": 35.9,
    "mape_pct": 1.78,
    "naive_mae_mw": 175.8,
    "tso_mae_mw": None,
    "coverage_80_pct": 83.3,
}
SCORES = {
    "zone": "DK_1",
    "unit": "MW",
    "days": [{"delivery_day": "2026-11-21", **_SCORE}],
    "mean": _SCORE,
}
QUALITY = {
    "zone": "DK_1",
    "newest_load": "2026-11-23T12:00:00Z",
    "data_age_hours": 2.5,
    "resolution": "PT60M",
    "days": [{"day": "2026-11-22", "due": 24, "known": 24, "in_quarantine": 0}],
}
DRIFT = {
    "zone": "DK_1",
    "unit": "MW",
    "recent_days": 7,
    "usual_days": 28,
    "bias_mw": -7.1,
    "usual_bias_mw": 1.3,
    "mae_mw": 35.3,
    "usual_mae_mw": 38.0,
    "coverage_80_pct": 81.0,
    "usual_coverage_80_pct": 80.2,
    "ratio": 0.929,
}
CARD = {
    "zone": "DK_1",
    "task": "day_ahead",
    "version": "20261025T153000Z-3bd2a990",
    "model": "ensemble",
    "parameters": {"members": ["linear", "boosted"], "weights": [0.3, 0.7]},
    "trained_at": "2026-10-25T15:30:00Z",
    "first_day": "2023-08-26",
    "last_day": "2026-10-25",
    "inputs": ["load", "calendar", "weather"],
    "unit": "MW",
    "resolution": "PT60M",
    "weather_basis": "forecast",
    "tso_basis": "none",
    "usual_load_mw": 2301.2,
    "data_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "manifest_sha256": "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752",
    "gridcast": "0.1.0",
    "canary": "matches",
}
READY = {
    "ready": True,
    "model_version": "20261025T153000Z-3bd2a990",
    "canary": "matches",
    "data_age_hours": 2.5,
    "checks": [{"check": "canary DK_1", "ok": True, "detail": "as it should be"}],
    "notices": [],
}
PREDICTIONS = {"predictions": [2018.7] * 24, "unit": "MW", "model_version": "conv1d_classic-01234567"}
HISTORY = {
    "zone": "DK_1",
    "load": [
        {"valid_time": "2026-10-26T10:00:00Z", "value": 2391.7},
        {"valid_time": "2026-10-26T11:00:00Z", "value": 2377.0},
    ],
    "temperature": [{"valid_time": "2026-10-26T10:00:00Z", "value": 8.4}],
}
