"""Commands that make forecasts: train, backtest, issue, explain, demo."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app
from gridcast.errors import ConfigError


@app.command(context_settings={"ignore_unknown_options": True})
def train(
    *,
    zone: options.ZoneOption,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="Hydra overrides, e.g. model=linear model.strength=2.")
    ] = None,
    snapshot: options.SnapshotOption = None,
    promote: Annotated[bool, typer.Option("--promote", help="Make it the zone's champion.")] = False,
    as_json: options.JsonOption = False,
    now: options.NowOption = None,
) -> None:
    """Fit a model on the store's data and register it; the first one of a zone becomes its champion.

    A snapshot is trained on as at its own as-of, unless --now says otherwise.
    """
    from gridcast import pipeline, settings
    from gridcast.cli import show

    where, at = options.zone_of(zone), options.instant_of(now)
    experiment = settings.compose([f"zone={where.code}", *(overrides or [])])
    if experiment.zone != where.code:
        raise ConfigError(
            f"--zone {where.code} and zone={experiment.zone} disagree", remedy="name the zone once, by --zone"
        )
    rows, sha256, as_of = options.data_of(where, snapshot=snapshot)
    found = pipeline.train_on(
        rows,
        options.open_registry(),
        sha256=sha256,
        zone=where,
        experiment=experiment,
        at=as_of if as_of and now is None else at,
        promote=promote,
    )
    show.registered(found, as_json=as_json)


@app.command()
def backtest(
    *,
    zone: options.ZoneOption,
    first: Annotated[str, typer.Option("--from", help="First delivery day, YYYY-MM-DD.")],
    last: Annotated[str, typer.Option("--to", help="Last delivery day, exclusive.")],
    file: Annotated[Path | None, typer.Option("--file", help="CSV or Parquet; without it, the store's data.")] = None,
    snapshot: options.SnapshotOption = None,
    models: options.ModelsOption = "champion,naive",
    task: options.TaskOption = "day_ahead",
    inputs: options.InputsOption = options.ALL_INPUTS,
    load_lag: Annotated[
        float | None,
        typer.Option("--load-lag", min=0, max=48, help="Hours until a file's load is public; 2 unless given."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31 - 1, help="Of everything random.")] = 0,
    as_json: options.JsonOption = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write every forecast to this .parquet or .csv.")] = None,
    scores: Annotated[
        Path | None,
        typer.Option("--scores", help="Write the scores without timings, the same at every run, to this .json."),
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write an HTML report.")] = None,
    force: options.ForceOption = False,
) -> None:
    """Replay the forecasts that would have been issued, and score them."""
    from gridcast import pipeline
    from gridcast.cli import show

    options.writable(out, "--out", endings=options.TABLES, force=force)
    options.writable(scores, "--scores", endings=options.DOCUMENTS, force=force)
    options.writable(report, "--report", endings=options.PAGES, force=force)
    if file is not None and snapshot is not None:
        raise ConfigError("--file and --snapshot both name the data", remedy="leave one of them out")
    if file is None and load_lag is not None:
        raise ConfigError(
            "--load-lag is for a file, whose publication is assumed; the store knows when its load was public",
            remedy="name a file with --file, or leave --load-lag out",
        )
    plan = pipeline.plan(
        options.zone_of(zone),
        first=options.day_of(first, "--from"),
        last=options.day_of(last, "--to"),
        task=task,
        inputs=options.listed(inputs),
        seed=seed,
    )
    recipes = pipeline.recipes(
        options.listed(models),
        champion=pipeline.champion_recipe(options.open_registry(), zone=plan.zone, task=plan.task),
    )
    if file is not None:
        lag = {} if load_lag is None else {"load_lag": timedelta(hours=load_lag)}
        observations, sha256 = pipeline.read_file(file, zone=plan.zone, fetched_at=options.instant_of(None), **lag)
    else:
        observations, sha256, _ = options.data_of(plan.zone, snapshot=snapshot)
    with options.progress_bar("replaying") as progress:
        result = pipeline.replay(plan, observations, recipes=recipes, progress=progress)
    if out is not None:
        show.write_table(result.forecasts(), out)
    if scores is not None:
        scores.write_text(show.timeless(show.scores_document(result, sha256=sha256)), encoding="utf-8", newline="\n")
    if report is not None:
        from gridcast import report as reports

        html = reports.render(
            zone=plan.zone,
            forecast=None,
            history=None,
            result=result,
            title=f"{plan.zone.code} backtest",
            labels=[],
            facts={"data": str(file or snapshot or "the store"), "data sha256": sha256},
        )
        report.write_text(html, encoding="utf-8")
    show.scores(result, sha256=sha256, as_json=as_json)


@app.command()
def issue(
    *,
    zone: options.ZoneOption,
    delivery_day: options.DeliveryDayOption = None,
    task: options.TaskOption = "day_ahead",
    output: options.FormatOption = options.Format.TABLE,
    members: Annotated[
        bool, typer.Option("--members", help="With a portfolio's members, so that they add up to it.")
    ] = False,
    now: options.NowOption = None,
) -> None:
    """Forecast a delivery day with the champion, store the forecast and print it."""
    from gridcast import pipeline
    from gridcast.cli import show

    where, at = options.zone_of(zone), options.instant_of(now)
    day = options.day_of(delivery_day, "--delivery-day") if delivery_day else None
    registry, parts = options.open_registry(), [options.zone_of(code) for code in where.members] if members else []
    with options.open_store() as store:
        if members:
            together = pipeline.issue_with_members(
                store, registry, zone=where, members=parts, task=task, delivery_day=day, now=at
            )
            show.forecasts(together, zones=[where, *parts], output=output.value)
            return
        issued = pipeline.issue_and_store(store, registry, zone=where, task=task, delivery_day=day, now=at)
    show.forecast(issued, zone=where, output=output.value)


@app.command()
def explain(
    *,
    zone: options.ZoneOption,
    delivery_day: options.DeliveryDayOption = None,
    task: options.TaskOption = "day_ahead",
    output: options.FormatOption = options.Format.TABLE,
    now: options.NowOption = None,
) -> None:
    """Say why the champion forecasts what it forecasts, in megawatt terms that sum to the median. Stores nothing."""
    from gridcast import pipeline
    from gridcast.cli import explained

    where, at = options.zone_of(zone), options.instant_of(now)
    day = options.day_of(delivery_day, "--delivery-day") if delivery_day else None
    with options.open_store() as store:
        found = pipeline.explain(store, options.open_registry(), zone=where, task=task, delivery_day=day, now=at)
    explained.explanation(found, zone=where, output=output.value)


@app.command()
def demo(
    *,
    report: Annotated[Path | None, typer.Option("--report", help="Where the HTML report goes.")] = None,
    force: options.ForceOption = False,
    as_json: options.JsonOption = False,
    now: options.NowOption = None,
) -> None:
    """Run the whole house on embedded synthetic data: ingest, train, backtest, issue, report. No key, no network."""
    from gridcast.cli import demonstration

    options.writable(report, "--report", endings=options.PAGES, force=force)
    demonstration.run(now=options.instant_of(now), html=report, as_json=as_json, progress=options.progress_bar)
