"""What the dashboard is made of: own files, named licences, nothing inline, nobody else's host."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import gridcast

DASHBOARD = Path(gridcast.__file__).parent / "api" / "dashboard"
STATIC = DASHBOARD / "static"
VENDOR = STATIC / "vendor"
PAGE = (DASHBOARD / "index.html").read_text(encoding="utf-8")
OWN = sorted([DASHBOARD / "index.html", *(path for path in STATIC.iterdir() if path.is_file())])


def test_the_page_has_no_inline_script_style_or_handler():
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", PAGE)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", PAGE))


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_no_file_names_another_host(path):
    hosts = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", path.read_text(encoding="utf-8")))
    assert hosts <= {"http://www.w3.org"}


@pytest.mark.parametrize("path", [path for path in OWN if path.suffix == ".js"], ids=lambda path: path.name)
def test_no_script_makes_markup_of_text_or_code_of_strings(path):
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function",
        path.read_text(encoding="utf-8"),
    )


def test_every_reference_of_the_page_is_a_file():
    named = re.findall(r'(?:href|src)="(static/[^"]+)"', PAGE)
    assert len(named) > 10
    assert [name for name in named if not (DASHBOARD / name).is_file()] == []


def test_every_module_is_loaded_ahead_so_that_none_waits_for_another():
    modules = {name for path in OWN if path.suffix == ".js" for name in re.findall(r'from "\./(.+)"', path.read_text())}
    assert modules == set(re.findall(r'rel="modulepreload" href="static/([^"]+)"', PAGE))


def test_every_vendored_file_is_the_one_that_the_notice_names_and_has_its_licence():
    named = dict(re.findall(r"^ {2}(\S+)\s+([0-9a-f]{64})$", (VENDOR / "NOTICE.txt").read_text(), flags=re.MULTILINE))
    carried = [path for path in VENDOR.rglob("*") if path.is_file() and path.name not in ("LICENSE", "NOTICE.txt")]
    found = {str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest() for path in carried}
    assert found == named
    assert all((folder / "LICENSE").stat().st_size > 500 for folder in VENDOR.iterdir() if folder.is_dir())
