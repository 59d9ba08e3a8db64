# REQUIRES: assets, onnxruntime, onnx, pillow
# RUN: %python %s %qanat %assets %t
"""Float networks that onnxruntime.quantization quantizes, and quantized networks of others, against ONNX Runtime on photographs:
the same class, and scores that are the same to a thousandth of a quantum on average. usage: onnx_quantized.py QANAT ASSETS SCRATCH [TEXT...]

ONNX Runtime computes on integers throughout; with activations of s8 it does so where it is told that it may (session.qdqisint8allowed),
and computes some layers in f32 else. Convolutions, products and sums agree to the bit.
"""
import glob
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import version_converter
from onnxruntime import quantization as q
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

qanat, assets, scratch = sys.argv[1:4]
only = sys.argv[4:]
os.makedirs(scratch, exist_ok=True)
U8, S8 = q.QuantType.QUInt8, q.QuantType.QInt8
# Format, type of activations and of weights, by channel or not.
FORMS = {"qdq_s8s8_each": (q.QuantFormat.QDQ, S8, S8, True), "qdq_u8s8_each": (q.QuantFormat.QDQ, U8, S8, True),
         "qdq_u8s8": (q.QuantFormat.QDQ, U8, S8, False), "qdq_u8u8": (q.QuantFormat.QDQ, U8, U8, False),
         "qop_u8s8_each": (q.QuantFormat.QOperator, U8, S8, True), "qop_u8u8": (q.QuantFormat.QOperator, U8, U8, False)}
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def photographs(folder, count, size):
    images = []
    for path in sorted(glob.glob(os.path.join(assets, "images", folder, "*.JPEG")))[:count]:
        pixels = np.asarray(Image.open(path).convert("RGB").resize((size, size)), np.float32) / 255
        images.append(((pixels - MEAN) / STD).transpose(2, 0, 1))
    return np.stack(images)


def cifar(file, count):
    """A label and 3 x 32 x 32 bytes each."""
    data = np.fromfile(os.path.join(assets, "cifar10", file), np.uint8)[: count * 3073].reshape(count, 3073)
    pixels = data[:, 1:].reshape(count, 3, 32, 32).astype(np.float32) / 255
    return (pixels - MEAN[:, None, None]) / STD[:, None, None]


class Reader(q.CalibrationDataReader):
    def __init__(self, name, data):
        self.rest = iter([{name: data[i:i + 1]} for i in range(len(data))])

    def get_next(self):
        return next(self.rest, None)


def runtime(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def quantized(network, form, calibration):
    plain = os.path.join(scratch, network + ".onnx")
    path = os.path.join(scratch, f"{network}_{form}.onnx")
    if not os.path.exists(plain):
        model = onnx.load(os.path.join(assets, "models", "onnx", network + ".onnx"))
        onnx.save(version_converter.convert_version(model, 13), plain) # which has scales by channel
        quant_pre_process(plain, plain, skip_symbolic_shape=True)
    name = runtime(plain).get_inputs()[0].name
    layout, activation, weight, each = FORMS[form]
    q.quantize_static(plain, path, Reader(name, calibration), quant_format=layout, activation_type=activation, weight_type=weight, per_channel=each)
    return path


def scale_of(path):
    """Of the first output: the last DequantizeLinear, or the last scale of a result."""
    model = onnx.load(path)
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    scales = [constants[node.input[1]] for node in model.graph.node if node.op_type == "DequantizeLinear" and node.input[1] in constants
              and node.input[0] not in constants]
    return float(np.ravel(scales[-1])[0]) if scales else 0.01


def compare(path, data, whole=False):
    """Of images one at a time, or of `whole` inputs."""
    session = runtime(path)
    name, output = session.get_inputs()[0].name, session.get_outputs()[0].name
    same, differences, quantum = 0, [], scale_of(path)
    for i in range(len(data)):
        x, got = os.path.join(scratch, "x.npy"), os.path.join(scratch, "got.npz")
        sample = data[i] if whole else data[i:i + 1]
        np.save(x, sample)
        want = np.ravel(session.run(None, {name: sample})[0])
        subprocess.run([qanat, "run", path, "-i", x, "-o", got], check=True, stdout=subprocess.DEVNULL)
        have = np.ravel(np.load(got)[output])
        best = np.flatnonzero(want == want.max()) # classes of one score are of one rank
        same += have.argmax() in best
        differences.append(np.abs(have - want).mean() / quantum)
    return same / len(data), float(np.mean(differences)), float(np.max(differences))


def generic_products(path):
    """How many convolutions and products run on generic kernels."""
    text = subprocess.run([qanat, "compile", path, "--explain", "-o", os.path.join(scratch, "x.o")], check=True, capture_output=True, text=True).stderr
    slow = [line for line in text.splitlines() if "__generic" in line and (": i8 " in line) and ("conv2d" in line or "linear" in line)]
    return len(slow)


CASES = [("cifar10_resnet20", "calib1000.bin", "test2000.bin", 60, tuple(FORMS)), ("squeezenet1.1", "calib", "val", 12, ("qdq_u8s8_each", "qop_u8u8")),
         ("mobilenetv2", "calib", "val", 24, ("qdq_u8s8_each", "qdq_s8s8_each", "qop_u8u8"))]
SHARED = ["ad_quantized_int8", "ic_quantized_int8", "ks_quantized_int8", "mbv2_cifar10_int8", "mobilenetv2_dynamic_int8"]
PHOTOGRAPHED = ["mobilenetv2_qdq_uint8_static", "mobilenetv2_v2weights_qdq_int8"]
faults = 0
for network, calibration, test, count, forms in CASES:
    for form in forms:
        if only and not any(text in f"{network}_{form}" for text in only):
            continue
        small = network.startswith("cifar")
        path = quantized(network, form, cifar(calibration, 64) if small else photographs(calibration, 12, 224))
        same, mean, most = compare(path, cifar(test, count) if small else photographs(test, count, 224))
        slow = generic_products(path)
        print(f"{network} {form}: the same class on {100 * same:.1f} %, {mean:.3f} quanta off on average, {most:.3f} on one photograph, {slow} generic products", flush=True)
        faults += same < 1 or mean > 0.001 or slow > 0
for network in SHARED: # of random numbers: theirs are of many kinds
    if only and not any(text in network for text in only):
        continue
    path = os.path.join(assets, "models", "onnx", network + ".onnx")
    shape = [d if isinstance(d, int) else 1 for d in runtime(path).get_inputs()[0].shape]
    same, mean, most = compare(path, np.random.default_rng(3).standard_normal((4, *shape)).astype(np.float32), whole=True)
    print(f"{network}: the same class on {100 * same:.1f} %, {mean:.3f} quanta off on average", flush=True)
    faults += same < 1 or mean > 0.001
for network in PHOTOGRAPHED:
    if only and not any(text in network for text in only):
        continue
    same, mean, most = compare(os.path.join(assets, "models", "onnx", network + ".onnx"), photographs("val", 24, 224))
    print(f"{network}: the same class on {100 * same:.1f} %, {mean:.3f} quanta off on average, {most:.3f} on one photograph", flush=True)
    faults += same < 1 or mean > 0.001
sys.exit(f"{faults} of the networks differ from ONNX Runtime" if faults else 0)
