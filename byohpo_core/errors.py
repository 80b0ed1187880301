"""Everything byohpo raises on purpose: one line that names the thing, its owner and the way out."""


def one_line(text: object) -> str:
    """A message as errors, listings and logs show it, however many lines its author gave it."""
    return " ".join(str(text).split())


class ByohpoError(Exception):
    """The base of all errors of byohpo."""


class InvalidInput(ByohpoError, ValueError):
    """A setting that cannot work; no job was started."""


class UnknownPlugin(InvalidInput):
    """No installed or registered plugin has this name, or more than one has."""


class UnknownStudy(ByohpoError, LookupError):
    """The journal holds no study of this name."""


class StudyExists(InvalidInput):
    """The journal already holds a study of this name."""


class StudyBusy(ByohpoError):
    """Another driver is running the study."""


class StudyLocked(StudyBusy):
    """A driver on another host has left the study locked, and may be gone."""


class JournalError(ByohpoError):
    """The journal cannot be read or written, or is not ours."""


class PluginError(ByohpoError):
    """A plugin failed, could not be loaded, or answered nonsense; the journal is intact."""


class Diverged(PluginError):
    """On replay a plugin proposed something else than what the journal holds."""


class MissingExtra(ByohpoError, ImportError):
    """An optional package is needed for this and is not installed."""
