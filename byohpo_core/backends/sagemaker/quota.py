"""Understand the limit in a refusal of SageMaker."""

import re


def never_fits(message: str) -> bool:
    """Whether the limit in the message of a ResourceLimitExceeded is too small for a single job."""
    limit, needed = re.search(r" is ([\d.]+) \w+, with", message), re.search(r"delta of ([\d.]+) \w+", message)
    return limit is not None and float(limit[1]) < (1 if needed is None else float(needed[1]))
