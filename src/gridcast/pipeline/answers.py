"""What leaves the service for a computed forecast: the same bytes whenever the same is asked of the same model.

The forecast log keeps them, and a replay makes them again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gridcast.pipeline import posted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from gridcast.models.classic_onnx import Classic
    from gridcast.pipeline.champions import Champion


def compact(document: Mapping[str, Any]) -> bytes:
    """A document as the shortest JSON in UTF-8, keys in their order.

    >>> compact({"unit": "MW", "value": 1.5})
    b'{"unit":"MW","value":1.5}'
    """
    return json.dumps(document, allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode()


def on_demand(asked: posted.Settled, *, champion: Champion) -> bytes:
    """The forecast of a posted history; see `posted.forecast` for the errors."""
    return compact(posted.forecast(asked, champion=champion))


def classic(features: ArrayLike, *, network: Classic) -> bytes:
    """The classic network's 24 hours after a window [96, 12]; see `Classic.predict` for the errors."""
    predictions = network.predict(features).tolist()
    return compact({"predictions": predictions, "unit": "MW", "model_version": network.version})
