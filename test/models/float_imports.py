# REQUIRES: assets, onnxruntime, onnx, pillow
# RUN: %python %s %qanat %assets %t
"""Float networks of many exporters, compiled, against ONNX Runtime: max abs difference <= 1e-4 * max abs output, for each
output. Random inputs, of a fixed seed; YuNet sees a photograph, without which its scores are all near 0. The networks of
the ONNX project's tests get the input of those tests, and are held to the recorded outputs as well.
usage: float_imports.py QANAT ASSETS SCRATCH"""
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

BOUND = 1e-4
MODELS = {  # and the sizes of what the model leaves open
    "models/onnx/chinese_ocr_dbnet": {"input0": (1, 3, 320, 320)},
    "models/onnx/cifar_wide_kw": {}, "models/onnx/espcn_bsd300x3_float_model": {}, "models/onnx/fsanet-1x1": {},
    "models/onnx/marabou_cifar10_small": {}, "models/onnx/mobilenet_v2_0.35_128_tfs_channel_first": {},
    "models/onnx/pfld-106-lite": {}, "models/onnx/silero_vad_16k_op15": {"input": (1, 512), "state": (2, 1, 128)},
    "models/onnx/ssrnet": {}, "models/onnx/st_mobilenet_v2_0.5_128_2class": {},
    "models/onnx/st_ssd_mobilenet_v1_025_256": {}, "models/onnx/subpixel-cnn": {},
    "models/onnx/ultraface_version-RFB-320": {}, "models/onnx/yamnet_256_64x96_tl": {}, "models/onnx/yolox_nano": {},
    "models/onnx/yunet_n_320_320": {}, "onnx_light/light_bvlc_alexnet": {}, "onnx_light/light_densenet121": {},
    "onnx_light/light_inception_v1": {}, "onnx_light/light_inception_v2": {}, "onnx_light/light_resnet50": {},
    "onnx_light/light_shufflenet": {}, "onnx_light/light_squeezenet": {}, "onnx_light/light_vgg19": {},
    "onnx_light/light_zfnet512": {},
}

qanat, assets, scratch = sys.argv[1:]
os.makedirs(scratch, exist_ok=True)
random = np.random.RandomState(0)
ort.set_default_logger_severity(4)


def photograph(height, width):
    path = os.path.join(assets, "samples", "grace_hopper.bmp")
    pixels = np.asarray(Image.open(path).convert("RGB").resize((width, height)), np.float32)
    return pixels.transpose(2, 0, 1)[None]


def feed(path, given, value):
    if value.type == "tensor(int64)":
        return np.full([1 if isinstance(d, str) else d for d in value.shape], 16000, np.int64)
    shape = given.get(value.name) or [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    if "onnx_light" in path:
        return (np.arange(np.prod(shape)).reshape(shape) / np.prod(shape)).astype(np.float32)
    return photograph(*shape[2:]) if "yunet" in path else random.rand(*shape).astype(np.float32)


def recorded(path, index):
    """The output that is shipped with the model; None if there is none."""
    path = f"{os.path.splitext(path)[0]}_output_{index}.pb"
    return onnx.numpy_helper.to_array(onnx.load_tensor(path)) if os.path.exists(path) else None


def difference(actual, wanted):
    return 0 if wanted is None else np.abs(actual.reshape(wanted.shape) - wanted).max() / max(np.abs(wanted).max(), 1e-30)


def run(path, given):
    """The largest error of an output, relative to its largest element."""
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {value.name: feed(path, given, value) for value in session.get_inputs()}
    out = os.path.join(scratch, "out.npz")
    command = [qanat, "run", path, "--via", "llvm", "-o", out]
    for i, (name, value) in enumerate(feeds.items()):
        np.save(os.path.join(scratch, f"{i}.npy"), value)
        command += ["-i", f"{name}={os.path.join(scratch, str(i))}.npy"]
    for name, shape in given.items():
        command += ["--shape", f"{name}:{','.join(map(str, shape))}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    names = [output.name for output in session.get_outputs()]
    with np.load(out) as actual:
        assert sorted(actual.files) == sorted(names), (actual.files, names)
        return max(max(difference(actual[name], wanted), difference(actual[name], recorded(path, i)))
                   for i, (name, wanted) in enumerate(zip(names, session.run(names, feeds))))


errors = {}
for model, given in MODELS.items():
    errors[model] = run(os.path.join(assets, model + ".onnx"), given)
    print(f"{model}: {errors[model]:.2e} of the largest output", flush=True)
assert max(errors.values()) <= BOUND, max(errors, key=errors.get)
