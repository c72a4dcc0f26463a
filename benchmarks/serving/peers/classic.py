"""The classic project's server: its network in torch, loaded at import, asked in FastAPI's threads.

``CLASSIC_THREADS`` is how many threads torch may use; without it torch decides.
"""

from __future__ import annotations

import os

import torch
from fastapi import FastAPI
from pydantic import BaseModel

from gridcast.models import conv1d_classic

if "CLASSIC_THREADS" in os.environ:
    torch.set_num_threads(int(os.environ["CLASSIC_THREADS"]))
network = conv1d_classic.build()
network.eval()
app = FastAPI()


class Window(BaseModel):
    """96 hours of 12 features."""

    features: list[list[float]]


@app.get("/")
async def alive() -> dict[str, bool]:
    """Whether the network is loaded."""
    return {"ok": True}


@app.post("/predict")
def predict(window: Window) -> dict[str, list[float]]:
    """The 24 hours that follow."""
    features = torch.tensor(window.features, dtype=torch.float32).unsqueeze(0)
    with torch.no_grad():
        return {"predictions": network(features).squeeze(0).tolist()}
