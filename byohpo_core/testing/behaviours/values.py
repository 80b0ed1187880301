"""Checks of proposals: inside the space, of plain types, and not changed later."""

import json
from collections.abc import Mapping
from typing import Any

from byohpo_core.space.parameters import (
    CategoricalParameter,
    ContinuousParameter,
    IntegerParameter,
    Parameter,
    StaticParameter,
)
from byohpo_core.study.trial import Proposal
from byohpo_core.testing.algorithm import CUBE, Subject
from byohpo_core.testing.behaviours.batches import spends
from byohpo_core.testing.check import advise, check, expect
from byohpo_core.testing.rehearsal import proposals, rehearse

_COPY = "return a copy"
_SEARCHED = "asked for proposals"


def _run(subject: Subject, parameters: Mapping[str, Parameter], jobs: int = 40) -> list[dict[str, Any]]:
    """Run a study in this space; the core checks that each proposal lies inside it."""
    made = proposals(subject, subject.problem(parameters, jobs=jobs))
    expect(made, did=f"ran a study in a space of {len(parameters)}", seen="no proposal", expected=f"{jobs} trials")
    return made


def _answers(subject: Subject, parameters: Mapping[str, Parameter] | None = None) -> list[list[tuple[Any, Any]]]:
    """Each answer: its proposals as they were returned, each with a copy that was made at once."""
    with rehearse(subject, subject.problem(parameters or subject.mixed, jobs=40)) as rehearsal:
        rehearsal.run(together=2)
        return rehearsal.answers


def _raw(subject: Subject, parameters: Mapping[str, Parameter] | None = None) -> list[tuple[Any, Any]]:
    """Each proposal as it was returned, with a copy that was made at once."""
    return [pair for answer in _answers(subject, parameters) for pair in answer]


def _mapping(proposal: Any) -> Mapping[str, Any]:
    return proposal.hyperparameters if isinstance(proposal, Proposal) else proposal


def _mappings(subject: Subject, parameters: Mapping[str, Parameter] | None = None) -> list[Mapping[str, Any]]:
    return [_mapping(proposal) for proposal, _ in _raw(subject, parameters)]


@check("values")
def stays_inside_a_mixed_space(subject: Subject) -> None:
    """Every proposal lies inside a space with all kinds of parameters."""
    _run(subject, subject.mixed, 60)


@check("values")
def stays_inside_a_logarithmic_range(subject: Subject) -> None:
    """Every proposal lies inside a logarithmic range of six orders of magnitude."""
    _run(subject, {"rate": ContinuousParameter(1e-6, 1, "Logarithmic"), "x": ContinuousParameter(0, 1)})


@check("values")
def stays_inside_a_reverse_logarithmic_range(subject: Subject) -> None:
    """Every proposal lies inside a reverse logarithmic range that ends close to 1."""
    _run(subject, {"momentum": ContinuousParameter(0, 0.9999, "ReverseLogarithmic"), "x": ContinuousParameter(0, 1)})


@check("values")
def stays_inside_a_negative_range(subject: Subject) -> None:
    """Every proposal lies inside a continuous and an integer range below zero."""
    _run(subject, {"x": ContinuousParameter(-7.5, -2.5), "n": IntegerParameter(-9, -3)})


@check("values")
def stays_inside_a_tiny_range(subject: Subject) -> None:
    """Every proposal lies inside the narrow range from 1000 to 1000.001."""
    _run(subject, {"x": ContinuousParameter(1000.0, 1000.001), "y": ContinuousParameter(0, 1)})


@check("values")
def bears_any_name(subject: Subject) -> None:
    """Parameters may have any name: with spaces, hyphens and umlauts, of Python's keywords, or of 256 letters."""
    names = ("batch-size", "class", "ö 1", "n" * 256, "self", "0", "count", "__dict__", "%s {x}")
    _run(subject, {name: ContinuousParameter(0, 1) for name in names})
    _run(subject, {name: IntegerParameter(0, 9) for name in names})


@check("values")
def works_in_one_dimension(subject: Subject) -> None:
    """With one continuous parameter, the algorithm spends the whole budget."""
    made = _run(subject, {"x": ContinuousParameter(0, 1)})
    spends(subject, len(made), subject.few(40), "ran a study with one parameter")


@check("values")
def works_in_thirty_dimensions(subject: Subject) -> None:
    """With thirty continuous parameters, the algorithm spends the whole budget."""
    made = _run(subject, {f"x{axis}": ContinuousParameter(0, 1) for axis in range(30)})
    spends(subject, len(made), subject.few(40), "ran a study with 30 parameters")


@check("values")
def works_with_whole_numbers_only(subject: Subject) -> None:
    """The algorithm works in a space of two integer parameters."""
    _run(subject, {"n": IntegerParameter(0, 6), "m": IntegerParameter(1, 5)})


@check("values")
def works_with_categories_only(subject: Subject) -> None:
    """The algorithm works in a space of two categorical parameters."""
    _run(subject, {"a": CategoricalParameter(list("abcde")), "b": CategoricalParameter([1, 2, 3])})


@check("values")
def works_with_a_huge_integer_range(subject: Subject) -> None:
    """The algorithm works with an integer range of a million values."""
    _run(subject, {"n": IntegerParameter(1, 1_000_000), "x": ContinuousParameter(0, 1)})


@check("values")
def works_where_one_parameter_has_one_value(subject: Subject) -> None:
    """A parameter that has only one possible value always has that value."""
    one: dict[str, Parameter] = {
        "x": ContinuousParameter(2, 2),
        "n": IntegerParameter(3, 3),
        "c": CategoricalParameter(["a"]),
    }
    for it in _run(subject, {**one, "y": CUBE["x0"]}):
        found = {name: it[name] for name in one}
        expect(found == {"x": 2, "n": 3, "c": "a"}, did=_SEARCHED, seen=f"{found}", expected="x=2, n=3 and c='a'")


@check("values")
def works_in_a_space_of_one_point(subject: Subject) -> None:
    """In a space of one point, every proposal is that point."""
    for it in _run(subject, {"n": IntegerParameter(3, 3)}, 6):
        expect(it == {"n": 3}, did=_SEARCHED, seen=f"{it}", expected="n=3")


@check("values")
def proposes_every_name_and_no_other(subject: Subject) -> None:
    """Each proposal has every tuned parameter and no unknown one, and does not change a static one."""
    tuned = {name for name, it in subject.mixed.items() if not isinstance(it, StaticParameter)}
    for answer in _mappings(subject):
        names = f"the names {', '.join(answer)}"
        expect(
            tuned <= set(answer) <= set(subject.mixed),
            did=_SEARCHED,
            seen=names,
            expected=f"{', '.join(subject.mixed)}",
        )
        for name, value in (("batch", 100), ("dropout", 0.25)):
            given = answer.get(name, value)
            expect(
                given == value, did=f"fixed {name}={value}", seen=f"{given!r}", expected=f"{value}", mend="leave it out"
            )


@check("values")
def proposes_plain_floats(subject: Subject) -> None:
    """Values of continuous parameters are of type `float` or `int`, not other numbers or texts."""
    for answer in _mappings(subject):
        for name in ("x", "rate", "momentum"):
            _of_type(answer, name, float, int)


@check("values")
def proposes_plain_integers(subject: Subject) -> None:
    """Values of integer parameters are of type `int`, not `bool`, `float` or NumPy integers."""
    for answer in _mappings(subject):
        if "layers" in answer:
            _of_type(answer, "layers", int)


def _of_type(answer: Mapping[str, Any], name: str, *types: type) -> None:
    value, wanted = answer[name], " or ".join(it.__name__ for it in types)
    # A NumPy float64 is a float. A bool is an int for Python, but not for a training script.
    right = isinstance(value, types) and not isinstance(value, bool)
    seen = f"{name}={value!r} of type {type(value).__name__}"
    expect(right, did=_SEARCHED, seen=seen, expected=wanted, mend=f"convert it with {types[0].__name__}()")


@check("values")
def proposes_categories_as_they_are(subject: Subject) -> None:
    """Categorical values keep their type: a text stays a text, True stays True, and 1 is not "1"."""
    given: dict[str, list[Any]] = {"kind": ["a", "b", "c"], "flag": [True, False], "size": [1, 2.5, "1"]}
    parameters = {name: CategoricalParameter(values) for name, values in given.items()}
    for answer in _mappings(subject, parameters):
        for name, values in given.items():
            same = [it for it in values if type(it) is type(answer[name]) and it == answer[name]]
            seen, expected = f"{name}={answer[name]!r}", f"one of {values} as it is"
            expect(same, did=_SEARCHED, seen=seen, expected=expected)


@check("values")
def leaves_its_answers_alone(subject: Subject) -> None:
    """The algorithm does not change its proposals after it has returned them."""
    for answer, copied in _raw(subject):
        seen = f"{answer} instead of {copied}"
        expect(answer == copied, did="looked at a proposal later", seen=seen, expected="no change", mend=_COPY)


@check("values")
def gives_each_proposal_a_mapping_of_its_own(subject: Subject) -> None:
    """Each proposal of an answer is a mapping of its own."""
    for answer in _answers(subject):
        mappings = {id(_mapping(proposal)) for proposal, _ in answer}
        seen = f"{len(mappings)} mappings in {len(answer)} proposals"
        expect(len(mappings) == len(answer), did=_SEARCHED, seen=seen, expected=f"{len(answer)}", mend=_COPY)


@check("values")
def gives_keys_that_survive_the_journal(subject: Subject) -> None:
    """The key of a proposal is the same after it was written as JSON and read again."""
    for answer, _ in _raw(subject):
        if isinstance(answer, Proposal):
            read, mend = json.loads(json.dumps(answer.key)), "use a text, a number or a list"
            expect(read == answer.key, did="read a key again", seen=f"{read!r}", expected=f"{answer.key!r}", mend=mend)


@check("values")
def does_not_repeat_itself_at_the_start(subject: Subject) -> None:
    """The first proposals in a continuous space are different."""
    for jobs, asked in ((24, 8), (8, 1)):
        with rehearse(subject, subject.problem(CUBE, jobs=jobs, slots=8)) as rehearsal:
            for _ in range(0, rehearsal.problem.max_parallel_jobs, asked):  # before there is any result
                rehearsal.ask(min(asked, rehearsal.problem.max_parallel_jobs))
            made = rehearsal.configurations
        different = len({tuple(it.values()) for it in made})
        seen = f"{different} of the first {len(made)} proposals are different"
        expected = "all, since a repeat shares a known result"
        did = f"asked for at most {asked} proposals at once"
        enough = 1.6 * different >= len(made)
        expect(enough, did=did, seen=seen, expected=expected, mend="draw new points in each call")
        advise(different == len(made), f"only {seen}; a repeat shares a known result and teaches nothing")
