"""`byohpo_core` has the public names, and loads each when it is used."""

import json
import os
import subprocess
import sys
import textwrap

import pytest


def test_importing_the_core_imports_nothing_heavy():
    """Neither what the core uses lazily nor what plugins bring."""
    code = """
        import json, sys
        import byohpo_core
        heavy = {"boto3", "numpy", "scipy", "inspyred", "rich", "sagemaker", "pandas", "sqlite3"}
        print(json.dumps(sorted(heavy & set(sys.modules))))
        from byohpo_core import Tuner
        print(json.dumps(sorted((heavy - {"sqlite3"}) & set(sys.modules))))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [[], []]


def test_every_public_name_is_there():
    """The table of names and the modules agree."""
    import byohpo_core

    assert all(getattr(byohpo_core, name) for name in byohpo_core.__all__)
    assert set(byohpo_core.__all__) <= set(dir(byohpo_core))
    with pytest.raises(AttributeError, match="has no attribute 'Tunner'"):
        _ = byohpo_core.Tunner


def test_the_environment_of_the_tests_is_the_installed_package():
    """What is tested is what a user installs."""
    import byohpo_core

    assert os.environ.get("NOX_CURRENT_SESSION") is None or "site-packages" in byohpo_core.__file__
