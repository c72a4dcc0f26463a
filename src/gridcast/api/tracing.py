"""Traces for OpenTelemetry: a span a request, and one in it for a forecast on demand, sent beside the service.

An allow-list says what leaves: method, scheme, route, path (of a request that found a route), status, the request id of
the log, a zone's code, the class of an error. No header, query, body or address, and no words of an error. Needs the
extra ``tracing``; `starting.traces_wanted` says whether the environment asks for it, and the exporter reads the rest of
OpenTelemetry's variables by itself.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import MutableMapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gridcast.api import logs
from gridcast.pipeline.serving import Service

if TYPE_CHECKING:
    from gridcast.api.guard import App, Headers, Message, Receive, Send
    from gridcast.pipeline.champions import Champion
    from gridcast.pipeline.posted import Posted
    from gridcast.registry import Registry
    from gridcast.sources.fetched import Clock
    from gridcast.store.database import Store
    from gridcast.store.journal import Entry

STOP_SECONDS = 1.5
"""For the last spans to be sent when the service stops."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_OTHER = "_OTHER"
"""OpenTelemetry's name for a method that is not one of HTTP's own."""


class Traces:
    """The spans of one worker: collected in memory, sent by a thread in batches, and lost where nobody takes them."""

    def __init__(self) -> None:
        own = Resource({SERVICE_NAME: "gridcast", SERVICE_VERSION: version("gridcast")})
        resource = Resource.create(own.merge(OTELResourceDetector().detect()).attributes)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(_Telling(OTLPSpanExporter())))
        self._tracer = self._provider.get_tracer("gridcast", version("gridcast"))
        # It would tell of a collector that is down in lines of its own, with the collector's address; `_Telling` does.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def around(self, app: App) -> App:
        """The app with a span around each request; at the end of its lifespan what waits is sent."""
        return _Traced(app, traces=self, tracer=self._tracer)

    def service(self, *, store: Store, registry: Registry, clock: Clock, zones_file: Path | None = None) -> Service:
        """A `Service` with a span around each forecast on demand."""
        return _Service(tracer=self._tracer, store=store, registry=registry, clock=clock, zones_file=zones_file)

    def close(self) -> None:
        """Send what waits, for at most `STOP_SECONDS`."""
        last = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        last.start()
        last.join(STOP_SECONDS)


class _Traced:
    """The layer around the guard, so that what the guard refuses has a span too."""

    def __init__(self, app: App, *, traces: Traces, tracer: trace.Tracer) -> None:
        self._app = app
        self._traces = traces
        self._tracer = tracer

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def last(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await asyncio.to_thread(self._traces.close)
            await send(message)

        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        else:
            await self._app(scope, receive, last)

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        name = "HTTP" if method == _OTHER else method
        span = self._tracer.start_span(
            name,
            context=_parent(scope["headers"]),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "url.scheme": scope["scheme"]},
        )
        error = "disconnected"  # unless an answer begins

        async def seen(message: Message) -> None:
            nonlocal error
            if message["type"] == "http.response.start":
                status = message["status"]
                error = str(status) if status >= 500 else ""
                span.set_attribute("http.response.status_code", status)
                for header, value in message["headers"]:
                    if header == b"x-request-id":
                        span.set_attribute("gridcast.request_id", value.decode("latin-1"))
            await send(message)

        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                await self._app(scope, receive, seen)
            finally:
                route = getattr(scope.get("route"), "path", "")
                if route:
                    span.update_name(f"{name} {route}")
                    span.set_attributes({"http.route": route, "url.path": scope["path"]})
                if error:
                    span.set_attribute("error.type", error)
                    span.set_status(StatusCode.ERROR)


class _Service(Service):
    def __init__(
        self, *, tracer: trace.Tracer, store: Store, registry: Registry, clock: Clock, zones_file: Path | None
    ) -> None:
        super().__init__(store=store, registry=registry, clock=clock, zones_file=zones_file)
        self._tracer = tracer

    def on_demand(self, asked: Posted, *, champion: Champion | None) -> Entry:
        with self._tracer.start_as_current_span(
            "forecast",
            attributes={"gridcast.zone": asked.zone.code},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return super().on_demand(asked, champion=champion)
            except Exception as error:
                span.set_attribute("error.type", type(error).__name__)
                raise


class _Telling(SpanExporter):  # type: ignore[misc, unused-ignore]
    """Says in the log when spans begin to get lost, and when they no longer do: two lines, however many there are."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._exporter.export(spans)
        except Exception:
            result = SpanExportResult.FAILURE
        lost = result is not SpanExportResult.SUCCESS
        if lost != self._lost:
            level, event = (logging.WARNING, "traces are lost") if lost else (logging.INFO, "traces are sent again")
            logs.LOGGER.log(level, {"event": event, "spans": len(spans)})
        self._lost = lost
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _parent(headers: Headers) -> Context:
    """What a request says of the trace that it is a part of; W3C's two headers, and nothing of ours."""
    carrier = {
        name: ",".join(value.decode("latin-1") for header, value in headers if header == name.encode())
        for name in ("traceparent", "tracestate")
    }
    return TraceContextTextMapPropagator().extract({k: v for k, v in carrier.items() if v}, context=Context())
