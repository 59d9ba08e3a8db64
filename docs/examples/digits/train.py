#!/usr/bin/env python3
"""Trains the network of this example and writes every file that the example carries.

In:   scikit-learn's load_digits, 1797 handwritten digits, 8x8 grey pixels of 0..16.
Out:  digits.onnx, calibration/ and images/ (PNG + labels.txt), test.npz, beside this script.

The network is what a small mobile network looks like when it leaves a training framework: 3x3
stem, inverted residual blocks (1x1 expand, 3x3 depthwise, 1x1 project) with Clip(0, 6), residual
adds, one strided stage, global average pool; BatchNormalization still in its own nodes.
Its input is `image` f32 [batch, 1, 8, 8], byte / 255; its output `logits` f32 [batch, 10].

Needs: pip install jax onnx onnxruntime pillow scikit-learn. Takes a few minutes on one core.
With the same versions on the same machine it writes the same files.
"""

import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
SEED = 1
EPOCHS = 120
BATCH = 128
PEAK_RATE = 4e-3
WEIGHT_DECAY = 2e-2
LABEL_SMOOTHING = 0.05
BN_MOMENTUM = 0.9
BN_EPSILON = 1e-5
TEST_IMAGES = 500
CALIBRATION_IMAGES = 64
SHOWN_IMAGES = 10

# The network, as a list of layers; jax runs it, and the export walks it.
# (kind, name, output channels, stride); "save" and "add" delimit a residual.
NETWORK = [
    ("conv3x3", "stem", 24, 1), ("relu", "stem"),
    ("save", "block1"),
    ("conv1x1", "block1.expand", 96, 1), ("relu6", "block1.expand"),
    ("depthwise", "block1.depthwise", 96, 1), ("relu6", "block1.depthwise"),
    ("conv1x1", "block1.project", 24, 1),
    ("add", "block1"),
    ("conv1x1", "block2.expand", 96, 1), ("relu6", "block2.expand"),
    ("depthwise", "block2.depthwise", 96, 2), ("relu6", "block2.depthwise"),
    ("conv1x1", "block2.project", 48, 1),
    ("save", "block3"),
    ("conv1x1", "block3.expand", 192, 1), ("relu6", "block3.expand"),
    ("depthwise", "block3.depthwise", 192, 1), ("relu6", "block3.depthwise"),
    ("conv1x1", "block3.project", 48, 1),
    ("add", "block3"),
    ("conv1x1", "head", 128, 1), ("relu", "head"),
]
CONVOLUTIONS = ("conv3x3", "conv1x1", "depthwise")
CLASSES = 10


# ---- data

def load_split():
    """Bytes [N, 8, 8] and labels of the training and test digits; the split is fixed."""
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int64)
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels, test_size=TEST_IMAGES, stratify=labels, random_state=SEED)
    return (train_x, train_y), (test_x, test_y)


def network_input(images):
    """Bytes to the network's input: f32 [N, 1, 8, 8], byte / 255."""
    return (images.astype(np.float32) / np.float32(255))[:, None, :, :]


def shift(images, rng):
    """Each image moved by -1, 0 or 1 pixel in each direction, zeros shifted in."""
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    offsets = rng.integers(0, 3, size=(len(images), 2))
    return np.stack([image[:, y:y + 8, x:x + 8] for image, (y, x) in zip(padded, offsets)])


# ---- the network in jax; activations are NHWC here, weights are kept in ONNX's order (OIHW)

def init_parameters(key):
    parameters, statistics, channels = {}, {}, 1
    for kind, name, *shape in NETWORK:
        if kind not in CONVOLUTIONS:
            continue
        outputs = shape[0]
        inputs = 1 if kind == "depthwise" else channels
        size = 1 if kind == "conv1x1" else 3
        key, sub = jax.random.split(key)
        deviation = (2 / (inputs * size * size)) ** 0.5
        parameters[f"{name}.conv.weight"] = deviation * jax.random.normal(
            sub, (outputs, inputs, size, size))
        parameters[f"{name}.bn.weight"] = jnp.ones(outputs)
        parameters[f"{name}.bn.bias"] = jnp.zeros(outputs)
        statistics[f"{name}.bn.mean"] = jnp.zeros(outputs)
        statistics[f"{name}.bn.var"] = jnp.ones(outputs)
        channels = outputs
    key, sub = jax.random.split(key)
    parameters["classifier.weight"] = channels ** -0.5 * jax.random.normal(sub, (CLASSES, channels))
    parameters["classifier.bias"] = jnp.zeros(CLASSES)
    return parameters, statistics


def convolve(kind, x, weight, stride):
    """'Same' padding of one pixel. Shifted sums: much faster than XLA's own gradients on a CPU."""
    if kind == "conv1x1":
        return x @ weight[:, :, 0, 0].T
    _, height, width, _ = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result = 0
    for ky in range(3):
        for kx in range(3):
            window = padded[:, ky:ky + height:stride, kx:kx + width:stride, :]
            if kind == "depthwise":
                result += window * weight[:, 0, ky, kx]
            else:
                result += window @ weight[:, :, ky, kx].T
    return result


def forward(parameters, statistics, x, training):
    """Logits, and the running statistics as they are after this batch."""
    x = jnp.transpose(x, (0, 2, 3, 1))
    updated, saved = {}, None
    for kind, name, *shape in NETWORK:
        if kind in CONVOLUTIONS:
            x = convolve(kind, x, parameters[f"{name}.conv.weight"], shape[1])
            mean, var = statistics[f"{name}.bn.mean"], statistics[f"{name}.bn.var"]
            if training:
                batch_mean, batch_var = x.mean((0, 1, 2)), x.var((0, 1, 2))
                updated[f"{name}.bn.mean"] = BN_MOMENTUM * mean + (1 - BN_MOMENTUM) * batch_mean
                updated[f"{name}.bn.var"] = BN_MOMENTUM * var + (1 - BN_MOMENTUM) * batch_var
                mean, var = batch_mean, batch_var
            x = (x - mean) * jax.lax.rsqrt(var + BN_EPSILON)
            x = x * parameters[f"{name}.bn.weight"] + parameters[f"{name}.bn.bias"]
        elif kind == "relu":
            x = jax.nn.relu(x)
        elif kind == "relu6":
            x = jnp.clip(x, 0, 6)
        elif kind == "save":
            saved = x
        elif kind == "add":
            x = x + saved
    x = x.mean((1, 2))
    return x @ parameters["classifier.weight"].T + parameters["classifier.bias"], updated


def loss(parameters, statistics, x, labels):
    logits, updated = forward(parameters, statistics, x, training=True)
    targets = jax.nn.one_hot(labels, CLASSES) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / CLASSES
    return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean(), updated


@jax.jit
def train_step(parameters, statistics, moments, step, rate, x, labels):
    """One step of AdamW."""
    (value, statistics), gradient = jax.value_and_grad(loss, has_aux=True)(
        parameters, statistics, x, labels)
    first, second = moments
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)

    def update(p, m, v):
        m, v = m / (1 - 0.9 ** step), v / (1 - 0.999 ** step)
        decay = WEIGHT_DECAY if p.ndim > 1 else 0.0
        return p - rate * (m / (jnp.sqrt(v) + 1e-8) + decay * p)

    parameters = jax.tree.map(update, parameters, first, second)
    return parameters, statistics, (first, second), value


def train(images, labels):
    parameters, statistics = init_parameters(jax.random.key(SEED))
    moments = (jax.tree.map(jnp.zeros_like, parameters), jax.tree.map(jnp.zeros_like, parameters))
    rng = np.random.default_rng(SEED)
    x = network_input(images)
    steps_per_epoch = len(x) // BATCH
    steps, step = EPOCHS * steps_per_epoch, 0
    for epoch in range(EPOCHS):
        order = rng.permutation(len(x))
        total = 0.0
        for i in range(steps_per_epoch):
            step += 1
            chosen = order[i * BATCH:(i + 1) * BATCH]
            warm_up = min(1.0, step / (5 * steps_per_epoch))
            rate = PEAK_RATE * warm_up * 0.5 * (1 + np.cos(np.pi * step / steps))
            parameters, statistics, moments, value = train_step(
                parameters, statistics, moments, step, rate, shift(x[chosen], rng), labels[chosen])
            total += float(value)
        if (epoch + 1) % 20 == 0:
            print(f"epoch {epoch + 1}: loss {total / steps_per_epoch:.4f}", flush=True)
    return parameters, statistics


# ---- export

def export_onnx(parameters, statistics):
    """The network as a framework would export it: opset 17, BatchNormalization kept apart."""
    nodes, initializers = [], []

    def constant(name, value):
        initializers.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(op, inputs, name, **attributes):
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    constant("clip.min", 0)
    constant("clip.max", 6)
    x, saved = "image", None
    for kind, name, *shape in NETWORK:
        if kind in CONVOLUTIONS:
            size = 1 if kind == "conv1x1" else 3
            weight = constant(f"{name}.conv.weight", parameters[f"{name}.conv.weight"])
            x = node("Conv", [x, weight], f"{name}.conv",
                     group=shape[0] if kind == "depthwise" else 1, dilations=[1, 1],
                     kernel_shape=[size, size], pads=[size // 2] * 4, strides=[shape[1]] * 2)
            x = node("BatchNormalization",
                     [x, constant(f"{name}.bn.weight", parameters[f"{name}.bn.weight"]),
                      constant(f"{name}.bn.bias", parameters[f"{name}.bn.bias"]),
                      constant(f"{name}.bn.mean", statistics[f"{name}.bn.mean"]),
                      constant(f"{name}.bn.var", statistics[f"{name}.bn.var"])],
                     f"{name}.bn", epsilon=BN_EPSILON)
        elif kind == "relu":
            x = node("Relu", [x], f"{name}.relu")
        elif kind == "relu6":
            x = node("Clip", [x, "clip.min", "clip.max"], f"{name}.relu6")
        elif kind == "save":
            saved = x
        elif kind == "add":
            x = node("Add", [x, saved], f"{name}.add")
    x = node("GlobalAveragePool", [x], "pool")
    x = node("Flatten", [x], "flatten", axis=1)
    node("Gemm", [x, constant("classifier.weight", parameters["classifier.weight"]),
                  constant("classifier.bias", parameters["classifier.bias"])],
         "logits", transB=1)
    graph = helper.make_graph(
        nodes, "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", CLASSES])],
        initializers)
    model = helper.make_model(graph, producer_name="qanat-digits-example", ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    onnx.checker.check_model(model, full_check=True)
    return model


def write_images(folder, images, labels, indices):
    """PNGs, 8x8 grey, and labels.txt with one `filename index` line each."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    lines = []
    for i in indices:
        name = f"{i:04d}.png"
        Image.fromarray(images[i]).save(folder / name)
        lines.append(f"{name} {labels[i]}\n")
    (folder / "labels.txt").write_text("".join(lines))


def balanced(labels, count):
    """Indices of `count` images, in turn the first of each class, the second, and so on."""
    by_class = [np.flatnonzero(labels == c) for c in range(CLASSES)]
    return sorted(int(by_class[i % CLASSES][i // CLASSES]) for i in range(count))


def accuracy(logits, labels):
    return 100 * float((np.argmax(logits, 1) == labels).mean())


def main():
    (train_images, train_labels), (test_images, test_labels) = load_split()
    parameters, statistics = train(train_images, train_labels)

    model = export_onnx(parameters, statistics)
    (HERE / "digits.onnx").write_bytes(model.SerializeToString())
    write_images(HERE / "calibration", train_images, train_labels,
                 balanced(train_labels, CALIBRATION_IMAGES))
    write_images(HERE / "images", test_images, test_labels, balanced(test_labels, SHOWN_IMAGES))
    x = network_input(test_images)
    np.savez(HERE / "test.npz", image=x, labels=test_labels)

    expected = np.asarray(forward(parameters, statistics, x, training=False)[0])
    session = onnxruntime.InferenceSession(HERE / "digits.onnx",
                                           providers=["CPUExecutionProvider"])
    actual = session.run(None, {"image": x})[0]
    difference = float(np.abs(actual - expected).max())
    assert difference <= 1e-4, difference
    weights = sum(int(np.prod(i.dims)) for i in model.graph.initializer)
    print(f"digits.onnx: {(HERE / 'digits.onnx').stat().st_size} bytes, {weights} weights")
    print(f"test accuracy: jax {accuracy(expected, test_labels):.2f} %, "
          f"ONNX Runtime {accuracy(actual, test_labels):.2f} %, "
          f"greatest difference of a logit {difference:.1e}")


if __name__ == "__main__":
    main()
