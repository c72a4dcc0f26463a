"""Energi Data Service (Energinet): real Danish load, without a key. Licence CC BY 4.0.

Three variables from three data sets. They measure different things, so they are never spliced; `load` comes unless
others are named:

- ``load``: hourly gross consumption of `GenerationProdTypeExchange`, about two hours late, revised in `VERSIONS`;
- ``load_realtime``: every five minutes, `scada_load` of `ElectricityProdex5MinRealtime`;
- ``load_settlement``: hourly settlement of `ProductionConsumptionSettlement`, eight days late, to score again by.

The service reports no publication time: it is assumed by rule. A value that changed is a new vintage once it is fetched
again, so the data set's ``Version`` is a note, not a part of ``source``. Times are asked for in the Danish local clock,
whose second 02:00 of October has no name: so whole days are asked for, one more at each end, and cut by the UTC column.

Sources: energidataservice.dk, API guide and metadata of the data sets; the names and delays as seen in public code.
"""

from __future__ import annotations

from gridcast.sources.energidata.adapter import Energidata
from gridcast.sources.energidata.datasets import DATASETS, Dataset, scada_load

__all__ = ["DATASETS", "Dataset", "Energidata", "scada_load"]
