"""Who asks a served gridcast, for Locust: a dashboard's visitors, traders, an engineer, and somebody hostile.

    locust --headless -f benchmarks/serving/locustfile.py --host http://127.0.0.1:8000 -u 20 -r 10 -t 60s

Every request goes by the name of its scenario. Works on any server that has DK_1 with a forecast.
"""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from typing import Any

from locust import FastHttpUser, between, constant, task
from locust.contrib.fasthttp import FastResponse, ResponseContextManager
from measuring import bodies

PATH = f"/v1/zones/{bodies.ZONE}"
DAYS = 35
JSON = {"Content-Type": "application/json"}
FILES = re.compile(r'(?:href|src)="(static/[^"]+)"')


class Visitor(FastHttpUser):
    """Opens the page: its files, then the calls that its script makes."""

    weight = 8
    wait_time = between(0.5, 2)

    @task
    def visit(self) -> None:
        """One visit."""
        page = self._get("/").text
        for file in sorted(set(FILES.findall(page or ""))):
            self._get(f"/{file}")
        (zone,) = (each for each in self._get("/v1/zones").json()["zones"] if each["zone"] == bodies.ZONE)
        day = date.fromisoformat(zone["last_forecast_day"])
        for path in ("/forecast", f"/forecast?delivery_day={day}", self._load(day), "/explanation", "/drift"):
            self._get(PATH + path)
        for path in (f"{PATH}/scores?days=28", f"{PATH}/quality?days=28", f"/v1/models/champion?zone={bodies.ZONE}"):
            self._get(path)

    def _load(self, day: date) -> str:
        return f"/load?start={day - timedelta(days=1)}T00:00:00Z&end={day + timedelta(days=1)}T00:00:00Z"

    def _get(self, path: str) -> FastResponse:
        return self.client.get(path, name="dashboard")


class Trader(FastHttpUser):
    """Polls the stored forecast, and says which one is known."""

    weight = 8
    wait_time = constant(0.2)
    known = ""

    @task
    def poll(self) -> None:
        """One look: the forecast at first, and after that only whether it is another."""
        headers = {"If-None-Match": self.known} if self.known else {}
        with self.client.get(f"{PATH}/forecast", headers=headers, name="trader", catch_response=True) as answer:
            if answer.status_code == 200:
                self.known = answer.headers["ETag"]
            elif answer.status_code != 304 or not self.known:
                answer.failure(f"answered {answer.status_code}")


class Engineer(FastHttpUser):
    """Posts a history of the server's own load, and the window of its own description."""

    fixed_count = 1
    wait_time = between(0.2, 1)

    def on_start(self) -> None:
        """Read what will be posted."""
        self.history = json.dumps(bodies.history(self._document, days=DAYS))
        self.window = json.dumps(bodies.window(self._document))

    @task
    def work(self) -> None:
        """A forecast on demand is a whole day, and the classic window gives 24 numbers."""
        with self._post("/v1/forecast", self.history, name="engineer's history") as answer:
            if answer.status_code != 200:
                answer.failure(f"answered {answer.status_code}: {answer.text}")
            elif not 23 <= len(answer.json()["intervals"]) <= 100:
                answer.failure("no day")

        with self._post("/predict", self.window, name="engineer's window") as answer:
            if answer.status_code != 200:
                answer.failure(f"answered {answer.status_code}: {answer.text}")
            elif len(answer.json()["predictions"]) != 24:
                answer.failure("no day")

    def _document(self, path: str) -> dict[str, Any]:
        return self.client.get(path, name="engineer's reading").json()

    def _post(self, path: str, body: str, *, name: str) -> ResponseContextManager:
        return self.client.post(path, data=body, headers=JSON, name=name, catch_response=True)


class Hostile(FastHttpUser):
    """Sends what must be refused: anything but a 4xx with a remedy is a failure."""

    weight = 3
    wait_time = between(0.1, 0.5)

    @task
    def unknown_zone(self) -> None:
        """A zone that there is not."""
        self._refused("GET", "/v1/zones/XX_9/forecast")

    @task
    def day_outside_the_horizon(self) -> None:
        """A day that nobody can forecast yet."""
        self._refused("GET", f"{PATH}/forecast?delivery_day=2099-01-01")

    @task
    def no_day(self) -> None:
        """A day that there is not."""
        self._refused("GET", f"{PATH}/forecast?delivery_day=2026-02-30")

    @task
    def nan(self) -> None:
        """A history with something that is no number."""
        cell = '{"valid_time": "2026-01-01T00:00:00Z", "value": NaN}'
        self._refused("POST", "/v1/forecast", f'{{"zone": "{bodies.ZONE}", "load": [{cell}]}}')

    @task
    def short_history(self) -> None:
        """A history of one hour."""
        cell = {"valid_time": "2026-01-01T00:00:00Z", "value": 2000}
        self._refused("POST", "/v1/forecast", json.dumps({"zone": bodies.ZONE, "load": [cell]}))

    @task
    def wrong_shape(self) -> None:
        """A window of 95 hours."""
        self._refused("POST", "/predict", json.dumps({"features": [[0.0] * 12] * 95}))

    @task
    def nan_in_a_window(self) -> None:
        """A window with something that is no number."""
        self._refused("POST", "/predict", '{"features": [[NaN]]}')

    def _refused(self, method: str, path: str, body: str | None = None) -> None:
        headers = {} if body is None else JSON
        with self.client.request(
            method, path, data=body, headers=headers, name="hostile", catch_response=True
        ) as answer:
            if 400 <= answer.status_code < 500 and answer.json().get("remedy"):
                answer.success()
            else:
                answer.failure(f"{method} {path} was answered {answer.status_code}")
