"""What the user chose about repeats, lost attempts, money and order."""

import attrs


@attrs.frozen
class Policy:
    """How a study treats repeats and lost attempts."""

    duplicates: str = "reuse"
    """"reuse": a repeated configuration shares the known result; "run": it gets a job of its own."""
    max_attempts: int = 3
    """How many attempts of one trial the infrastructure may fail."""
    max_cost: float | None = None
    """What all jobs together may cost."""
    reservation: float = 0.0
    """The most that one job can cost: set aside before its launch, until it is over and its cost is known."""
    order: str = "arrival"
    """"arrival": results are observed as they come; "strict": in the order of their trials, one at a time."""
