"""The OpenAPI document and the app agree: schemathesis asks for what it describes, and for what it does not."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

import small_home

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is absent: it comes with the group `test`")
pytest.importorskip("fastapi", reason="the extra `api` is absent")
pytest.importorskip("onnxruntime", reason="the extra `api` is absent")

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
MOST = 1250 if LONG else 100
"""Cases an operation and way of making them."""
SEMANTIC = ("2xx", "404", "422", "503")
"""What a request may be answered that keeps the schema: an unknown zone, a history that will not do, stale data."""
OPERATIONS = [
    ("GET", "/v1/zones"),
    ("GET", "/v1/zones/{zone}/forecast"),
    ("GET", "/v1/zones/{zone}/explanation"),
    ("GET", "/v1/zones/{zone}/load"),
    ("GET", "/v1/zones/{zone}/scores"),
    ("GET", "/v1/zones/{zone}/drift"),
    ("GET", "/v1/zones/{zone}/quality"),
    ("GET", "/v1/models/champion"),
    ("POST", "/v1/forecast"),
    ("POST", "/predict"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
]
TAKES_ANYTHING = {"/v1/zones", "/v1/zones/{zone}/drift", "/health", "/ready", "/metrics"}


@pytest.fixture(scope="module")
def api():
    from small_site import made

    site = made(small_home.home(), allowed_hosts=("*",))
    checks = {
        "positive_data_acceptance": {"expected-statuses": list(SEMANTIC)},
        "negative_data_rejection": {"expected-statuses": ["4xx"]},
    }
    config = schemathesis.Config.from_dict({"checks": checks})
    yield schemathesis.openapi.from_asgi("/openapi.json", site.app, config=config)
    site.service.store.close()


def test_every_operation_that_is_described_is_tested_here(api):
    described = [(each.ok().method.upper(), each.ok().path) for each in api.get_all_operations()]
    assert sorted(described) == sorted(OPERATIONS)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_the_document_describes(api, method, path, mode, record_property):
    asked_for = []
    operation = api[path][method]
    if mode.is_negative and path in TAKES_ANYTHING:
        pytest.skip("it takes nothing that could be wrong")

    @settings(
        max_examples=MOST, deadline=None, derandomize=not LONG, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def asked(case):
        asked_for.append(case.call_and_validate().status_code)

    asked()
    record_property("cases", len(asked_for))
    record_property("failures", 0)


def test_what_one_answer_names_another_can_be_asked_for(api, record_property):
    """Chains of requests, each made from the answer before by the links of the document."""
    calls = []

    class Chains(api.as_state_machine()):
        def after_call(self, response, case):
            calls.append((case.operation.path, response.status_code))

    Chains.run(
        settings=settings(
            max_examples=200 if LONG else 15,
            stateful_step_count=6,
            deadline=None,
            derandomize=not LONG,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
    )
    record_property("cases", len(calls))
    chained = {path for path, status in calls if status == 200 and path.startswith("/v1/zones/")}
    assert len(chained) >= 3, calls
