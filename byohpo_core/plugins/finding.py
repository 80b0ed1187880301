"""Find a plugin by its entry point or registered name, and record where it came from."""

import json
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, overload

import attrs

from byohpo_core.errors import InvalidInput, PluginError, UnknownPlugin
from byohpo_core.importable import load as load_by_name
from byohpo_core.importable import module_folder
from byohpo_core.validate import choice, mapping, nearest, plain

ALGORITHMS = "byohpo.algorithms"
EXTENSIONS = "byohpo.extensions"
BACKENDS = "byohpo.backends"
_GROUPS = ("algorithms", "extensions", "backends")
_KINDS = {ALGORITHMS: "algorithm", EXTENSIONS: "extension", BACKENDS: "backend"}
_SINGLE = ("random", "grid", "sobol", "gp", "cmaes", "aco", "hyperband", "scipy-de")
_INSPYRED = ("pso", "ga", "de", "es", "eda", "sa", "paes", "nsga2")
_SCIPY = ("basinhopping", "cobyqa", "direct", "dual-annealing", "nelder-mead", "powell", "shgo")
OURS: Mapping[str, str] = {
    **{name: name for name in (*_SINGLE, *_INSPYRED)},
    **{f"scipy-{name}": "scipy" for name in _SCIPY},
}
"""The algorithms of this project. Each value is the end of the distribution's name, byohpo-plugin-..."""
_SAGEMAKERS = ("bayesian",)
"""Strategies of SageMaker's own tuner that no plugin of ours provides by that name."""
PluginFactory: TypeAlias = Callable[..., Any]
"""A plugin class, or any function that makes a plugin from a `Problem` and options."""
_registered: dict[tuple[str, str], PluginFactory] = {}
"""By entry-point group and name, like installed plugins."""
_Factory = TypeVar("_Factory", bound=PluginFactory)


@overload
def register(name: str, *, group: str = "algorithms") -> Callable[[_Factory], _Factory]: ...


@overload
def register(name: str, plugin: _Factory, *, group: str = "algorithms") -> _Factory: ...


def register(name: str, plugin: _Factory | None = None, *, group: str = "algorithms") -> Any:
    """Register a plugin class under a name in this process, as an entry point would. Also works as a decorator.

    *group* is "algorithms" (names for `strategy=`), "extensions" (for `extensions=`) or "backends"; another group
    raises `InvalidInput`. Each group has its own names: an algorithm "median" does not replace the extension "median".
    """
    key = (f"byohpo.{choice('group', group, _GROUPS)}", name)
    if plugin is None:

        def decorate(decorated: _Factory) -> _Factory:
            _registered[key] = decorated
            return decorated

        return decorate
    _registered[key] = plugin
    return plugin


def registered(group: str) -> list[str]:
    """Return the names that this process has registered in a group."""
    return [name for its_group, name in _registered if its_group == group]


@attrs.frozen
class PluginSpec:
    """A plugin of a study as the manifest stores it. It has all that is needed to build the plugin again."""

    name: str
    group: str = attrs.field()
    """The entry-point group in which its name is looked up."""
    target: str
    """`module:qualname` of its class."""
    options: Mapping[str, Any]
    distribution: str | None = None
    version: str | None = None
    folder: str | None = None
    """Where the module of a class is that is neither installed nor registered; None in journals of release 0.1."""

    @group.validator
    def _check_group(self, _: object, group: str) -> None:
        if group not in (ALGORITHMS, EXTENSIONS):
            raise InvalidInput(f"the study's plugin {self.name!r} is of the group {group!r}, which is none of plugins")

    @property
    def owner(self) -> str:
        """The plugin's name and its distribution or class, for messages."""
        if self.distribution is None:
            return f"{self.name!r} ({self.target})"
        return f"{self.name!r} ({self.distribution} {self.version})"

    def to_json(self) -> dict[str, Any]:
        """The plugin as a manifest has it. A folder is named only where it is needed."""
        return attrs.asdict(self, filter=lambda field, value: field.name != "folder" or value is not None)


@attrs.frozen
class Loaded:
    """A plugin class and where it came from."""

    plugin: PluginFactory
    name: str
    group: str
    distribution: str | None = None
    version: str | None = None

    def spec(self, options: Mapping[str, Any]) -> PluginSpec:
        """Return the plugin in the manifest's form; raise `InvalidInput` for options that JSON cannot hold."""
        target = f"{self.plugin.__module__}:{self.plugin.__qualname__}"
        options = mapping(f"the options of plugin {self.name!r}", options)
        kept = {name: self._kept(name, value) for name, value in options.items()}
        spec = PluginSpec(self.name, self.group, target, kept, self.distribution, self.version)
        return attrs.evolve(spec, folder=module_folder(self.plugin)) if named_by_target(spec) else spec

    def _kept(self, name: str, value: Any) -> Any:
        """Return an option's value as the journal stores it."""
        try:
            return json.loads(json.dumps(value, default=_plain_or_refused, allow_nan=False))
        except (TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                f"plugin {self.name!r}: the option {name} is {value!r}, which the journal cannot store: use "
                "strings, finite numbers, bools, lists and mappings"
            ) from error


def _plain_or_refused(value: Any) -> Any:
    """Convert a NumPy scalar to plain Python for JSON; raise `TypeError` for anything else."""
    if (given := plain(value)) is value:
        raise TypeError
    return given


def installed(group: str) -> dict[str, list[EntryPoint]]:
    """Return the entry points of a group, by name, without importing them. Several distributions may share a name."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in sorted(entry_points(group=group), key=attrgetter("name")):
        found.setdefault(entry.name, []).append(entry)
    return found


def find(plugin: str | PluginFactory, group: str = ALGORITHMS) -> Loaded:
    """Find a plugin from a class, a registered name, or the name of an installed entry point."""
    if not isinstance(plugin, str):
        if not callable(plugin) or not hasattr(plugin, "__qualname__"):
            raise InvalidInput(f"{plugin!r} is neither the name of an installed plugin nor a class")
        return Loaded(plugin, plugin.__name__, group)
    if (group, plugin) in _registered:
        return Loaded(_registered[group, plugin], plugin, group)
    known = installed(group)
    if plugin not in known:
        raise UnknownPlugin(_unknown(plugin, group, known))
    entries = known[plugin]
    if len(entries) > 1:
        owners = " and ".join(sorted(map(_owner, entries)))
        raise UnknownPlugin(f"{plugin!r} is provided by {owners}: uninstall one of them")
    loaded = load(entries[0])
    distribution = entries[0].dist
    if distribution is None:
        return Loaded(loaded, plugin, group)
    return Loaded(loaded, plugin, group, distribution.name, distribution.version)


def load(entry: EntryPoint) -> PluginFactory:
    """Import the class of an entry point; raise `PluginError`, which names the distribution, if that fails."""
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"plugin {entry.name!r} ({_owner(entry)}) cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not callable(loaded):
        raise PluginError(f"plugin {entry.name!r} ({_owner(entry)}): {entry.value} is not a class")
    factory: PluginFactory = loaded
    return factory


def named_by_target(spec: PluginSpec) -> bool:
    """True if a manifest names the plugin's class itself: it is neither installed nor registered in this process."""
    return spec.distribution is None and (spec.group, spec.name) not in _registered


def place_of_class(spec: PluginSpec) -> str:
    """The folder from which the class that a manifest names may be imported, besides what is installed."""
    return spec.folder or str(Path.cwd())


def restore(spec: PluginSpec) -> Loaded:
    """Find the class of a plugin that is named in a manifest, where it was when the study was created."""
    if not named_by_target(spec):
        return find(spec.name, spec.group)
    try:
        found = load_by_name(spec.target, place_of_class(spec))
    except InvalidInput as error:
        give = (
            "Tuner.attach(..., strategy=TheClass)"
            if spec.group == ALGORITHMS
            else f'register({spec.name!r}, TheClass, group="extensions")'
        )
        raise UnknownPlugin(
            f"the study's plugin {spec.name!r} is the class {spec.target}, which this program cannot import: use {give}"
        ) from error
    return Loaded(found, spec.name, spec.group)


def _unknown(name: str, group: str, known: Mapping[str, Any]) -> str:
    names = [*known, *registered(group)]
    message = f"no installed plugin provides {_KINDS[group]} {name!r}{nearest(name, names, 'installed')}"
    if group != ALGORITHMS:
        if (ALGORITHMS, name) in _registered:
            return f'{message}; {name!r} is registered as an algorithm: register({name!r}, ..., group="{group[7:]}")'
        return message
    lower = name.lower()
    if lower in names:
        return f'{message}; write strategy="{lower}"'
    if lower in OURS:
        written = "" if lower == name else f' and write strategy="{lower}"'
        return f"{message}; pip install byohpo-plugin-{OURS[lower]}{written}"
    if lower in _SAGEMAKERS:
        first = next((it for it in ("pso", "random", *known) if it in known), None)
        way_out = f'write strategy="{first}" or another installed one' if first else "pip install byohpo-plugin-pso"
        return f"{message}; {name} is an algorithm of SageMaker and runs only there: {way_out}"
    return message


def _owner(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
