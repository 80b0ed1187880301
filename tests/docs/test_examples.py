"""The examples run as they stand."""

import gzip
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from studies import ROOT

EXAMPLES = ROOT / "docs" / "examples"


def run(script, *arguments):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / script), *arguments], capture_output=True, text=True, check=False, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def accuracies(log):
    return [float(number) for number in re.findall(r"Validation-accuracy=(\S+)", log)]


def test_the_primer_finds_its_minimum():
    """docs/examples/toy.py."""
    told = run("toy.py")
    assert "max_jobs (60) reached" in told
    assert abs(float(re.search(r"x = (\S+),", told)[1]) - 1) < 0.2


def test_the_digits_are_learned():
    """One line an epoch, getting better; the model is saved."""
    log = run(
        "digits/train.py", "--learning_rate", "0.1", "--num_epoch", "6", "--batch_size", "100", "--model-dir", "."
    )
    found = accuracies(log)
    assert len(found) == 6
    assert found[-1] > max(0.7, found[0])
    assert list(Path().glob("*.npz"))


@pytest.mark.parametrize("packed", [True, False], ids=["gz", "raw"])
def test_mnist_in_idx_form_is_read(packed):
    """`--data FOLDER`, with the files as they are published."""
    draw = np.random.default_rng(1)
    labels = draw.integers(0, 10, 600, dtype=np.uint8)
    images = np.zeros((600, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 4] = 255
    for name, array in {"images-idx3": images, "labels-idx1": labels}.items():
        head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        for part in ("train", "t10k"):
            file = Path(f"{part}-{name}-ubyte" + (".gz" if packed else ""))
            file.write_bytes(gzip.compress(head + array.tobytes()) if packed else head + array.tobytes())
    found = accuracies(
        run("digits/train.py", "--num_epoch", "8", "--batch_size", "20", "--data", ".", "--model-dir", ".")
    )
    assert len(found) == 8
    assert found[-1] > 0.9
