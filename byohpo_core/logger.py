"""The logger of byohpo: its records are one line each and, like all text of byohpo, shown and not obeyed."""

import logging

from byohpo_core.errors import one_line, shown


class _Shown(logging.Filter):
    """Escape what a terminal would obey, in the message and in the traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(one_line(record.getMessage())), ()
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            record.exc_text = "\n".join(map(shown, trace.splitlines()))
        return True


logger = logging.getLogger("byohpo")
logger.addFilter(_Shown())
