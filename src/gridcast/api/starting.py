"""How a worker makes its app, from values that can be sent to another process; nothing heavy is loaded before."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gridcast.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from gridcast.api.guard import App, Options

_TRACING = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


def application(*, database_url: str, models: Path, zones_file: Path | None, options: Options) -> App:
    """The app of one worker, traced where the environment asks for it.

    Raises:
        StoreError: the database cannot be opened.
        ConfigError: the zones file is wrong; or see `traces_wanted`.
    """
    from gridcast.api.app import create_app
    from gridcast.pipeline.clock import SystemClock
    from gridcast.pipeline.serving import Service
    from gridcast.registry import Registry
    from gridcast.store.database import Store

    store, registry = Store(database_url), Registry(models)
    if not traces_wanted(os.environ):
        service = Service(store=store, registry=registry, clock=SystemClock(), zones_file=zones_file)
        return create_app(service=service, options=options)
    from gridcast.api.tracing import Traces

    traces = Traces()
    service = traces.service(store=store, registry=registry, clock=SystemClock(), zones_file=zones_file)
    return traces.around(create_app(service=service, options=options))


def traces_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces: an endpoint is named, or ``OTEL_TRACES_EXPORTER`` is otlp.

    Raises:
        ConfigError: they ask for what cannot be done here: another exporter or protocol, no address.
        MissingExtra: the extra ``tracing`` is not installed.
    """

    def said(*names: str) -> str:
        return next((environment[name].strip() for name in names if environment.get(name, "").strip()), "")

    exporter = said("OTEL_TRACES_EXPORTER").lower()
    endpoint = said("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    if exporter == "none" or said("OTEL_SDK_DISABLED").lower() == "true" or not (exporter or endpoint):
        return False
    if exporter not in ("", "otlp"):
        raise ConfigError(f"OTEL_TRACES_EXPORTER is {exporter}", remedy="set it to otlp or none")
    protocol = said("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL") or "http/protobuf"
    if protocol != "http/protobuf":
        raise ConfigError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol}", remedy="leave it out, or set it to http/protobuf"
        )
    if endpoint and not endpoint.startswith(("http://", "https://")):
        raise ConfigError(  # which may have a password in it
            "OTEL_EXPORTER_OTLP_ENDPOINT is no address", remedy="write it as http://127.0.0.1:4318"
        )
    missing = [each for each in _TRACING if not _there(each)]
    if missing:
        raise MissingExtra(
            f"the environment asks for traces, which need {', '.join(missing)}",
            remedy='pip install "gridcast[tracing]", or set OTEL_TRACES_EXPORTER=none',
            extra="tracing",
        )
    return True


def _there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
