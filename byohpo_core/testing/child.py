"""Run a study of an algorithm in another process, and print its proposals as JSON."""

import json
import sys
from importlib import import_module
from operator import attrgetter

from byohpo_core.plugins.finding import ALGORITHMS, Loaded
from byohpo_core.testing.algorithm import Subject
from byohpo_core.testing.rehearsal import proposals


def main(target: str, options: str) -> None:
    """Run a study of the class *target* (`module:name`) with *options* as JSON."""
    module, _, name = target.partition(":")
    plugin = attrgetter(name)(import_module(module))
    subject = Subject(Loaded(plugin, name, ALGORITHMS), json.loads(options))
    sys.stdout.write(json.dumps(proposals(subject, subject.problem(subject.mixed, seed=1, jobs=30))))


if __name__ == "__main__":
    main(*sys.argv[1:])
