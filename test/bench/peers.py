#!/usr/bin/env python3
"""Times Qanat against other inference engines: the same network and input, one process each, in turn, pinned.

usage: peers.py [--install] [--assets DIR] [--models NAME,...] [--peers NAME,...] [--threads 1,2] [--rounds N]
                [--precisions i8,none] [--json FILE]

--install makes build/peers/run and build/peers/convert with the engines and converters of PyPI. Each engine gets the
network in the 8-bit form that it likes best, calibrated on the same inputs: ONNX Runtime QDQ of its own quantizer (unsigned
activations, signed weights, a scale a channel), OpenVINO what NNCF makes (mixed preset), LiteRT a full-integer TFLite file
(XNNPACK), MNN what mnnquant makes, ncnn the float network (its wheel has no quantizer). Every round runs each engine a few
times; reported are medians over all, and the signal-to-noise ratio of its outputs against the float network."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build"))
VENVS = {"run": ["numpy", "onnx", "onnxruntime", "openvino", "nncf", "MNN", "ncnn", "pnnx", "ai-edge-litert", "pillow"],
         "convert": ["onnx2tf", "tensorflow-cpu", "tf_keras", "ai-edge-quantizer", "onnx-graphsurgeon", "sng4onnx", "psutil"]}
CALIBRATION = 32
RUNS_A_ROUND_MS = 25 # how long an engine runs in a round, at least once
PAUSE_S = 0.004      # for another engine's spinning threads to sleep


def venv(name):
    return os.path.join(BUILD, "peers", name, "bin", "python")


def install():
    for name, packages in VENVS.items():
        folder = os.path.dirname(os.path.dirname(venv(name)))
        if not os.path.exists(venv(name)):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([venv(name), "-m", "pip", "install", "-q", *packages], check=True)


# ---- workers: one engine with one network, in a process of its own: bind(input), then run() -> outputs.

class Qanat:
    def __init__(self, spec, folder, threads, np):
        import ctypes
        path, binary = os.path.join(folder, "m.so"), os.path.join(BUILD, "bin", "qanat")
        command = [binary, "compile", spec["model"], "--name", "m", "--emit", "shared", "-o", path]
        if spec["precision"] == "i8":
            command += ["--quantize", "i8", "--calibrate-on", spec["samples"]]
        start = time.perf_counter()
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        self.compile_s = time.perf_counter() - start
        lib = ctypes.CDLL(path)
        self.fn, size = lib.m_run, lib.m_arena_bytes
        size.restype = ctypes.c_size_t
        self.memory = ctypes.create_string_buffer(size(threads) + 64)
        self.arena = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) // 64 * 64)
        options = (ctypes.c_int * 1)(threads)
        if lib.m_init(self.arena, options):
            raise RuntimeError("init failed")
        self.outputs = [np.empty(shape, np.float32) for shape in spec["outputs"]]
        self.out = (ctypes.c_void_p * len(self.outputs))(*[o.ctypes.data for o in self.outputs])
        self.pool = None
        if threads > 1:
            pool = os.path.join(folder, "pool.so")
            runtime = os.path.join(ROOT, "runtime")
            subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-pthread", "-I" + ROOT, os.path.join(runtime, "pool.c"), "-o", pool],
                           check=True)
            library = ctypes.CDLL(pool)
            library.qn_pool_open.restype = ctypes.c_void_p
            self.pool = ctypes.c_void_p(library.qn_pool_open(threads))

    def bind(self, x):
        import ctypes
        self.x, self.ins = x, (ctypes.c_void_p * 1)(x.ctypes.data)

    def run(self):
        self.fn(self.arena, self.ins, self.out, self.pool)
        return self.outputs


class OnnxRuntime:
    def __init__(self, spec, folder, threads, np):
        import onnxruntime as ort
        path = spec["model"]
        if spec["precision"] == "i8":
            path = self.quantized(spec, folder, np)
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @staticmethod
    def quantized(spec, folder, np):
        import onnx
        from onnx import version_converter
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
        samples = iter([{spec["input"]: x} for x in load_samples(spec, np)])

        class Reader(CalibrationDataReader):
            def get_next(self):
                return next(samples, None)
        model = onnx.load(spec["model"])
        if model.opset_import[0].version < 13: # a scale a channel came with opset 13
            model = version_converter.convert_version(model, 17)
        raw, prepared, path = (os.path.join(folder, name) for name in ("raw.onnx", "prepared.onnx", "int8.onnx"))
        onnx.save(model, raw)
        quant_pre_process(raw, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, reduce_range=False)
        return path

    def bind(self, x):
        self.feed = {self.session.get_inputs()[0].name: x}

    def run(self):
        return self.session.run(None, self.feed)


class OpenVino:
    def __init__(self, spec, folder, threads, np):
        import openvino as ov
        model = ov.convert_model(spec["model"])
        model.reshape(spec["shape"])
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1,
                  "ENABLE_CPU_PINNING": False}
        if spec["precision"] == "i8":
            import nncf
            model = nncf.quantize(model, nncf.Dataset(load_samples(spec, np)), preset=nncf.QuantizationPreset.MIXED,
                                  subset_size=CALIBRATION)
        else:
            config["INFERENCE_PRECISION_HINT"] = "f32"
        self.ov, self.request = ov, ov.Core().compile_model(model, "CPU", config).create_infer_request()

    def bind(self, x):
        self.request.set_input_tensor(self.ov.Tensor(x))

    def run(self):
        self.request.infer()
        return [tensor.data for tensor in self.request.output_tensors]


class LiteRT:
    def __init__(self, spec, folder, threads, np):
        calibration = os.path.join(folder, "nhwc.npy")
        samples = np.concatenate(load_samples(spec, np))
        np.save(calibration, samples.transpose(0, 2, 3, 1) if samples.ndim == 4 else samples)
        command = [os.path.join(os.path.dirname(venv("convert")), "onnx2tf"), "-i", spec["model"], "-o", folder, "-n"]
        if spec["precision"] == "i8":
            channels = samples.shape[1]
            command += ["-oiqt", "-cind", spec["input"], calibration, str([[[[0.0] * channels]]]), str([[[[1.0] * channels]]])]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, timeout=600,
                       env={**os.environ, "PATH": os.path.dirname(venv("convert")) + os.pathsep + os.environ["PATH"]})
        ending = "_full_integer_quant.tflite" if spec["precision"] == "i8" else "_float32.tflite"
        path = next(os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(ending))
        from ai_edge_litert.interpreter import Interpreter
        self.np, self.interpreter = np, Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()

    def bind(self, x):
        detail, np = self.interpreter.get_input_details()[0], self.np
        x = x.transpose(0, 2, 3, 1) if x.ndim == 4 and list(x.shape) != list(detail["shape"]) else x
        scale, zero = detail["quantization"]
        if detail["dtype"] != np.float32:
            info = np.iinfo(detail["dtype"])
            x = np.clip(np.rint(x / scale) + zero, info.min, info.max).astype(detail["dtype"])
        self.interpreter.set_tensor(detail["index"], np.ascontiguousarray(x))

    def run(self):
        self.interpreter.invoke()
        results = []
        for detail in self.interpreter.get_output_details():
            y, (scale, zero) = self.interpreter.get_tensor(detail["index"]), detail["quantization"]
            y = (y.astype(self.np.float32) - zero) * scale if scale else y
            results.append(y.transpose(0, 3, 1, 2) if y.ndim == 4 else y)
        return results


class Mnn:
    def __init__(self, spec, folder, threads, np):
        import MNN
        import MNN.expr as expr
        import MNN.nn as nn
        tools = os.path.dirname(sys.executable)
        path = os.path.join(folder, "float.mnn")
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([os.path.join(tools, "mnnconvert"), "-f", "ONNX", "--modelFile", spec["model"], "--MNNModel", path,
                        "--bizCode", "x"], check=True, **quiet)
        if spec["precision"] == "i8":
            path = self.quantized(spec, folder, path, os.path.join(tools, "mnnquant"), quiet, np)
        self.expr, self.np = expr, np
        manager = nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "normal"},))
        self.net = nn.load_module_from_file(path, [spec["input"]], spec["output_names"], runtime_manager=manager)

    @staticmethod
    def quantized(spec, folder, path, tool, quiet, np):
        samples = os.path.join(folder, "samples")
        os.makedirs(samples)
        for i, x in enumerate(load_samples(spec, np)):
            one = os.path.join(samples, f"sample_{i}")
            os.makedirs(one)
            with open(os.path.join(one, "input.txt"), "w", encoding="ascii") as file:
                file.write("\n".join(map(str, x.ravel())))
            with open(os.path.join(one, "input.json"), "w", encoding="ascii") as file:
                json.dump({"inputs": [{"name": spec["input"], "shape": list(x.shape)}], "outputs": spec["output_names"]}, file)
            os.rename(os.path.join(one, "input.txt"), os.path.join(one, spec["input"] + ".txt"))
        config = os.path.join(folder, "quant.json")
        with open(config, "w", encoding="ascii") as file:
            json.dump({"input_type": "sequence", "path": samples, "used_sample_num": CALIBRATION,
                       "feature_quantize_method": "KL", "weight_quantize_method": "MAX_ABS", "batch_size": 1}, file)
        out = os.path.join(folder, "int8.mnn")
        subprocess.run([tool, path, out, config], check=True, **quiet)
        return out

    def bind(self, x):
        self.x = self.expr.const(x.ravel().tolist(), list(x.shape), self.expr.NCHW)
        self.x = self.expr.convert(self.x, self.expr.NC4HW4) if x.ndim == 4 else self.x

    def run(self):
        outputs = self.net.forward([self.x])
        return [self.expr.convert(y, self.expr.NCHW).read() for y in outputs]


class Ncnn:
    def __init__(self, spec, folder, threads, np):
        if spec["precision"] == "i8":
            raise NotImplementedError("its wheel has no quantizer")
        import ncnn
        import pnnx
        copy = os.path.join(folder, "m.onnx")
        with open(spec["model"], "rb") as source, open(copy, "wb") as file:
            file.write(source.read())
        tool = os.path.join(os.path.dirname(pnnx.__file__), "bin", "pnnx")
        subprocess.run([tool, copy, f"inputshape=[{','.join(map(str, spec['shape']))}]"], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ncnn, self.np, self.net = ncnn, np, ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.load_param(os.path.join(folder, "m.ncnn.param"))
        self.net.load_model(os.path.join(folder, "m.ncnn.bin"))

    def bind(self, x):
        self.x = self.ncnn.Mat(x[0])

    def run(self):
        results = []
        with self.net.create_extractor() as extractor:
            extractor.input(self.net.input_names()[0], self.x)
            for name in self.net.output_names():
                results.append(self.np.array(extractor.extract(name)[1]))
        return results


ENGINES = {"qanat": Qanat, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "litert": LiteRT, "mnn": Mnn, "ncnn": Ncnn}
TITLES = {"qanat": "Qanat", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "litert": "LiteRT (XNNPACK)",
          "mnn": "MNN", "ncnn": "ncnn"}


def load_samples(spec, np):
    names = sorted(os.listdir(spec["samples"]))[:CALIBRATION]
    return [np.load(os.path.join(spec["samples"], name)) for name in names]


def worker(kind, spec, folder, threads):
    """Answers on the standard output: `time N` with N times in ms, `save FILE` with its outputs in FILE."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1) # what engines print is not an answer
    import numpy as np
    try:
        engine = ENGINES[kind](spec, folder, threads, np)
        engine.bind(np.load(os.path.join(spec["samples"], sorted(os.listdir(spec["samples"]))[0])))
        for _ in range(3):
            outputs = engine.run()
    except BaseException as error: # also what an engine's library throws
        traceback.print_exc()
        print(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}), file=answers, flush=True)
        return
    print(json.dumps({"ready": True, "compile_s": getattr(engine, "compile_s", None)}), file=answers, flush=True)
    for line in sys.stdin:
        word, value = line.split(maxsplit=1)
        if word == "save":
            np.savez(value.strip(), *[np.asarray(y, np.float32) for y in outputs])
            print("{}", file=answers, flush=True)
            continue
        times = []
        for _ in range(int(value)):
            start = time.perf_counter()
            outputs = engine.run()
            times.append((time.perf_counter() - start) * 1e3)
        print(json.dumps(times), file=answers, flush=True)


# ---- networks

def networks(assets):
    """name -> file, and inputs: images are photographs where the network knows them, else normal numbers."""
    onnx, light = os.path.join(assets, "models", "onnx"), os.path.join(assets, "onnx_light")
    return {
        "MobileNetV2 1.0-224": os.path.join(onnx, "mobilenetv2.onnx"),
        "ResNet-50": os.path.join(light, "light_resnet50.onnx"),
        "SqueezeNet 1.1": os.path.join(onnx, "squeezenet1.1.onnx"),
        "ShuffleNet": os.path.join(light, "light_shufflenet.onnx"),
        "DenseNet-121": os.path.join(light, "light_densenet121.onnx"),
        "YOLOX-nano": os.path.join(onnx, "yolox_nano.onnx"),
        "UltraFace RFB-320": os.path.join(onnx, "ultraface_version-RFB-320.onnx"),
        "YuNet 320": os.path.join(onnx, "yunet_n_320_320.onnx"),
        "ResNet-20 (CIFAR-10)": os.path.join(onnx, "cifar10_resnet20.onnx"),
    }


def with_random_weights(path, folder, np):
    """Networks of the ONNX project's `light` set have constant weights (ConstantOfShape): drawn as He's normal instead."""
    import onnx
    from onnx import numpy_helper
    model = onnx.load(path)
    random, known, kept = np.random.RandomState(0), {t.name: t for t in model.graph.initializer}, []
    users = {name: (node, i) for node in model.graph.node for i, name in enumerate(node.input)}
    for node in model.graph.node:
        shape = known.get(node.input[0]) if node.op_type == "ConstantOfShape" else None
        if shape is None:
            kept.append(node)
            continue
        dims = numpy_helper.to_array(shape)
        user, index = users.get(node.output[0], (None, 0))
        fan_in = max(1, int(np.prod(dims[1:]))) if len(dims) > 1 else 0
        if fan_in:
            values = random.randn(*dims) * np.sqrt(2 / fan_in)
        elif user is not None and user.op_type == "BatchNormalization" and index in (1, 4):
            values = random.uniform(0.8, 1.2, dims)
        else:
            values = random.randn(*dims) * 0.05
        model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    out = os.path.join(folder, os.path.basename(path))
    onnx.save(model, out)
    return out


def photographs(assets, shape, np):
    from PIL import Image
    folder = os.path.join(assets, "images", "calib")
    mean, std = np.array([123.675, 116.28, 103.53], np.float32), np.array([58.395, 57.12, 57.375], np.float32)
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith((".jpg", ".jpeg", ".png")))
    for name in names[:CALIBRATION]:
        image = Image.open(os.path.join(folder, name)).convert("RGB").resize((shape[3], shape[2]), Image.BILINEAR)
        yield ((np.asarray(image, np.float32) - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)


def prepare(name, path, assets, folder, np):
    import onnxruntime as ort
    if os.path.basename(path).startswith("light_"):
        path = with_random_weights(path, folder, np)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    value = session.get_inputs()[0]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    samples = os.path.join(folder, "samples")
    os.makedirs(samples)
    random = np.random.RandomState(1)
    images = photographs(assets, shape, np) if len(shape) == 4 and shape[1] == 3 else (
        random.randn(*shape).astype(np.float32) for _ in range(CALIBRATION))
    first = None
    for i, x in enumerate(images):
        x = np.ascontiguousarray(x)
        first = x if first is None else first
        np.save(os.path.join(samples, f"{i:03d}.npy"), x)
    outputs = session.run(None, {value.name: first})
    return {"name": name, "model": path, "input": value.name, "shape": shape, "samples": samples,
            "output_names": [o.name for o in session.get_outputs()], "outputs": [list(y.shape) for y in outputs]}, outputs


# ---- one network, all engines

class Contender:
    def __init__(self, kind, spec, threads, cpus):
        self.kind, self.times, self.folder = kind, [], tempfile.mkdtemp(prefix=f"{kind}-", dir=os.path.dirname(spec["samples"]))
        with open(os.path.join(self.folder, "log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["taskset", "-c", cpus, venv("run"), os.path.abspath(__file__), "--worker", kind,
                                             json.dumps(spec), self.folder, str(threads)],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
        answer = self.answer()
        self.error, self.compile_s = answer.get("error"), answer.get("compile_s")

    def answer(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else {"error": "its process ended"}

    def ask(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        return self.answer()

    def snr(self, want, np):
        path = os.path.join(self.folder, "outputs.npz")
        self.ask("save " + path)
        with np.load(path) as got:
            ys = [got[key].ravel() for key in got.files]
        worst = float("inf")
        for w in want: # engines order outputs as they like: the one of the same size that fits best
            fits = [10 * np.log10(max((w ** 2).sum(), 1e-30) / max(((w.ravel() - y) ** 2).sum(), 1e-30)) for y in ys if y.size == w.size]
            worst = min(worst, max(fits, default=float("-inf")))
        return worst

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=30)


def measure(spec, want, kinds, threads, rounds, np):
    cpus = ",".join(str(cpu) for cpu in range(1, 1 + threads)) if os.cpu_count() > threads else ",".join(map(str, range(threads)))
    contenders, row = [], {}
    for kind in kinds:
        contender = Contender(kind, spec, threads, cpus)
        if contender.error:
            row[kind] = {"error": contender.error}
            print(f"  {kind}: {contender.error}", flush=True)
        else:
            contenders.append(contender)
    counts = {c.kind: max(1, min(200, int(RUNS_A_ROUND_MS / max(statistics.median(c.ask("time 3")), 1e-3)))) for c in contenders}
    for _ in range(rounds):
        for contender in contenders:
            time.sleep(PAUSE_S)
            contender.times += contender.ask(f"time {counts[contender.kind]}")
    for contender in contenders:
        row[contender.kind] = {"median_ms": statistics.median(contender.times), "min_ms": min(contender.times),
                               "runs": len(contender.times), "snr_db": round(float(contender.snr(want, np)), 1)}
        if contender.compile_s:
            row[contender.kind]["compile_s"] = contender.compile_s
        contender.close()
    return row


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--worker":
        worker(sys.argv[2], json.loads(sys.argv[3]), sys.argv[4], int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--assets", default=os.environ.get("QANAT_ASSETS"))
    parser.add_argument("--models", default="")
    parser.add_argument("--peers", default=",".join(ENGINES))
    parser.add_argument("--precisions", default="i8")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json")
    args = parser.parse_args()
    if args.install:
        install()
    if not os.path.exists(venv("run")):
        sys.exit("peers.py: no engines are installed: give --install")
    if os.path.dirname(os.path.dirname(venv("run"))) != sys.prefix:
        arguments = [argument for argument in sys.argv[1:] if argument != "--install"]
        sys.exit(subprocess.run([venv("run"), os.path.abspath(__file__), *arguments], check=False).returncode)
    if not args.assets:
        sys.exit("peers.py: give --assets DIR, the folder with models/onnx, onnx_light and images")
    import numpy as np
    results, wanted = [], [name.lower() for name in args.models.split(",") if name]
    for name, path in networks(args.assets).items():
        if wanted and not any(word in name.lower() for word in wanted):
            continue
        with tempfile.TemporaryDirectory() as folder:
            spec, outputs = prepare(name, path, args.assets, folder, np)
            for precision in args.precisions.split(","):
                for threads in map(int, args.threads.split(",")):
                    print(f"{name}, {precision}, {threads} thread{'s' * (threads > 1)}", flush=True)
                    row = measure({**spec, "precision": precision}, outputs, args.peers.split(","), threads, args.rounds, np)
                    for kind, cell in row.items():
                        if "median_ms" in cell:
                            print(f"  {TITLES[kind]:18} {cell['median_ms']:9.3f} ms  (least {cell['min_ms']:.3f}, "
                                  f"{cell['runs']} runs)  {cell['snr_db']:6.1f} dB", flush=True)
                    results.append({"network": name, "precision": precision, "threads": threads, "engines": row})
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
