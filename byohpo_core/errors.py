"""The exceptions of byohpo, and how text is shown in messages.

Each message is one line: what is wrong, whom it concerns, and what to do.
"""


def one_line(text: object) -> str:
    """Return a message as one line, as errors, listings and logs show it."""
    return " ".join(str(text).split())


def shown(text: object, encoding: str | None = None) -> str:
    r"""Return text as people may see it: a character that is not printable becomes an escape, such as `\x1b`.

    Text may come from a job, a journal or AWS, and a terminal would obey it. What *encoding* lacks is escaped too.
    """
    escaped = "".join(it if it.isprintable() else it.encode("unicode_escape").decode() for it in str(text))
    return encodable(escaped, encoding)


def encodable(text: str, encoding: str | None) -> str:
    """Return text with escapes for what an encoding, by default UTF-8, lacks."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


class ByohpoError(Exception):
    """The base class of all byohpo errors."""

    def __str__(self) -> str:
        return shown(one_line(super().__str__()))


class InvalidInput(ByohpoError, ValueError):
    """A setting is invalid. No job was started."""


class Untrusted(InvalidInput):
    """A study would run what its journal names, and this user has not agreed to it. Nothing was run."""


class UnknownPlugin(InvalidInput):
    """No installed or registered plugin has this name, or several have it."""


class UnknownStudy(ByohpoError, LookupError):
    """The journal holds no study of this name."""


class StudyExists(InvalidInput):
    """The journal already holds a study of this name."""


class StudyBusy(ByohpoError):
    """Another driver is running the study."""


class StudyLocked(StudyBusy):
    """A driver on another host left the study locked. It may still be running."""


class JournalError(ByohpoError):
    """The journal cannot be read or written, or the file is not a byohpo journal."""


class JournalDamaged(JournalError):
    """The journal or its mirror is not as it was written."""


class PluginError(ByohpoError):
    """A plugin failed, could not be loaded, or returned an invalid answer. The journal is intact."""


class Diverged(PluginError):
    """During a replay, a plugin did not repeat the proposals in the journal."""


class MissingExtra(ByohpoError, ImportError):
    """A required optional package is not installed."""


MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What code raises that meets another value than it was written for, such as in a journal from somebody else."""


def unreadable(what: str, why: object) -> JournalError:
    """Return the error for a part of a journal that is whole, but not as this release writes it."""
    told = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else why
    return JournalError(
        f"{what} cannot be read ({one_line(told)}); another release of byohpo wrote it: "
        "pip install --upgrade byohpo-core"
    )
