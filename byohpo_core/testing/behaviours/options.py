"""Its options: named, checked, kept and of use."""

import inspect
from collections.abc import Iterator
from typing import Any

import attrs

from byohpo_core.errors import ByohpoError, InvalidInput
from byohpo_core.plugins import build, option_parameters
from byohpo_core.testing.algorithm import CUBE, Subject
from byohpo_core.testing.check import NotApplicableError, applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_ODD = (-1, 0, 1, 2, 3, 0.5, -0.5, 100)
"""Numbers that an option must refuse or live with."""


def _options(subject: Subject) -> dict[str, inspect.Parameter]:
    return dict(option_parameters(subject.found.plugin) or {})


def _numeric(subject: Subject) -> Iterator[tuple[str, Any]]:
    """Options whose value is a number, with that value."""
    plugin = build(subject.found, subject.problem(CUBE, jobs=40), subject.options)
    try:
        for name in _options(subject):
            value = getattr(plugin, name, None)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                yield name, value
    finally:
        _close(plugin)


def _takes_numbers(subject: Subject) -> list[str]:
    """Options that are for numbers, also those that are None by default: their annotation says so (`int | None`)."""
    unset = [
        name
        for name, it in _options(subject).items()
        if it.default is None and it.annotation in (int | None, float | None, "int | None", "float | None")
    ]
    return list(dict.fromkeys([*(name for name, _ in _numeric(subject)), *unset]))


def _close(plugin: Any) -> None:
    if callable(getattr(plugin, "close", None)):
        plugin.close()


def _refused(subject: Subject, **options: Any) -> bool:
    """Whether the constructor refuses these options, as it should: before any job."""
    try:
        _close(build(subject.found, subject.problem(CUBE, jobs=40), {**subject.options, **options}))
    except InvalidInput:
        return True
    except ByohpoError as error:
        raise AssertionError(f"the options {options} make its constructor fail: {error}") from error
    return False


@check("options")
def refuses_an_unknown_option(subject: Subject) -> None:
    """A misspelt option fails before any job is started."""
    assert _refused(subject, populatoin=7), "it takes an option that it does not have (populatoin=7)"


@check("options")
def refuses_what_is_not_a_number(subject: Subject) -> None:
    """A numeric option given as a text, a list or NaN is refused."""
    names = _takes_numbers(subject)
    applicable(names, "it has no numeric option")
    for name in names:
        for value in ("many", [1, 2, 3], float("nan")):
            try:
                refused = _refused(subject, **{name: value})
            except AssertionError:
                refused = False
            assert refused, f"it takes {name}={value!r}"


@check("options")
def refuses_or_bears_odd_numbers(subject: Subject) -> None:
    """Each numeric option refuses a number, or works with it."""
    names = _takes_numbers(subject)
    applicable(names, "it has no numeric option")
    for name in names:
        for value in _ODD:
            if _refused(subject, **{name: value}):
                continue
            with rehearse(subject, subject.problem(CUBE, jobs=24), **{name: value}) as rehearsal:
                made = rehearsal.run()
            assert made == 24 or subject.traits.finite, f"with {name}={value} it stops proposing after {made} trials"


@check("options")
def refuses_the_impossible(subject: Subject) -> None:
    """A number far below zero is refused by those of its options that count or measure something."""
    limited = [name for name, _ in _numeric(subject) if _refused(subject, **{name: -1000})]
    numeric = [name for name, _ in _numeric(subject)]
    applicable(numeric, "it has no numeric option")
    assert limited, f"none of its options ({', '.join(numeric)}) refuses -1000"


@check("options")
def takes_its_defaults(subject: Subject) -> None:
    """Given explicitly, the defaults change nothing."""
    problem = subject.problem(CUBE, jobs=24)
    defaults = {name: value for name, value in _numeric(subject) if value is not None}
    applicable(defaults, "it has no numeric option")
    plain = proposals(subject, problem)
    for name, value in defaults.items():
        with (
            rehearse(subject, subject.problem(CUBE, jobs=40), **{name: value}) as given,
            rehearse(subject, subject.problem(CUBE, jobs=40)) as without,
        ):
            given.run()
            without.run()
            assert given.configurations == without.configurations, f"{name}={value!r} is not its default"
    assert plain, "it proposes nothing"


@check("options")
def minds_its_options(subject: Subject) -> None:
    """Some other value of each numeric option changes what is proposed."""
    numeric = dict(_numeric(subject))
    applicable(numeric, "it has no numeric option")
    problem = subject.problem(CUBE, jobs=60)
    plain = proposals(subject, problem)
    without_effect = []
    for name, value in numeric.items():
        others = [
            it for it in (value * 2, value / 2, value + 1, value * 10, 0, 1, value + 4, int(value) + 2) if it != value
        ]
        for other in others:
            if _refused(subject, **{name: other}):
                continue
            with rehearse(subject, problem, **{name: other}) as rehearsal:
                rehearsal.run()
                if rehearsal.configurations != plain:
                    break
        else:
            without_effect.append(name)
    assert len(without_effect) * 2 <= len(numeric), f"these options change nothing: {', '.join(without_effect)}"


@check("options")
def leaves_its_options_alone(subject: Subject) -> None:
    """The mapping of options that it is built with is not changed."""
    given = dict(_numeric(subject)) | subject.options
    before = dict(given)
    with rehearse(subject, subject.problem(CUBE, jobs=40), **given) as rehearsal:
        rehearsal.run()
    assert given == before, f"the options {before} became {given}"


@check("options")
def says_what_its_options_mean(subject: Subject) -> None:
    """Each option of an attrs class has a help text, which `byohpo info` shows."""
    plugin = subject.found.plugin
    if not isinstance(plugin, type) or not attrs.has(plugin):
        raise NotApplicableError("it is no attrs class")
    fields = {it.alias or it.name: it for it in attrs.fields(plugin)}
    for name in _options(subject):
        assert fields[name].metadata.get("help"), f"the option {name} has no help text"


@check("options")
def says_what_it_is(subject: Subject) -> None:
    """Its class has a docstring, whose first sentence `byohpo info` shows."""
    assert (subject.found.plugin.__doc__ or "").strip(), "it has no docstring"
