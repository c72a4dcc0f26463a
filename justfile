# Every check has one name here, and continuous integration runs the same ones.

python := ".venv/bin/python"
export OMP_NUM_THREADS := "1"

# what to run before a commit
default: lint types layers test

# a virtual environment with everything but the deep extra
install:
    python3 -m venv .venv
    {{python}} -m pip install -q -U pip
    {{python}} -m pip install -q -e ".[api,pandas,postgres,versioning]" --group dev
    .venv/bin/pre-commit install

# the network models too: on Linux choose a CPU build of torch first, or gigabytes of CUDA come along
install-deep:
    {{python}} -m pip install -q -e ".[deep]"

lint:
    .venv/bin/ruff check .
    .venv/bin/ruff format --check .
    .venv/bin/codespell

format:
    .venv/bin/ruff check --fix-only .
    .venv/bin/ruff format .

types:
    .venv/bin/mypy

layers:
    .venv/bin/lint-imports

test *options:
    {{python}} -m pytest -q {{options}}

# tests that need torch
deep:
    {{python}} -m pytest -q -m deep

coverage:
    {{python}} -m pytest -q --cov --cov-report=term --cov-report=html

# the figures of the README and the docs
bench:
    {{python}} benchmarks/faults.py --out docs/faults.md
    {{python}} benchmarks/parsing.py --out docs/benchmarks/parsing.md
    {{python}} benchmarks/speed.py --install --out docs/benchmarks/speed.md
    {{python}} benchmarks/accuracy --out docs/benchmarks
    {{python}} benchmarks/serving --out docs/benchmarks/serving.md

drills := "tests/api tests/cli/test_serve.py tests/pipeline/test_replaying.py tests/store/test_journal_writers.py"

# what tries to break the service: schemathesis, hostile numbers, trickling clients, stops, kills, swaps, replays
drills:
    PYTEST_ADDOPTS="-n 2 --dist worksteal" {{python}} benchmarks/reliability.py --out docs/benchmarks/drills.md \
        --title "Drills of the service" {{drills}}

# the README's picture
picture:
    {{python}} benchmarks/picture.py docs/fan.png

# every lane that takes minutes; commits what the benchmarks measured, with the commit they measured
long:
    PYTEST_ADDOPTS="-n 2 --dist worksteal --ignore={{replace(drills, ' ', ' --ignore=')}}" \
        {{python}} benchmarks/reliability.py --out docs/benchmarks/reliability.md
    just drills
    just bench
    git add docs/benchmarks docs/faults.md
    git diff --cached --quiet docs || git commit -q -m "Benchmarks measured at $(git rev-parse --short HEAD)" docs

# versions and hashes that a deployment installs; torch's differ by machine, so deep stays out
lock:
    .venv/bin/uv pip compile -q pyproject.toml --python {{python}} --universal --generate-hashes --upgrade \
        --extra api --extra pandas --extra postgres --extra tracing --group test \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock
