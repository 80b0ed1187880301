"""Names of studies and jobs, and ids of studies."""

import re
import string
from random import SystemRandom

from byohpo_core.errors import InvalidInput
from byohpo_core.validate import text

_random = SystemRandom()
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")
MAX_NAME_LENGTH = 48


def check_study_name(name: str) -> str:
    """Return the name; raise `InvalidInput` if no job names can be made from it."""
    text("the job name", name)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"the job name {name!r} may only have letters, digits, and hyphens between them")
    if len(name) > MAX_NAME_LENGTH:
        raise InvalidInput(f"the job name {name!r} has {len(name)} characters; the limit is {MAX_NAME_LENGTH}")
    return name


def draw_id(name: str) -> str:
    """Return an id for a new study: its name and four random characters. A reused name then gets new job names."""
    return f"{name}-{''.join(_random.choice(string.ascii_lowercase + string.digits) for _ in range(4))}"


def is_study_id(study_id: str) -> bool:
    """True for what `draw_id` may return: files, jobs and lines of trust are named after it."""
    return len(study_id) <= MAX_NAME_LENGTH + 5 and _NAME.fullmatch(study_id) is not None


def job_name(study_id: str, number: int, attempt: int) -> str:
    """Return the name of a trial's job, at most 63 characters.

    It depends only on the three arguments, so a resume after a crash cannot create a second job.
    """
    return f"{study_id}-{number}-{attempt}"
