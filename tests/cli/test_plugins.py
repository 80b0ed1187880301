"""`byohpo algorithms`, `extensions` and `info`."""

from studies import byohpo, refused


def test_algorithms_and_their_options_are_told():
    """What is installed, and what one of them takes."""
    listed = byohpo("algorithms")
    shown = [line.split()[:3] for line in listed.stdout.splitlines()]
    assert shown == sorted(shown)
    assert ["pso", "byohpo-plugin-pso", "0.1.0"] in shown
    assert ["random", "byohpo-plugin-random", "0.1.0"] in shown
    told = byohpo("info", "pso").stdout
    assert told.startswith(
        "pso: A swarm of configurations, each drawn to the best that it and its neighbours have found."
    )
    assert "inertia            0.5        how much of its last step a particle repeats" in told
    assert "byohpo-core 0.1.0" in byohpo("--version").stdout


def test_every_algorithm_can_be_tried():
    """`--verbose` loads each in a process of its own."""
    tried = byohpo("algorithms", "--verbose")
    assert tried.returncode == 0
    assert all(line.endswith("loads") for line in tried.stdout.splitlines())


def test_extensions_are_listed_and_told():
    """Stop rules have names and options as algorithms have."""
    listed = byohpo("extensions").stdout.splitlines()
    (target,) = (line for line in listed if line.startswith("target-value"))
    assert target.split(None, 3)[1:] == [
        "byohpo-core",
        "0.1.0",
        "End when a trial's (first) objective is as good as the target.",
    ]
    told = byohpo("info", "target-value").stdout
    assert told.startswith("target-value: End when")
    assert "value  (needed)  the objective value that is good enough" in told
    assert refused(
        byohpo("info", "target"), "algorithm 'target'", "nor is it an extension (did you mean 'target-value'?"
    )
