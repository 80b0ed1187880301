"""Which trials are best: by one objective, or by domination with several."""

from collections.abc import Iterable, Sequence

from byohpo_core.study.trial import Trial


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Completed trials by their losses; with several objectives those of the Pareto front come first."""
    front, others = by_domination(trials)
    return front + others


def by_domination(trials: Iterable[Trial]) -> tuple[list[Trial], list[Trial]]:
    """Those that no other dominates, and the others, each by their losses."""
    front: list[Trial] = []
    others: list[Trial] = []
    for trial in sorted(trials, key=_losses):  # only what comes before can dominate it
        dominated = any(_dominates(_losses(it), _losses(trial)) for it in front)
        (others if dominated else front).append(trial)
    return front, others


def _losses(trial: Trial) -> tuple[float, ...]:
    return trial.losses or ()


def _dominates(losses: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return losses != other and all(mine <= its for mine, its in zip(losses, other, strict=True))
