"""How many more jobs there may be, as a table: a study's story, the user's policy, and the answer."""

import pytest
from inside import budget, policy
from studies import story

MANY = 100
"""Repeats in a row that are allowed."""
FOUR = "ask 0 .1 .2 .3; run 0; run 1; run 2; run 3"
ENDED = f"{FOUR}; end 0; end 1; end 2; end 3; see 0 1 2 3"
REPEATS = "ask .1; run 0; end 0; see 0" + "".join(f"; ask .1; reuse {it} 0; see {it}" for it in range(1, 11))

WANTED = {
    "nothing has happened: all slots": ("", {}, MANY, 4),
    "two run": ("ask 0 .1; run 0; run 1", {}, MANY, 2),
    "one runs, one waits for a slot": ("ask 0 .1; run 0", {}, MANY, 2),
    "all slots are taken": (FOUR, {}, MANY, 0),
    "the budget is smaller than the slots": (ENDED, {}, MANY, 2),
    "a waiting trial takes a job of the budget": (f"{ENDED}; ask .4", {}, MANY, 1),
    "a lost attempt takes a slot, and no new job": (f"{ENDED}; ask .4; run 4; retry 4", {}, MANY, 1),
    "a failed trial was a job": ("ask 0 .1; run 0; fail 0; run 1; fail 1; see 0 1", {}, MANY, 4),
    "a repeat of a running trial needs no slot": ("ask 0 0; run 0", {}, MANY, 3),
    "a repeat needs one if repeats are run": ("ask 0 0; run 0", {"duplicates": "run"}, MANY, 2),
    "a repeat of a failed trial needs one": ("ask 0 0; run 0; fail 0", {}, MANY, 3),
    "a reused result was no job": ("ask 0 0; run 0; end 0; reuse 1 0; see 0 1", {}, MANY, 4),
    "too many repeats in a row": (REPEATS, {}, 10, 0),
    "not yet too many": (REPEATS, {}, 11, 4),
    "ten repeats beside a running job are enough": (f"{REPEATS}; ask .9; run 11", {}, MANY, 0),
    "prior trials count as jobs": ("ask 0 .1 .2; run 0; end 0; run 1; end 1; run 2; end 2; epoch", {}, MANY, 3),
    "money for one": ("", {"max_cost": 5, "reservation": 3}, MANY, 1),
    "money is set aside for what runs": ("ask 0; run 0", {"max_cost": 9, "reservation": 3}, MANY, 2),
    "money that is spent is gone": ("ask 0; run 0; end 0 .5 4; see 0", {"max_cost": 9, "reservation": 3}, MANY, 1),
    "no money": ("ask 0; run 0; end 0 .5 4; see 0", {"max_cost": 5, "reservation": 3}, MANY, 0),
    "in strict order twice as many as slots are ahead": ("", {"order": "strict"}, MANY, 6),
}


@pytest.mark.parametrize(("text", "chosen", "repeats", "wanted"), WANTED.values(), ids=WANTED)
def test_as_many_are_wanted_as_there_are_slots_and_jobs_for(text, chosen, repeats, wanted):
    """With four slots and six jobs."""
    study = story(text, max_jobs=6, max_parallel_jobs=4)
    assert budget.wanted(study, policy.Policy(**chosen), float("inf"), repeats) == wanted


FREE = {
    "the study's slots": ("", {}, float("inf"), 4),
    "fewer slots of the backend": ("", {}, 3, 3),
    "one is taken": ("ask 0; run 0", {}, 3, 2),
    "more are taken than the backend has now": ("ask 0 .1; run 0; run 1", {}, 1, -1),
    "what waits takes none": ("ask 0 .1", {}, 4, 4),
    "a retried trial has none": ("ask 0; run 0; retry 0", {}, 4, 4),
    "money for two": ("", {"max_cost": 5, "reservation": 2}, 4, 2),
    "money for none": ("ask 0; run 0; end 0 .5 4", {"max_cost": 5, "reservation": 2}, 4, 0),
    "a lost attempt has cost nothing": ("ask 0; run 0; retry 0", {"max_cost": 4, "reservation": 2}, 4, 2),
}


@pytest.mark.parametrize(("text", "chosen", "slots", "free"), FREE.values(), ids=FREE)
def test_slots_are_free_as_far_as_the_backend_and_the_money_go(text, chosen, slots, free):
    """The fewest of the study's, the backend's and what can be paid for."""
    assert budget.free_slots(story(text, max_parallel_jobs=4), policy.Policy(**chosen), slots) == free


POOR = {"max_cost": 5, "reservation": 3}
SPENT = "ask 0; run 0; end 0 .5 4; see 0"
USED_UP = {
    "nothing has happened": ("", {}, MANY, None),
    "money is left": ("", POOR, MANY, None),
    "no money, and work": (SPENT, POOR, MANY, "budget: 4.00 of 5.00 is spent, and one more job may cost 3.00"),
    "no money, but a job runs that may cost less": ("ask 0; run 0", {"max_cost": 5, "reservation": 5}, MANY, None),
    "nothing new": (REPEATS, {}, 10, "nothing new proposed: the last 10 proposals repeat known trials"),
    "nothing new, but a job runs": (f"{REPEATS}; ask .9; run 11", {}, 10, None),
    "nothing new, but a trial waits": (f"{REPEATS}; ask .9", {}, 10, None),
    "a new one among the repeats": (f"{REPEATS}; ask .9; run 11; end 11; see 11", {}, 10, None),
}


@pytest.mark.parametrize(("text", "chosen", "repeats", "reason"), USED_UP.values(), ids=USED_UP)
def test_a_study_is_used_up_when_there_is_no_money_or_nothing_new(text, chosen, repeats, reason):
    """The reason is kept in the journal."""
    assert budget.used_up(story(text), policy.Policy(**chosen), 2, repeats) == reason


@pytest.mark.parametrize(
    ("text", "out"),
    [(f"{SPENT}; ask .1; run 1; end 1; see 1", False), (f"{SPENT}; ask .1 .2; run 1; end 1", True)],
    ids=["all jobs are done", "a trial still waits"],
)
def test_no_money_is_no_reason_when_no_work_is_left(text, out):
    """Of two jobs, both done: the study has ended by `max_jobs`."""
    assert budget.out_of_money(story(text, max_jobs=2), policy.Policy(**POOR), 2) is out


@pytest.mark.parametrize(
    ("sizes", "allowed"), [([], 100), ([5], 100), ([20, 11], 200)], ids=["no population", "a small one", "two"]
)
def test_ten_populations_of_repeats_are_allowed(sizes, allowed):
    """At least a hundred."""
    assert budget.allowed_repeats(sizes) == allowed
