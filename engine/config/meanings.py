"""Reads what each setting means from the docstring below its field, where it is written once.

`looptop config`, the form of a new run and the documentation all show these texts.
"""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import sys

from msgspec import Struct


def meanings(table: type[Struct]) -> dict[str, str]:
    """The docstrings of a table's settings by name, each in one line, those of inherited settings included."""
    texts: dict[str, str] = {}
    for base in reversed(table.__mro__):
        texts |= _of_module(base.__module__).get(base.__name__, {})
    return texts


@functools.cache
def _of_module(name: str) -> dict[str, dict[str, str]]:
    """The docstrings of the fields of each class of a module."""
    if not name.startswith("looptop."):
        return {}
    tree = ast.parse(inspect.getsource(sys.modules[name]))
    return {each.name: _of_class(each) for each in tree.body if isinstance(each, ast.ClassDef)}


def _of_class(body: ast.ClassDef) -> dict[str, str]:
    return {
        field.target.id: " ".join(below.value.value.split())
        for field, below in itertools.pairwise(body.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
