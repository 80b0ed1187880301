"""Rank trials: by loss with one objective, by Pareto dominance with several."""

from collections.abc import Iterable, Sequence

from byohpo_core.study.trial import Trial


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Sort completed trials, best first. With several objectives, the Pareto front comes first."""
    front, others = by_domination(trials)
    return front + others


def by_domination(trials: Iterable[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Split trials into the Pareto front and the others, each sorted by losses."""
    front: list[Trial] = []
    others: list[Trial] = []
    for trial in sorted(trials, key=_rank):  # in this order, only an earlier trial can dominate a later one
        dominated = any(it.violation < trial.violation or _dominates(_losses(it), _losses(trial)) for it in front)
        (others if dominated else front).append(trial)
    return front, others


def _rank(trial: Trial) -> tuple[float, tuple[float, ...]]:
    return trial.violation, _losses(trial)


def _losses(trial: Trial) -> tuple[float, ...]:
    return trial.losses or ()


def _dominates(losses: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return losses != other and all(mine <= its for mine, its in zip(losses, other, strict=True))
