"""Open-Meteo: the weather of a zone as it was forecast, by the run that was really known, and as it was observed.

A zone's weather is the weighted mean of its ``weather_points``, hour by hour; where a point is missing, the hour is.
One model is pinned: the service's own mixture changes over the years without notice. Which of its services is honest
for which interval is decided in `requests.plan`:

- from the present hour on: the forecast service, newest run (``openmeteo:forecast:MODEL``);
- past delivery days and the one under way: the single run that was out at the zone's issue time
  (``openmeteo:single-runs:MODEL``), one request a day;
- before that archive begins, or where ``archive="previous-runs"`` asks for it: the newest run at least two days old,
  and the one at least a day old for the hours where it was out at the issue time (``openmeteo:previous-runs:MODEL``);
- before that: nothing. The stitched archives are no forecasts; a reanalysis is served under names that end in
  ``_observed`` (``openmeteo:archive:era5``), and only if they are asked for.

What a year costs in calls (limit of the free service: 10,000 a day): for DK_1, 6 points and 5 variables, single runs
365 x 6 = 2,190, previous runs with both leads 157, reanalysis 79. Data CC BY 4.0; the free service is for
non-commercial use only, a key leads to the customer hosts.
"""

from __future__ import annotations

from gridcast.sources.openmeteo.adapter import OpenMeteo
from gridcast.sources.openmeteo.models import MODELS, VARIABLES, Model, Variable

__all__ = ["MODELS", "VARIABLES", "Model", "OpenMeteo", "Variable"]
