"""From a table of a recipe to the arguments of a class, checked against the class's own signature.

The signature is the schema: a class that registers can be named in a recipe at once, and its arguments are documented
in one place.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from opnet.core.errors import RecipeError
from opnet.core.registry import KINDS, lookup, names


def check_arguments(
    target: Callable[..., Any],
    table: Mapping[str, Any],
    where: str,
    given: Collection[str] = (),
    siblings: Collection[str] = (),
) -> dict[str, Any]:
    """The arguments in `table` with the types `target` declares, defaults filled in.

    Where `target` declares a class of which registered ones are kinds, as `initial: RandomField`, the recipe gives a
    table, `initial = { class = "RBFField", length = 0.2 }`.

    Args:
        target: a class or function whose parameters are annotated.
        table: what the recipe says.
        where: file and section, opening every message.
        given: parameters that do not come from the recipe.
        siblings: keys the same table may have besides, to be named where a key is unknown.

    Raises:
        RecipeError: for an unknown, missing or wrongly typed key.
    """
    function = target.__init__ if inspect.isclass(target) else target
    hints = get_type_hints(function)
    fields: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, parameter in inspect.signature(target).parameters.items():
        if name in given:
            continue
        hint, stands = hints.get(name, Any), name in table
        choices = _choices(hint) if stands else {}
        if choices and (isinstance(table[name], Mapping) or _is_abstract(hint)):
            values[name] = _value(choices, table[name], f"{where}{name}")
        elif stands or name not in _made_anew(target):
            default = ... if parameter.default is inspect.Parameter.empty else parameter.default
            fields[name] = (hint, default)
    schema = create_model("Arguments", __config__=_STRICT, **fields)
    rest = {name: entry for name, entry in table.items() if name not in values}
    checked = validate(schema, rest, where, (*siblings, *values))
    return {name: getattr(checked, name) for name in fields} | values


def _made_anew(target: Any) -> set[str]:
    """Fields whose default is made for each object, which the signature does not show."""
    if not dataclasses.is_dataclass(target):
        return set()
    return {f.name for f in dataclasses.fields(target) if f.default_factory is not dataclasses.MISSING}


def _choices(annotation: Any) -> dict[str, type]:
    """The registered classes that fit an annotation, by name."""
    wanted = [kind for kind in _types_in(annotation) if _is_abstract(kind)]
    entries = {name: lookup(kind, name) for kind in KINDS for name in names(kind)} if wanted else {}
    return {n: entry for n, entry in entries.items() if inspect.isclass(entry) and issubclass(entry, tuple(wanted))}


def _is_abstract(annotation: Any) -> bool:
    return inspect.isclass(annotation) and inspect.isabstract(annotation)


def _value(choices: Mapping[str, type], table: Any, where: str) -> Any:
    """What a table with the key `class` describes."""
    if not isinstance(table, Mapping):
        example = min(choices)
        raise RecipeError(f'{where}: expected a table such as {{ class = "{example}", ... }}, found {table!r}')
    arguments = dict(table)
    name = arguments.pop("class", None)
    if name not in choices:
        raise RecipeError(f"{where}.class: expected one of {', '.join(sorted(choices))}, found {name!r}")
    checked = check_arguments(choices[name], arguments, f"{where}.", siblings=("class",))
    try:
        return choices[name](**checked)
    except ValueError as error:
        raise RecipeError(f"{where}: {error}") from error


def validate(schema: type[BaseModel], table: Mapping[str, Any], where: str, siblings: Collection[str] = ()) -> Any:
    """`table` as a `schema`, or a `RecipeError` of one sentence for the first thing that is wrong."""
    try:
        # As JSON, so that lists become tuples and integers floats, but "3" does not become 3.
        return schema.model_validate_json(json.dumps(table, default=str), strict=True)
    except ValidationError as error:
        raise RecipeError(f"{where}{_sentence(schema, error, siblings)}") from error


_STRICT = ConfigDict(extra="forbid", arbitrary_types_allowed=True, protected_namespaces=())

_EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "bool": "true or false",
    "tuple": "a list",
    "list": "a list",
    "dict": "a table",
    "model": "a table",
}


def _sentence(schema: type[BaseModel], error: ValidationError, siblings: Collection[str]) -> str:
    # A misspelt key is reported before the one that is missing because of it.
    first = min(error.errors(), key=lambda problem: problem["type"] != "extra_forbidden")
    *tables, last = [str(part) for part in first["loc"]] or ["recipe"]
    named = bool(tables) and _table_at(schema, tables[:1]) is not None
    place = f"[{tables[0]}] " if named else ""
    key = ".".join([*tables[named:], last])
    kind = first["type"]
    if kind == "extra_forbidden":
        fields = (_table_at(schema, tables) or schema).model_fields
        known = [*(field.alias or name for name, field in fields.items()), *siblings]
        near = difflib.get_close_matches(last, known, n=1, cutoff=0.5)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        return (
            f"{place}{key}: unknown key{hint}; expected {'one of ' + ', '.join(known) if known else 'no further keys'}"
        )
    if kind == "missing":
        return f"{place}{key}: expected a value, found none"
    name = kind.split("_")[0]
    expected = _EXPECTED.get(name) if kind.endswith(("_type", "_parsing")) else None
    if kind == "too_short":
        expected = f"at least {first['ctx']['min_length']} items"
    elif kind == "string_pattern_mismatch":
        expected = "letters, digits, '.', '_' and '-', beginning with a letter or digit"
    elif expected is None:
        expected = first["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{place}{key}: expected {expected}, found {first['input']!r}"


def _table_at(schema: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    """The schema of a table inside `schema`, behind optional and list annotations; None where a value stands."""
    found: Any = schema
    for name in path:
        if name.isdigit():
            continue
        field = found.model_fields.get(name)
        found = field and next((t for t in _types_in(field.annotation) if issubclass(t, BaseModel)), None)
        if found is None:
            return None
    return found


def _types_in(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _types_in(part)]
