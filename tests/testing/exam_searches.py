"""What the searches of the exam share."""

import random


class OneObjective:
    """What most classes share: the space, a generator, and a refusal of several objectives."""

    def __init__(self, problem):
        problem.require_one_objective()
        self.problem, self.space = problem, problem.space
        self.random = random.Random(problem.seed)

    def new(self):
        """A random point of the unit cube."""
        return [self.random.random() for _ in range(self.space.dimension)]

    def near(self, point, step=0.1):
        """A point near another one: about half of the coordinates change, a little, more, or to any value."""
        reach, changed = 3 * step * 50 ** -self.random.random(), self.random.randrange(len(point))
        return [
            self.moved(unit, reach) if axis == changed or self.random.random() < 0.4 else unit
            for axis, unit in enumerate(point)
        ]

    def moved(self, unit, reach):
        """A coordinate near another one, or any other."""
        if self.random.random() < 0.15:
            return self.random.random()
        return min(1.0, max(0.0, unit + self.random.gauss(0, reach)))

    def scored(self, trials):
        """The losses and points of trials that have a result."""
        encode = self.space.encode
        return [(trial.losses[0], encode(trial.proposal.hyperparameters)) for trial in trials if trial.losses]
