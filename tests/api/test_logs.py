"""The log is one line of JSON each, and never in the way."""

from __future__ import annotations

import io
import json
import logging
import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from gridcast.api import logs


class Stuck(io.StringIO):
    """A pipe that nobody reads, until somebody does."""

    def __init__(self) -> None:
        super().__init__()
        self.freed = threading.Event()

    def write(self, text: str) -> int:
        self.freed.wait()
        return super().write(text)


def record(message: object, *arguments: object) -> logging.LogRecord:
    return logging.LogRecord("gridcast.api", logging.INFO, "file.py", 1, message, arguments, None)


@given(st.text(st.characters()), st.text(st.characters(), max_size=250))
def test_whatever_is_logged_is_one_line_and_comes_back(path, word):
    for message in ({"event": "request", "path": path}, "%s"):
        line = logs.Lines().format(record(message, *([word] if message == "%s" else [])))
        assert line.isascii()
        assert "\n" not in line
        found = json.loads(line)
        assert found["path" if isinstance(message, dict) else "message"] == (
            path if isinstance(message, dict) else word
        )


def test_an_exception_is_named_and_placed_without_its_words():
    try:
        raise RuntimeError("password=hunter2")
    except RuntimeError as error:
        line = logs.Lines().format(
            logging.LogRecord("uvicorn.error", 40, "f", 1, "failed", (), (type(error), error, error.__traceback__))
        )
    assert json.loads(line)["error"].startswith("RuntimeError at test_logs.py:")
    assert "hunter2" not in line


def test_lines_reach_the_stream_and_the_loggers_are_left_as_they_were():
    stream, before = io.StringIO(), (logs.LOGGER.handlers[:], logs.LOGGER.propagate, logs.LOGGER.level)
    with logs.to(stream):
        logs.LOGGER.info({"event": "request", "status": 200})
        logging.getLogger("uvicorn.error").warning("a client's own fault")
        logging.getLogger("uvicorn.error").error("ours")
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [("info", "request"), ("error", "log")]
    assert (logs.LOGGER.handlers[:], logs.LOGGER.propagate, logs.LOGGER.level) == before


def test_a_reader_that_does_not_read_stops_nothing_and_what_is_lost_is_counted():
    stream = Stuck()
    handler = logs.Beside(stream, most=10, every=0.01)
    handler.setFormatter(logs.Lines())
    handler.emit(record({"n": -1}))
    time.sleep(0.1)
    began = time.perf_counter()
    for number in range(1000):
        handler.emit(record({"n": number}))
    assert time.perf_counter() - began < 10
    stream.freed.set()
    handler.close()
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["n"] for line in lines if "n" in line] == list(range(-1, 10))
    assert [line["count"] for line in lines if "count" in line] == [990]


def test_a_closed_stream_is_no_failure():
    stream = io.StringIO()
    handler = logs.Beside(stream, every=0.01)
    handler.setFormatter(logs.Lines())
    stream.close()
    handler.emit(record({"n": 1}))
    handler.close()
