"""Functions by name: a folder is on the path only while somebody needs it."""

import sys
import threading

import pytest

from byohpo_core import ContinuousParameter, PythonFunction, Tuner
from byohpo_core.importable import load_function, on_path


def test_the_path_is_as_before(tmp_path):
    """Also after a function was loaded from a folder of its own."""
    (tmp_path / "own_module.py").write_text("def f(hyperparameters): return 1.0\n")
    before = [*sys.path]
    assert load_function("own_module:f", str(tmp_path))({}) == 1.0
    assert sys.path == before


def test_several_threads_may_need_one_folder(tmp_path):
    """The first to leave does not take it away from the others."""
    folder, inside, leave = str(tmp_path), threading.Event(), threading.Event()

    def stay():
        with on_path(folder):
            inside.set()
            leave.wait(30)

    with on_path(folder):
        thread = threading.Thread(target=stay)
        thread.start()
        assert inside.wait(30)
    assert folder in sys.path
    leave.set()
    thread.join()
    assert folder not in sys.path


@pytest.mark.parametrize("processes", [False, True], ids=["threads", "processes"])
def test_a_function_may_import_its_neighbours_late(tmp_path, processes):
    """Its folder is on the path while the study is driven, and not afterwards."""
    (tmp_path / "late_neighbour.py").write_text("VALUE = 2.0\n")
    (tmp_path / "late_importer.py").write_text(
        "def f(hyperparameters):\n    from late_neighbour import VALUE\n    return VALUE\n"
    )
    function = load_function("late_importer:f", str(tmp_path))
    estimator = PythonFunction(function, processes=processes, folder=str(tmp_path))
    ranges = {"x": ContinuousParameter(0, 1)}
    study = Tuner(estimator, "loss", ranges, strategy="random", journal=":memory:", progress=False).fit()
    assert study.best.value == 2.0
    assert str(tmp_path) not in sys.path
