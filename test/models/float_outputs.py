# REQUIRES: assets, onnxruntime, onnx
# RUN: %python %s %qanat %assets %t
"""Float outputs of real networks, compiled, against ONNX Runtime: max abs difference <= 1e-4 * max abs output, for each
output, on random input. The light ResNet-50 is run as it is and with random weights put in. usage: float_outputs.py QANAT ASSETS SCRATCH"""
import os
import subprocess
import sys

import numpy as np
import onnxruntime as ort

MODELS = ["models/onnx/mobilenetv2", "models/onnx/squeezenet1.1", "models/onnx/cifar10_resnet20",
          "models/onnx/cifar10_resnet_2b", "models/onnx/mnist-8", "onnx_light/light_resnet50"]
BOUND = 1e-4

qanat, assets, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
random = np.random.default_rng(1)
worst = 0
paths = [os.path.join(assets, model + ".onnx") for model in MODELS]
paths.append(os.path.join(scratch, "resnet50_random.onnx"))
tool = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs", "random_weights.py")
subprocess.run([sys.executable, tool, paths[-2], paths[-1]], check=True)
for path in paths:
    model = os.path.basename(path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    feed = session.get_inputs()[0]
    x = random.standard_normal([d if isinstance(d, int) else 1 for d in feed.shape]).astype(np.float32)
    np.save(os.path.join(scratch, "x.npy"), x)
    names = [output.name for output in session.get_outputs()]
    expected = session.run(names, {feed.name: x})
    out = os.path.join(scratch, "out.npz")
    for via in ("process", "llvm"):
        subprocess.run([qanat, "run", path, "--input", os.path.join(scratch, "x.npy"), "--via", via, "-o", out], check=True,
                       stdout=subprocess.DEVNULL)
        with np.load(out) as actual:
            assert sorted(actual.files) == sorted(names), (actual.files, names)
            for name, wanted in zip(names, expected):
                error = np.abs(actual[name].reshape(wanted.shape) - wanted).max() / np.abs(wanted).max()
                print(f"{model} {via} {name}: {error:.2e} of the largest output")
                worst = max(worst, error)
assert worst <= BOUND, worst
