"""The least that FastAPI can be asked for."""

from __future__ import annotations

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def echo() -> dict[str, bool]:
    """The same words, always."""
    return {"ok": True}
