"""The process that matches regular expressions which may take for ever, so that it can be killed.

The driver starts this file and sends one request after another: a line with the flags and two lengths, the regular
expression and the text. The answer to each is one line of JSON. The file imports nothing of byohpo, to start fast.
"""

import json
import re
import signal
import sys


def main(seconds: float) -> None:
    """Answer until the driver has gone. A match that takes longer than *seconds* ends this process."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    answers.write(b"ready\n")
    answers.flush()
    while header := requests.readline():
        flags, regex_length, text_length = map(int, header.split())
        regex = requests.read(regex_length).decode("utf-8", "surrogatepass")
        text = requests.read(text_length).decode("utf-8", "surrogatepass")
        pattern = re.compile(regex, flags)
        # The default action of SIGALRM ends the process also while `re` holds the interpreter.
        signal.setitimer(signal.ITIMER_REAL, seconds)
        found = [match.span(1) for match in pattern.finditer(text)]
        signal.setitimer(signal.ITIMER_REAL, 0)
        answers.write(json.dumps(found).encode() + b"\n")
        answers.flush()


if __name__ == "__main__":
    main(float(sys.argv[1]))
