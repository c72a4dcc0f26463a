"""The champions, loaded once and verified: what a service forecasts with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridcast.contracts import INPUTS
from gridcast.market.zones import BiddingZone
from gridcast.pipeline import canary
from gridcast.pipeline.documents import iso, stamp
from gridcast.pipeline.forecasting import Trained
from gridcast.pipeline.operations import restored
from gridcast.registry import Manifest, Registry, Version


@dataclass(frozen=True, eq=False)
class Champion:
    """A model in memory, as its manifest has it; ``fault`` says why its canary is not sound, or is empty."""

    version: Version
    manifest: Manifest
    trained: Trained
    fault: str

    @property
    def level(self) -> float | None:
        """The usual load of the zone when it was trained, MW; None where nobody wrote it down."""
        recorded = self.manifest.details.metrics.get(canary.KEY) or {}
        return recorded.get("level_mw")

    @classmethod
    def load(cls, registry: Registry, version: Version, *, zone: BiddingZone) -> Champion:
        """Read a version, every file of it verified, and ask its canary.

        Raises:
            ModelNotFound: no such version.
            ArtifactMismatch: a file is missing, changed or not of the version.
            UnknownModel, MissingExtra: the model's code or library is not installed.
        """
        trained, manifest = restored(registry, version, zone=zone)
        return cls(version, manifest, trained, canary.fault(trained, manifest.details.metrics.get(canary.KEY)))

    def card(self, *, manifest_sha256: str) -> dict[str, Any]:
        """The model card as JSON: what it is, on what it was trained, how it is known again."""
        manifest, details = self.manifest, self.manifest.details
        return {
            "zone": manifest.zone,
            "task": manifest.task,
            "version": self.version.id,
            "model": manifest.model,
            "parameters": dict(manifest.parameters),
            "trained_at": stamp(manifest.trained_at),
            "first_day": details.first_day.isoformat(),
            "last_day": details.last_day.isoformat(),
            "inputs": [name for name in INPUTS if name in details.inputs],
            "unit": "MW",
            "resolution": iso(details.resolution),
            "weather_basis": details.weather_basis,
            "tso_basis": details.tso_basis,
            "usual_load_mw": self.level,
            "data_sha256": details.data_sha256,
            "manifest_sha256": manifest_sha256,
            "gridcast": manifest.gridcast,
            "canary": self.fault or "matches",
        }
