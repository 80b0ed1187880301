"""`byohpo algorithms` and `byohpo info`: what is installed, and what one of them takes."""

import argparse
import inspect
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import EntryPoint
from typing import Any

import attrs

from byohpo_core.plugins import ALGORITHMS, Found, find, installed, option_parameters, try_to_load

_LOADERS = 4


def add_commands(commands: Any) -> None:
    """Add this module's commands to the parser."""
    algorithms = commands.add_parser("algorithms", help="list the installed algorithms, without importing them")
    algorithms.add_argument("--verbose", action="store_true", help="try to load each, in a process of its own")
    algorithms.set_defaults(run=_algorithms)
    info = commands.add_parser("info", help="what an algorithm is, its options, their defaults and meaning")
    info.add_argument("name", help="an algorithm's name")
    info.set_defaults(run=_info)


def _algorithms(options: argparse.Namespace) -> int:
    groups = installed(ALGORITHMS)
    entries = [entry for group in groups.values() for entry in group]
    table = [_described(entry, clash=len(groups[entry.name]) > 1) for entry in entries]
    failed = False
    if options.verbose:
        with ThreadPoolExecutor(_LOADERS) as pool:
            troubles = list(pool.map(try_to_load, entries))
        failed = any(troubles)
        table = [[*line, trouble or "loads"] for line, trouble in zip(table, troubles, strict=True)]
    if not table:
        print("no algorithm is installed: pip install byohpo-plugin-random")
    print_columns(table)
    return int(failed)


def _described(entry: EntryPoint, *, clash: bool) -> list[str]:
    if entry.dist is None:
        return [entry.name, entry.value, "", ""]
    summary = entry.dist.metadata["Summary"] or ""
    told = f"{summary} [not usable: two distributions have this name]" if clash else summary
    return [entry.name, entry.dist.name, entry.dist.version, told.strip()]


def _info(options: argparse.Namespace) -> int:
    found = find(options.name, ALGORITHMS)
    print(f"{found.name}: {_sentence(found)}")
    if found.distribution is not None:
        print(f"{found.distribution} {found.version}")
    parameters = option_parameters(found.plugin)
    if parameters is None:
        print("takes any option")
    elif not parameters:
        print("no options")
    else:
        meanings = _meanings(found)
        table = [[f"  {name}", _default(it), meanings.get(name, "")] for name, it in parameters.items()]
        print("options, their defaults and meaning:")
        print_columns(table)
    return 0


def _sentence(found: Found) -> str:
    return " ".join((inspect.getdoc(found.plugin) or "no description").split("\n\n")[0].split())


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "(needed)"
    return "(derived)" if parameter.default is attrs.NOTHING else repr(parameter.default)


def _meanings(found: Found) -> dict[str, str]:
    if not isinstance(found.plugin, type) or not attrs.has(found.plugin):
        return {}
    return {field.alias or field.name: field.metadata.get("help", "") for field in attrs.fields(found.plugin)}


def print_columns(table: list[list[str]]) -> None:
    """Aligned columns, one unwrapped line a row."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
