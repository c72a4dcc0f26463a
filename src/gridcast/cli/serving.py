"""The commands that serve: the service itself, and keys for it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gridcast.cli import options
from gridcast.cli.app import app
from gridcast.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from gridcast.api.guard import Options

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANY = ("0.0.0.0", "::")  # noqa: S104  # not bound here: names that stand for no host
KEYS_FILE = "GRIDCAST_API_KEYS_FILE"
DEMO = "served-demo"
"""The demo's own home, inside the user's."""
PREPARED, PREPARED_SECONDS = "prepared", 6 * 3600
"""A file in it that says by its date when it was last brought up to date, and how long that is recent enough."""
FIRST_LOOK_SECONDS = 10.0

KeysFileOption = Annotated[
    Path | None, typer.Option("--keys-file", envvar=KEYS_FILE, help="File of API keys; `gridcast key` adds to it.")
]


@app.command()
def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 chooses a free one.")] = 8000,
    workers: Annotated[int, typer.Option("--workers", min=1, max=64, help="Processes.")] = 1,
    demo: Annotated[bool, typer.Option("--demo", help="Serve synthetic data of DK_1 and DK_2.")] = False,
    keys_file: KeysFileOption = None,
    require_keys: Annotated[
        bool, typer.Option("--require-keys", help="Reads and forecasts need a key on loopback too.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None, typer.Option("--allowed-host", help="A name the service goes by; again for more.")
    ] = None,
    rate: Annotated[
        float, typer.Option("--rate", min=0, help="Requests a minute, client and worker; 0 for no limit.")
    ] = 1200.0,
    trusted_proxies: Annotated[
        str, typer.Option("--trusted-proxies", help="Addresses whose X-Forwarded-For is believed.")
    ] = "",
) -> None:
    """Serve forecasts and the dashboard over HTTP, until Ctrl-C or SIGTERM.

    On loopback, and in the demo, everybody may read and compute; elsewhere clients need a key. OpenTelemetry's
    variables, such as OTEL_EXPORTER_OTLP_ENDPOINT, turn traces on.
    """
    # A worker is one core's work; who wants more threads sets these before.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, "1")
    rules = _rules(
        host,
        keys_file=keys_file,
        open_reads=not require_keys and (demo or host in LOOPBACK),
        allowed_hosts=allowed_host or [],
        rate=rate,
    )
    _check_tracing()
    if demo:
        _serve_demo(rules, host=host, port=port, workers=workers, trusted_proxies=trusted_proxies)
        return
    from gridcast import settings

    found = settings.load()
    found.home.mkdir(parents=True, exist_ok=True)
    _run(
        rules,
        database_url=found.database_url.get_secret_value(),
        models=found.models_dir,
        zones_file=found.zones_file,
        host=host,
        port=port,
        workers=workers,
        trusted_proxies=trusted_proxies,
    )


@app.command()
def key(
    *,
    name: Annotated[str, typer.Option("--name", help="Whose it is: letters, digits, dots, dashes.")],
    scopes: Annotated[str, typer.Option("--scopes", help="Comma-separated, of read,forecast,operate.")] = "read",
    keys_file: KeysFileOption = None,
) -> None:
    """Make an API key: print it once on stdout, and add what the server needs to know of it to the keys file."""
    _require_extra()
    from gridcast.api.keys import Keys, Scope

    if keys_file is None:
        raise ConfigError("no keys file is named", remedy=f"name it with --keys-file, or in {KEYS_FILE}")
    wanted = options.listed(scopes)
    strange = [each for each in wanted if each not in list(Scope)]
    if strange or not wanted:
        raise ConfigError(
            f"there is no scope {', '.join(strange) or 'named'}", remedy=f"choose some of {', '.join(Scope)}"
        )
    secret, made = Keys.create(name, scopes=[Scope(each) for each in wanted])
    known = keys_file.read_bytes() if keys_file.exists() else b""
    text = known.decode("utf-8", errors="replace")  # what is no text is no line of keys either, and is refused as such
    text += "\n" * (text != "" and not text.endswith("\n")) + made.line + "\n"
    Keys.parse(text, where=str(keys_file))
    keys_file.touch(mode=0o600)
    with keys_file.open("ab") as file:
        file.write(text.encode()[len(known) :])
    print(secret)
    print(f"gridcast: the key of {name} is shown this once; {keys_file} has its hash", file=sys.stderr)


def _require_extra() -> None:
    from importlib.util import find_spec

    missing = [each for each in ("fastapi", "uvicorn", "prometheus_client", "onnxruntime") if find_spec(each) is None]
    if missing:
        raise MissingExtra(f"serving needs {', '.join(missing)}", remedy='pip install "gridcast[api]"', extra="api")


def _check_tracing() -> None:
    """Refuse before anything is prepared what every worker would refuse."""
    from gridcast.api.starting import traces_wanted

    traces_wanted(os.environ)


def _rules(host: str, *, keys_file: Path | None, open_reads: bool, allowed_hosts: list[str], rate: float) -> Options:
    _require_extra()
    from gridcast.api import guard
    from gridcast.api.keys import Keys, KeysFile

    keys = Keys() if keys_file is None else KeysFile(keys_file)
    if not open_reads and not keys:
        raise ConfigError(
            f"{host} is served to callers with a key only, and there is none",
            remedy="make one: gridcast key --name desk --scopes read,forecast --keys-file FILE, and name FILE here",
        )
    own = [] if host in (*LOOPBACK, *ANY) else [f"[{host}]" if ":" in host else host]
    hosts = (*guard.LOOPBACK, *own, *allowed_hosts)
    return guard.Options(allowed_hosts=hosts, keys=keys, open_reads=open_reads, rate=rate)


def _serve_demo(rules: Options, *, host: str, port: int, workers: int, trusted_proxies: str) -> None:
    import threading
    import time

    from gridcast import settings
    from gridcast.cli import preparing

    home = settings.load().home / DEMO
    done = home / PREPARED
    if not done.exists() or time.time() - done.stat().st_mtime > PREPARED_SECONDS:
        from gridcast.pipeline.clock import SystemClock

        if not done.exists():
            print("gridcast serve: preparing synthetic data of DK_1 and DK_2, once; half a minute", file=sys.stderr)
        with options.progress_bar("preparing the demo") as progress:
            preparing.prepare(home, now=SystemClock().now(), progress=progress)
        done.touch()
    threading.Thread(target=_keep, args=(home,), daemon=True).start()
    _run(
        rules,
        database_url=preparing.database_url(home),
        models=preparing.models(home),
        zones_file=None,
        host=host,
        port=port,
        workers=workers,
        trusted_proxies=trusted_proxies,
    )


def _keep(home: Path) -> None:
    """Keep the demo up to date for as long as the server runs."""
    import time

    time.sleep(FIRST_LOOK_SECONDS)
    from gridcast.cli import preparing
    from gridcast.pipeline.clock import SystemClock

    preparing.keep(home, clock=SystemClock())


def _run(
    rules: Options,
    *,
    database_url: str,
    models: Path,
    zones_file: Path | None,
    host: str,
    port: int,
    workers: int,
    trusted_proxies: str,
) -> None:
    from functools import partial
    from tempfile import TemporaryDirectory

    with TemporaryDirectory(prefix="gridcast-metrics-") as folder:
        if workers > 1:  # before the first import of prometheus_client, here and in every worker
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        from gridcast.api.server import run
        from gridcast.api.starting import application

        made = partial(application, database_url=database_url, models=models, zones_file=zones_file, options=rules)
        run(made, host=host, port=port, workers=workers, trusted_proxies=trusted_proxies)
