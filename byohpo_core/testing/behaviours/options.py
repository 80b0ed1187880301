"""Checks of the options: wrong values are refused, right ones have an effect, all are documented."""

import inspect
from collections.abc import Iterator
from typing import Any

import attrs

from byohpo_core.errors import ByohpoError, InvalidInput
from byohpo_core.plugins.options import build, option_parameters
from byohpo_core.testing.algorithm import CUBE, Subject
from byohpo_core.testing.check import NO_NUMERIC_OPTION, NotApplicableError, applicable, check
from byohpo_core.testing.rehearsal import proposals, rehearse

_ODD = (-1, 0, 1, 2, 3, 0.5, -0.5, 100)
"""Numbers that a numeric option must refuse or work with."""


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
    """Numeric options, including those that are None by default and annotated as `int | None` or `float | None`."""
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
    """Whether the constructor raises `InvalidInput` for these options."""
    try:
        _close(build(subject.found, subject.problem(CUBE, jobs=40), {**subject.options, **options}))
    except InvalidInput:
        return True
    except ByohpoError as error:
        raise AssertionError(
            f"the constructor fails with the options {options}: {error}; raise TypeError or ValueError instead"
        ) from error
    return False


@check("options")
def refuses_an_unknown_option(subject: Subject) -> None:
    """The constructor refuses an option that it does not have."""
    assert _refused(subject, populatoin=7), (
        "the constructor accepts the unknown option populatoin=7; do not take **options"
    )


@check("options")
def refuses_what_is_not_a_number(subject: Subject) -> None:
    """The constructor refuses a text, a list and NaN as the value of a numeric option."""
    names = _takes_numbers(subject)
    applicable(names, NO_NUMERIC_OPTION)
    for name in names:
        for value in ("many", [1, 2, 3], float("nan")):
            try:
                refused = _refused(subject, **{name: value})
            except AssertionError:
                refused = False
            assert refused, (
                f"the constructor accepts {name}={value!r}; check the value, for example with byohpo_core.option"
            )


@check("options")
def refuses_or_bears_odd_numbers(subject: Subject) -> None:
    """The constructor refuses an unusual number as the value of an option, or the algorithm works with it."""
    names = _takes_numbers(subject)
    applicable(names, NO_NUMERIC_OPTION)
    for name in names:
        for value in _ODD:
            if _refused(subject, **{name: value}):
                continue
            with rehearse(subject, subject.problem(CUBE, jobs=24), **{name: value}) as rehearsal:
                made = rehearsal.run()
            assert made == 24 or subject.traits.finite, (
                f"with {name}={value} the algorithm stops proposing after {made} of 24 trials; refuse this value"
            )


@check("options")
def refuses_the_impossible(subject: Subject) -> None:
    """At least one numeric option refuses the value -1000."""
    limited = [name for name, _ in _numeric(subject) if _refused(subject, **{name: -1000})]
    numeric = [name for name, _ in _numeric(subject)]
    applicable(numeric, NO_NUMERIC_OPTION)
    assert limited, f"none of the options {', '.join(numeric)} refuses -1000; set their minimum with byohpo_core.option"


@check("options")
def takes_its_defaults(subject: Subject) -> None:
    """Passing the default value of an option does not change the proposals."""
    problem = subject.problem(CUBE, jobs=24)
    defaults = {name: value for name, value in _numeric(subject) if value is not None}
    applicable(defaults, NO_NUMERIC_OPTION)
    plain = proposals(subject, problem)
    for name, value in defaults.items():
        with (
            rehearse(subject, subject.problem(CUBE, jobs=40), **{name: value}) as given,
            rehearse(subject, subject.problem(CUBE, jobs=40)) as without,
        ):
            given.run()
            without.run()
            assert given.configurations == without.configurations, (
                f"passing the default {name}={value!r} changes the proposals"
            )
    assert plain, "the algorithm proposes nothing"


@check("options")
def minds_its_options(subject: Subject) -> None:
    """At least half of the numeric options change the proposals when their value changes."""
    numeric = dict(_numeric(subject))
    applicable(numeric, NO_NUMERIC_OPTION)
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
    assert len(without_effect) * 2 <= len(numeric), (
        f"these options do not change the proposals: {', '.join(without_effect)}; use them or remove them"
    )


@check("options")
def leaves_its_options_alone(subject: Subject) -> None:
    """The algorithm does not change the options that it is built with."""
    given = dict(_numeric(subject)) | subject.options
    before = dict(given)
    with rehearse(subject, subject.problem(CUBE, jobs=40), **given) as rehearsal:
        rehearsal.run()
    assert given == before, f"the algorithm changed its options from {before} to {given}; copy them first"


@check("options")
def says_what_its_options_mean(subject: Subject) -> None:
    """Each option of an attrs class has a help text, which `byohpo info` shows."""
    plugin = subject.found.plugin
    if not isinstance(plugin, type) or not attrs.has(plugin):
        raise NotApplicableError("the algorithm is not an attrs class")
    fields = {it.alias or it.name: it for it in attrs.fields(plugin)}
    for name in _options(subject):
        assert fields[name].metadata.get("help"), (
            f"the option {name} has no help text; add one with byohpo_core.option(help=...)"
        )


@check("options")
def says_what_it_is(subject: Subject) -> None:
    """The class has a docstring; `byohpo info` shows its first sentence."""
    assert (subject.found.plugin.__doc__ or "").strip(), (
        "the class has no docstring; describe the algorithm in one sentence"
    )
