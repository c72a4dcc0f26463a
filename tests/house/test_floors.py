"""What a linter cannot see: no clock and no environment below floor 6, our own errors only, short signatures."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "gridcast"
FILES = {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}
FLOOR_6_AND_UP = {
    "settings",
    "tracking",
    "report",
    "pipeline",
    "cli",
    "api",
    "simulate",
    "client",
    "__init__",
    "__main__",
}
BELOW_FLOOR_6 = {
    name: file for name, file in FILES.items() if name.removesuffix(".py").split("/")[0] not in FLOOR_6_AND_UP
}
MOST_POSITIONAL = 2
FOREIGN_ERRORS = {"Exception", "KeyError", "NotImplementedError", "OSError", "RuntimeError", "TypeError", "ValueError"}

WORLD = {
    "datetime": {"now", "today", "utcnow"},
    "date": {"today"},
    "time": {"localtime", "time", "time_ns"},
    "os": {"environ", "getenv"},
}


def questions_to_the_world(source: str) -> list[str]:
    """Where the code asks for the present instant or the environment, as ``line: expression``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value).split(".")[-1]
            if node.attr in WORLD.get(owner, set()):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "time"):
            found += [f"{node.lineno}: {name.name}" for name in node.names if name.name in WORLD[node.module]]
    return found


def foreign_errors(source: str) -> list[str]:
    """Where the code raises an error that is not of the house, as ``line: error``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            if isinstance(error, ast.Name) and error.id in FOREIGN_ERRORS:
                found.append(f"{node.lineno}: {error.id}")
    return found


def crowded_signatures(source: str) -> list[str]:
    """Public functions and methods that take more than two parameters by position, as ``line: name``."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
            if len(names) - (names[:1] in (["self"], ["cls"])) > MOST_POSITIONAL:
                found.append(f"{node.lineno}: {node.name}")
    return found


@pytest.mark.parametrize("name", BELOW_FLOOR_6)
def test_no_module_below_floor_6_asks_for_the_time_or_the_environment(name):
    assert questions_to_the_world(BELOW_FLOOR_6[name].read_text("utf-8")) == []


@pytest.mark.parametrize("name", FILES)
def test_only_errors_of_the_house_are_raised(name):
    assert foreign_errors(FILES[name].read_text("utf-8")) == []


@pytest.mark.parametrize("name", FILES)
def test_no_public_function_takes_more_than_two_parameters_by_position(name):
    assert crowded_signatures(FILES[name].read_text("utf-8")) == []


@pytest.mark.parametrize(
    "line",
    [
        "datetime.now(UTC)",
        "datetime.datetime.utcnow()",
        "date.today()",
        "time.time()",
        "os.environ['A']",
        "os.getenv('A')",
    ],
)
def test_a_question_to_the_world_is_recognised(line):
    assert len(questions_to_the_world(line)) == 1


def test_a_clock_time_and_a_duration_are_no_questions_to_the_world():
    assert questions_to_the_world("time(11); zone.issue_time.hour; perf_counter(); frame.dt.time()") == []


def test_a_foreign_error_is_recognised_and_a_passed_on_one_is_not():
    assert foreign_errors("raise ValueError('no')") == ["1: ValueError"]
    assert foreign_errors("try:\n    f()\nexcept ValueError:\n    raise") == []


def test_a_crowded_signature_is_recognised():
    assert crowded_signatures("def f(a, b, c): ...") == ["1: f"]
    assert crowded_signatures("class A:\n    def f(self, a, b, *, c): ...\n    def _g(self, a, b, c): ...") == []
