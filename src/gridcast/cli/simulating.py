"""The command that runs the grid simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app


@app.command()
def simulate(
    *,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1; 0 chooses a free one.")] = 8765,
    file: Annotated[
        Path | None, typer.Option("--file", help="Serve this CSV or Parquet as the load of --zone.")
    ] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Whose load --file holds.")] = None,
    faults: Annotated[str, typer.Option("--faults", help="Comma-separated names of faults, or `list`, or `all`.")] = "",
    fault_rate: Annotated[float, typer.Option("--fault-rate", min=0, max=1, help="Share of answers spoilt.")] = 0.2,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything random.")] = 1,
    clock: Annotated[
        str | None, typer.Option("--clock", help="Start a virtual clock at this instant, e.g. 2024-05-01T08:00:00Z.")
    ] = None,
    limits: Annotated[bool, typer.Option("--limits/--no-limits", help="Whether rate limits and bans hold.")] = True,
) -> None:
    """Run a grid simulator: ENTSO-E, Energi Data Service and Open-Meteo on this machine, with faults on demand."""
    from gridcast import simulate as grid
    from gridcast.errors import ConfigError

    names = options.listed(faults)
    if names == ("list",):
        for fault in grid.FAULTS.values():
            print(f"{fault.name}: {fault.sentence}")
        return
    if (file is None) != (zone is None):
        raise ConfigError("--file and --zone belong together", remedy="name the file and the zone whose load it holds")
    if file is not None and zone is not None:
        world = grid.World.of_file(file, zone=options.zone_of(zone), seed=seed)
    else:
        world = grid.World(seed=seed)
    grid.serve(
        world,
        port=port,
        clock=grid.VirtualClock(options.instant_of(clock, "--clock")) if clock else None,
        faults=grid.Faults(names, rate=fault_rate, seed=seed),
        limits=limits,
        ready=lambda url: print(
            f"gridcast simulate: {url}  (gridcast ingest --zone DK_1 --simulator {url})", flush=True
        ),
    )
