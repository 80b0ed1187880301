"""Values refuse nonsense at birth, so that nothing has to check them again."""

import pytest
from inside import Policy

from byohpo_core import ContinuousParameter, InvalidInput, Objective, Problem, Proposal, SearchSpace

SPACE = SearchSpace({"x": ContinuousParameter(0, 1)})
OBJECTIVES = (Objective("loss", "Minimize"),)


def problem(**changes):
    values = {"space": SPACE, "objectives": OBJECTIVES, "seed": 1, "max_jobs": 4, "max_parallel_jobs": 2}
    return Problem(**{**values, **changes})


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: problem(seed="x"), ["random_seed", "'x'"]),
        (lambda: problem(seed=-1), ["random_seed", "-1"]),
        (lambda: problem(max_jobs=0), ["max_jobs", "0"]),
        (lambda: problem(max_jobs="9"), ["max_jobs", "'9'"]),
        (lambda: problem(max_parallel_jobs=5), ["max_parallel_jobs", "5", "4"]),
        (lambda: problem(space={"x": 1}), ["space", "SearchSpace"]),
        (lambda: problem(objectives=()), ["objective"]),
        (lambda: problem(objectives=("loss",)), ["objectives", "'loss'"]),
        (lambda: Objective("", "Minimize"), ["objective_metric_name"]),
        (lambda: Objective("loss", "minimise"), ["objective_type", "'minimise'", "Minimize"]),
        (lambda: Proposal({"x": 0.5}, fidelity=-1), ["fidelity", "-1"]),
        (lambda: Proposal({"x": 0.5}, fidelity="3"), ["fidelity", "'3'"]),
        (lambda: Proposal({"x": 0.5}, resume_from=-1), ["resume_from", "-1"]),
        (lambda: Proposal({"x": 0.5}, resume_from=1.5), ["resume_from", "1.5"]),
        (lambda: Policy(order="nonsense"), ["order", "'nonsense'", "strict"]),
        (lambda: Policy(duplicates="never"), ["duplicates", "'never'", "reuse"]),
        (lambda: Policy(max_attempts=0), ["max_attempts", "0"]),
        (lambda: Policy(max_cost=-1.0), ["max_cost", "-1.0"]),
        (lambda: Policy(reservation=float("nan")), ["reservation", "nan"]),
    ],
)
def test_nonsense_cannot_be_built(make, names):
    """The error names the field, the value and, where there are few, what is possible."""
    with pytest.raises(InvalidInput) as raised:
        make()
    assert all(name in str(raised.value) for name in names)


def test_numbers_become_plain_python():
    """What a plugin computed with NumPy is kept as JSON can keep it."""
    np = pytest.importorskip("numpy")
    proposal = Proposal({"x": 0.5}, fidelity=np.int64(3), resume_from=np.int64(1))
    assert (type(proposal.fidelity), type(proposal.resume_from)) == (int, int)
    assert type(problem(max_jobs=np.int64(4)).max_jobs) is int
