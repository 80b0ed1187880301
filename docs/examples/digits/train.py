"""Train a small neural network on handwritten digits: a plain SageMaker script-mode script.

It contains nothing about hyperparameter tuning. It reads arguments, prints a metric after each epoch and saves a model.
It trains on the 8 x 8 digits that come with scikit-learn or, with `--data FOLDER` or a channel named `training`, on the
28 x 28 images of MNIST in idx form.

    python train.py --learning_rate 0.1 --num_epoch 20 --batch_size 100
"""

import argparse
import gzip
import math
import os
from pathlib import Path

import numpy as np

LAYERS = (128, 64, 10)


def parse_arguments() -> argparse.Namespace:
    """Read hyperparameters from arguments, and folders from the environment of the training container."""
    parser = argparse.ArgumentParser(description="Train a small neural network on handwritten digits.")
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--num_epoch", type=int, default=10)
    parser.add_argument("--batch_size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1, help="the seed of the initial weights and the order of images")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"), help="where to save the model")
    parser.add_argument("--data", default=os.environ.get("SM_CHANNEL_TRAINING"), help="a folder with MNIST's idx files")
    arguments = parser.parse_args()
    if not (math.isfinite(arguments.learning_rate) and arguments.learning_rate > 0):
        parser.error("--learning_rate must be a positive number")
    if min(arguments.num_epoch, arguments.batch_size) < 1:
        parser.error("--num_epoch and --batch_size must be at least 1")
    return arguments


def read_idx(folder: Path, name: str) -> np.ndarray:
    """Read an array from an idx file, which may be gzipped."""
    path = next((path for path in (folder / f"{name}.gz", folder / name) if path.exists()), None)
    if path is None:
        message = f"{folder} holds neither {name}.gz nor {name}"
        raise SystemExit(message)
    content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    # Two zeros, the type (8: unsigned bytes), the number of dimensions, and each dimension as a big-endian integer.
    if content[:3] != b"\0\0\x08":
        message = f"{path} is not an idx file of unsigned bytes"
        raise SystemExit(message)
    shape = np.frombuffer(content, ">i4", count=content[3], offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(shape)


def load(folder: str | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Return images (one per row, values from 0 to 1), labels, and the number of validation images at the end.

    MNIST's own test images are not used: data that chose the hyperparameters cannot also judge them.
    """
    if folder:
        images = read_idx(Path(folder), "train-images-idx3-ubyte")
        labels = read_idx(Path(folder), "train-labels-idx1-ubyte")
        return images.reshape(len(images), -1).astype(np.float32) / 255, labels, len(images) // 6

    from sklearn.datasets import load_digits  # slow to import, and only needed here

    images, labels = load_digits(return_X_y=True)
    # The digits are ordered by writer. A fixed shuffle mixes the writers, in the same way for every trial.
    order = np.random.default_rng(0).permutation(len(images))
    return images[order].astype(np.float32) / 16, labels[order], len(images) // 5


class Network:
    """A multi-layer perceptron with rectified linear units, a final softmax and plain stochastic gradient descent."""

    def __init__(self, inputs: int, generator: np.random.Generator) -> None:
        """Draw the initial weights as in He et al. 2015 for rectified linear units."""
        sizes = (inputs, *LAYERS)
        self.weights = [
            (generator.standard_normal((size, next_size)) * math.sqrt(2 / size)).astype(np.float32)
            for size, next_size in zip(sizes, LAYERS, strict=False)
        ]
        self.biases = [np.zeros(size, np.float32) for size in LAYERS]

    def forward(self, images: np.ndarray) -> list[np.ndarray]:
        """Return every layer's output: the images first, the ten scores last."""
        outputs = [images]
        for weights, biases in zip(self.weights[:-1], self.biases[:-1], strict=True):
            outputs.append(np.maximum(outputs[-1] @ weights + biases, 0))
        return [*outputs, outputs[-1] @ self.weights[-1] + self.biases[-1]]

    def step(self, images: np.ndarray, labels: np.ndarray, learning_rate: float) -> None:
        """Take one gradient step on the mean cross-entropy of a batch."""
        outputs = self.forward(images)
        scores = outputs.pop()
        gradient = np.exp(scores - scores.max(axis=1, keepdims=True))
        gradient /= gradient.sum(axis=1, keepdims=True)
        gradient[np.arange(len(labels)), labels] -= 1
        gradient *= np.float32(learning_rate / len(labels))
        for layer in reversed(range(len(outputs))):
            change = outputs[layer].T @ gradient, gradient.sum(axis=0)
            if layer:
                gradient = (gradient @ self.weights[layer].T) * (outputs[layer] > 0)
            self.weights[layer] -= change[0]
            self.biases[layer] -= change[1]

    def accuracy(self, images: np.ndarray, labels: np.ndarray) -> float:
        """Return the share of images whose highest score is that of the right digit."""
        return float(np.mean(self.forward(images)[-1].argmax(axis=1) == labels))

    def save(self, path: Path) -> None:
        """Save the weights and biases as NumPy arrays."""
        arrays = {f"weights_{layer}": weights for layer, weights in enumerate(self.weights)}
        arrays |= {f"biases_{layer}": biases for layer, biases in enumerate(self.biases)}
        np.savez(path, **arrays)


def main() -> None:
    """Train, print the validation accuracy after each epoch, and save the model."""
    arguments = parse_arguments()
    images, labels, held_out = load(arguments.data)
    print(f"{len(images) - held_out} images to train on, {held_out} to validate with", flush=True)
    validation = images[-held_out:], labels[-held_out:]
    images, labels = images[:-held_out], labels[:-held_out]

    generator = np.random.default_rng(arguments.seed)
    network = Network(images.shape[1], generator)
    for epoch in range(1, arguments.num_epoch + 1):
        order = generator.permutation(len(images))
        for start in range(0, len(order), arguments.batch_size):
            batch = order[start : start + arguments.batch_size]
            network.step(images[batch], labels[batch], arguments.learning_rate)
        print(f"epoch {epoch} Validation-accuracy={network.accuracy(*validation):.4f}", flush=True)

    if arguments.model_dir:
        Path(arguments.model_dir).mkdir(parents=True, exist_ok=True)
        network.save(Path(arguments.model_dir) / "model.npz")


if __name__ == "__main__":
    main()
