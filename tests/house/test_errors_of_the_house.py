"""Errors form one tree, carry their facts and end with the remedy."""

from __future__ import annotations

import inspect
import pickle

import pytest

from gridcast import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__]


def test_there_are_errors_to_check():
    assert len(CLASSES) > 10


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_of_the_tree_and_says_what_to_do_last(kind):
    error = kind("the file of DK_1 is empty", remedy="fetch it again", where="DK_1.csv")

    assert isinstance(error, errors.GridcastError)
    assert str(error).startswith("the file of DK_1 is empty")
    assert str(error).endswith("fetch it again")
    assert "\n" not in str(error)
    assert error.where == "DK_1.csv"


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_the_way_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("what", remedy="do this", zone="DK_1")))

    assert type(error) is kind
    assert (str(error), error.zone) == ("what: do this", "DK_1")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_stands_in_the_tree_of_the_module_docstring(kind):
    assert kind.__name__ in (errors.__doc__ or "")


def test_a_fact_that_an_error_lacks_is_an_attribute_error():
    with pytest.raises(AttributeError):
        _ = errors.GridcastError("what", remedy="do this").zone
