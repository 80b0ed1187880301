"""The exceptions of byohpo. Each message is one line: what is wrong, whom it concerns, and what to do."""


def one_line(text: object) -> str:
    """Return a message as one line, as errors, listings and logs show it."""
    return " ".join(str(text).split())


class ByohpoError(Exception):
    """The base class of all byohpo errors."""


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


def unreadable(what: str, why: object) -> JournalError:
    """Return the error for a part of a journal that is whole, but not as this release writes it."""
    told = f"{type(why).__name__}: {why}" if isinstance(why, Exception) else why
    return JournalError(
        f"{what} cannot be read ({one_line(told)}); another release of byohpo wrote it: "
        "pip install --upgrade byohpo-core"
    )
