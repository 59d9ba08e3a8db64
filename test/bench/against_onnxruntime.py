#!/usr/bin/env python3
"""Times a model compiled by Qanat against ONNX Runtime, in turn, in one run, on one pinned core.

usage: against_onnxruntime.py MODEL.onnx [--int8 QUANTIZED.onnx] --images DIR [--rounds N] [--cpu N]

Qanat compiles MODEL in float and in int8 (calibrated on DIR); ONNX Runtime runs MODEL and QUANTIZED (made by its own
quantizer from the same images when --int8 is not given) with all graph optimisations. Each round runs every contender
for a few inferences; the table gives medians over the rounds and their ratios. All get the same float input.
"""
import argparse, ctypes, os, statistics, subprocess, sys, tempfile, time

import numpy as np
import onnxruntime as ort

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
QANAT = os.path.join(os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build")), "bin", "qanat")
PREPROCESS = "resize=256,crop=224,mean=123.675:116.28:103.53,std=58.395:57.12:57.375"


class Compiled:
    """A shared object made by `qanat compile --emit shared`, called through its C interface."""

    def __init__(self, path, name, output_shapes):
        lib = ctypes.CDLL(path)
        self.run_fn = getattr(lib, name + "_run")
        arena_bytes = getattr(lib, name + "_arena_bytes")
        arena_bytes.restype = ctypes.c_size_t
        size = arena_bytes(1)
        self.memory = ctypes.create_string_buffer(size + 64)
        self.arena = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) // 64 * 64)
        status = getattr(lib, name + "_init")(self.arena, None)
        if status:
            sys.exit(f"{name}_init: error {status}")
        self.outputs = [np.empty(s, np.float32) for s in output_shapes]
        self.out = (ctypes.c_void_p * len(self.outputs))(*[o.ctypes.data for o in self.outputs])

    def bind(self, x):
        self.x = np.ascontiguousarray(x)
        self.ins = (ctypes.c_void_p * 1)(self.x.ctypes.data)

    def run(self):
        self.run_fn(self.arena, self.ins, self.out, None)
        return self.outputs[0]


class Session:
    def __init__(self, path, threads):
        options = ort.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def bind(self, x):
        self.feed = {self.name: x}

    def run(self):
        return self.session.run(None, self.feed)[0]


def compile_model(folder, model, name, extra):
    path = os.path.join(folder, name + ".so")
    subprocess.run([QANAT, "compile", model, "--name", name, "--emit", "shared", "-o", path, *extra], check=True)
    return path


def quantize_with_onnxruntime(folder, model, samples):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = iter(samples)

        def get_next(self):
            return next(self.left, None)

    import onnx
    from onnx import version_converter
    loaded = onnx.load(model)
    if loaded.opset_import[0].version < 13:  # scales for each channel came with opset 13
        loaded = version_converter.convert_version(loaded, 17)
    prepared, path = os.path.join(folder, "prepared.onnx"), os.path.join(folder, "quantized.onnx")
    onnx.save(loaded, prepared)
    quantize_static(prepared, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, reduce_range=False)
    return path


def load_images(folder, count):
    from PIL import Image
    mean, std = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
    names = sorted(n for n in os.listdir(folder) if n.lower().endswith((".jpg", ".jpeg", ".png")))[:count]
    for name in names:
        image = Image.open(os.path.join(folder, name)).convert("RGB")
        w, h = image.size
        image = image.resize((256 * w // min(w, h), 256 * h // min(w, h)), Image.BILINEAR)
        left, top = (image.size[0] - 224) // 2, (image.size[1] - 224) // 2
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)), np.float32)
        yield ((pixels - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--int8")
    parser.add_argument("--images", required=True)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cpu", type=int, default=0)
    args = parser.parse_args()
    os.sched_setaffinity(0, {args.cpu})
    x = next(iter(load_images(args.images, 1)))
    with tempfile.TemporaryDirectory() as folder:
        probe = Session(args.model, 1)
        feed = probe.session.get_inputs()[0].name
        shapes = [[d if isinstance(d, int) else 1 for d in o.shape] for o in probe.session.get_outputs()]
        int8 = args.int8 or quantize_with_onnxruntime(folder, args.model, [{feed: v} for v in load_images(args.images, 32)])
        calibrate = ["--quantize", "i8", "--calibrate-on", args.images, "--preprocess", PREPROCESS, "--limit", "100"]
        contenders = {
            "Qanat f32": Compiled(compile_model(folder, args.model, "float_model", []), "float_model", shapes),
            "ONNX Runtime f32": probe,
            "Qanat i8": Compiled(compile_model(folder, args.model, "int8_model", calibrate), "int8_model", shapes),
            "ONNX Runtime i8": Session(int8, 1),
        }
        times = {name: [] for name in contenders}
        answers = {}
        for contender in contenders.values():
            contender.bind(x)
        for _ in range(args.rounds):
            for name, contender in contenders.items():
                contender.run()
                start = time.perf_counter()
                for _ in range(args.repeats):
                    answers[name] = contender.run()
                times[name].append((time.perf_counter() - start) / args.repeats * 1e3)
        median = {name: statistics.median(values) for name, values in times.items()}
        print(f"{'':18} {'median ms':>10} {'best ms':>10}   class")
        for name in contenders:
            print(f"{name:18} {median[name]:10.3f} {min(times[name]):10.3f}   {int(np.argmax(answers[name]))}")
        for kind in ("f32", "i8"):
            ratio = statistics.median(b / a for a, b in zip(times[f"Qanat {kind}"], times[f"ONNX Runtime {kind}"]))
            print(f"ONNX Runtime / Qanat, {kind}: {ratio:.2f}")


if __name__ == "__main__":
    main()
