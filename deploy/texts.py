"""Finds the texts that the admin's code names in English, for the catalogues: literals of modules, and names of models."""

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import flatten
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.utils.functional import Promise

from govpay import naming
from payments import states
from payments.payout import causes

# What is shown is a sentence, a title or a label, which begin so, or some words; what names a column or a state is told by
# where it stands.
SENTENCE = re.compile(r"(?![A-Z][a-z]+(-?[A-Z][a-z]+)+$)[A-Z][^_/=<>\n]*[a-z]|\{0\}:? [a-z{]")
PHRASE = re.compile(r"[a-z][a-z']*( [A-Za-z0-9',;:.-]+)+")
WHOLE = re.compile(r"(?:[A-Z]|\{0\}).* .*[.!?]")
PLACE = re.compile(r"\{\d+\}")
CODE = re.compile(r"[a-z]+(_[a-z]+)+")
# A sentence says more than it names.
LEAST_LETTERS = 8
WORDS = re.compile(r"[a-z][^_/=<>]*")
NAMING = {
    "description",
    "title",
    "label",
    "help_text",
    "submit",
    "empty",
    "more_text",
    "noun",
    "done",
    "text",
}
NUMBERS = ("pk", "_id", "count", "number", "_s", "days", "height", "MOST", "SHOWN")
# Where the kinds and states are that pages name; others are of one module, which may not be loaded.
KINDS = ("govpay.models", "ledger.models", "payments.models", "payments.states", "payments.selectors")
NEVER_SHOWN = {"getLogger", "reverse", "F", "Q", "path", "getattr", "replace", "get_logger"}


def names() -> Iterator[str]:
    """Yield the names of what the admin shows: of models, of their columns and choices, and of rows with their numbers."""
    from ledger import events  # Its models ask for the settings, which are chosen after this module is read.

    for kind in _choices(models.TextChoices):
        yield from (str(each.label) for each in kind if str(each.label) != each.value)
    for arrows in states.TRANSITIONS.values():
        yield from (arrow.reason for arrow in arrows)
    yield from (kind.replace("_", " ") for kind in events.KINDS)
    yield from (code.replace("_", " ").capitalize() for code in causes.CAUSES)
    yield from (str(apps.get_app_config(label).verbose_name) for label in naming.OURS)
    yield from (
        str(each)
        for kind in naming.admin_classes()
        if isinstance(each := getattr(kind, "title", ""), str | Promise)
    )
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label in naming.OURS:
            yield from (str(model._meta.verbose_name), str(model._meta.verbose_name_plural))
            yield from (str(field.verbose_name) for field in _columns(model, model_admin))
            if noun := str(getattr(model_admin, "noun", "")):
                yield f"{noun} {{0}}"


def _choices(of: Any) -> Iterator[Any]:
    for kind in of.__subclasses__():
        if kind.__module__.startswith(KINDS):
            yield kind
        yield from _choices(kind)


def _columns(model: Any, model_admin: Any) -> Iterator[Any]:
    shown = [
        *model_admin.list_display,
        *(each[0] for each in model_admin.list_filter or () if isinstance(each, tuple)),
        *flatten(model_admin.fields or ()),
        *flatten([fields["fields"] for _, fields in model_admin.fieldsets or ()]),
    ]
    for name in shown:
        if not hasattr(model_admin, str(name)):
            try:
                yield model._meta.get_field(str(name))
            except FieldDoesNotExist:
                continue


def literals(text: str) -> Iterator[str]:
    """Yield the texts of a module, each with its places counted."""
    tree = ast.parse(text)
    silent = {id(each) for node in ast.walk(tree) for each in _silent(node)}
    named = {id(each) for node in ast.walk(tree) for each in _named(node)}
    for node in ast.walk(tree):
        if id(node) in silent:
            continue
        found = _text(node, _is_known)
        is_named = id(node) in named and WORDS.match(found)
        if found and (is_named or SENTENCE.match(found) or PHRASE.fullmatch(found)):
            yield found


def sentences(text: str) -> Iterator[str]:
    """Yield the whole sentences of a module, each with its places counted, whatever stands there."""
    tree = ast.parse(text)
    silent = {id(each) for node in ast.walk(tree) for each in _silent(node)}
    for node in ast.walk(tree):
        found = "" if id(node) in silent else _text(node, lambda _: True)
        said = PLACE.sub("", found)
        if WHOLE.fullmatch(found) and sum(map(str.isalpha, said)) >= LEAST_LETTERS and not {*said} & {*"{}"}:
            yield found


def checks(text: str) -> Iterator[str]:
    """Yield what a module's checks over staged rows say, of a row alone and with the one before it (`intake.check`)."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Tuple) and len(node.elts) == 4:
            code, _column, message, _query = (_text(each, lambda _: True) for each in node.elts)
            if CODE.fullmatch(code) and SENTENCE.match(message):
                yield f"{message}."
                yield f"{message} (also in row {{0}})."


def beginnings(text: str) -> Iterator[str]:
    """Yield why a module lets something begin, which the history of its status says."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and _name(node.func) == "begin":
            yield from (
                found
                for each in node.keywords
                if each.arg == "reason" and (found := _text(each.value, _is_known))
            )


def _text(node: ast.AST, may_be_filled: Callable[[ast.AST], bool]) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if not isinstance(node, ast.JoinedStr) or not all(map(may_be_filled, node.values)):
        return ""
    parts, places = [], 0
    for each in node.values:
        if isinstance(each, ast.Constant):
            parts.append(str(each.value))
        else:
            parts.append(f"{{{places}}}")
            places += 1
    return "".join(parts)


def _is_known(part: ast.AST) -> bool:
    """Say whether a part of a text is a text or a number, which is filled in again."""
    if not isinstance(part, ast.FormattedValue):
        return True
    spec = ast.unparse(part.format_spec) if part.format_spec else ""
    return "," in spec or ast.unparse(part.value).endswith(NUMBERS)


def _silent(node: ast.AST) -> Iterator[ast.AST]:
    """Yield docstrings, the parts of texts that are filled in, and what only code reads."""
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
        first = node.body[0]
        yield from ast.walk(first)
    if isinstance(node, ast.JoinedStr):
        yield from node.values
    if isinstance(node, ast.Dict):
        yield from (each for each in node.keys if each is not None)
    if isinstance(node, ast.Call) and _name(node.func) in NEVER_SHOWN:
        for each in node.args:
            yield from ast.walk(each)
    if isinstance(node, (ast.arg, ast.AnnAssign)) and node.annotation:
        yield from ast.walk(node.annotation)
    if isinstance(node, ast.FunctionDef) and node.returns:
        yield from ast.walk(node.returns)


def _named(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what stands where something is named."""
    if isinstance(node, ast.Call):
        yield from (each.value for each in node.keywords if each.arg in NAMING)
        if _name(node.func) in ("label", "said"):
            yield from (each for arg in node.args for each in _branches(arg))
    if isinstance(node, ast.Assign):
        yield from (node.value for each in node.targets if _name(each) in NAMING)


def _branches(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what an expression may be: either side of each choice."""
    if isinstance(node, ast.IfExp):
        yield from (*_branches(node.body), *_branches(node.orelse))
    else:
        yield node


def _name(node: ast.AST) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")
