"""A plugin's options are checked before it is built."""

import attrs
import pytest

from byohpo_core import option, register
from byohpo_core.cli import main


def test_options_are_the_keyword_parameters_of_the_class(capsys, monkeypatch):
    """Whatever the class looks like."""
    monkeypatch.setattr("byohpo_core.plugins.finding._registered", {})

    class Plain:
        def __init__(self, problem, *, step=0.1, width=2): ...

    class Anything:
        def __init__(self, problem, **options): ...

    register("plain", Plain)
    assert main(["info", "plain"]) == 0
    *_, first, second = capsys.readouterr().out.splitlines()
    assert (first.split(), second.split()) == (["step", "0.1"], ["width", "2"])
    register("anything", Anything)
    assert main(["info", "anything"]) == 0
    assert "any option" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("bounds", "good", "bad", "complaint"),
    [
        ({"minimum": 1}, 1, 0, "step is 0.*at least 1"),
        ({"maximum": 1}, 1, 2, "step is 2.*at most 1"),
        ({"minimum": 0, "maximum": 1}, 0.5, 7, "step is 7.*from 0 to 1"),
    ],
    ids=["minimum", "maximum", "both"],
)
def test_an_option_checks_its_bounds(bounds, good, bad, complaint):
    """`option` is an attrs field with a meaning and inclusive bounds."""

    @attrs.define
    class Algorithm:
        step: float = option(0.5, help="how far", **bounds)

    assert Algorithm(good).step == good
    with pytest.raises(ValueError, match=complaint):
        Algorithm(bad)
    assert attrs.fields(Algorithm).step.metadata["help"] == "how far"
