"""The sentences that stand under the fields of the settings, for help texts.

pydantic can take them up itself (`use_attribute_docstrings`), but does so at import: each start of a bridge would
wait for the parsing of sources whose sentences nobody reads.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import textwrap
from collections.abc import Mapping
from functools import cache


@cache
def sentences_of(kind: type) -> Mapping[str, str]:
    """Return the docstring under each field of a class and of those it is derived from, by the field's name.

    Empty where there are no sources.
    """
    found: dict[str, str] = {}
    for one in reversed(kind.__mro__):
        try:
            source = textwrap.dedent(inspect.getsource(one))
        except (OSError, TypeError):
            continue  # A class of the interpreter, or an installation without sources.
        found.update(_under_fields(source))
    return found


def _under_fields(source: str) -> Mapping[str, str]:
    tree = ast.parse(source).body[0]
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for field, below in itertools.pairwise(body):
        if not (isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)):
            continue
        match below:
            case ast.Expr(ast.Constant(str(sentence))):
                found[field.target.id] = inspect.cleandoc(sentence)
            case _:
                pass
    return found
