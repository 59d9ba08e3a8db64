"""The engines of the benchmark, each with one network in a process of its own (see `serve`).

An engine is a class: VARIANTS are its configurations, of which `serve` keeps the fastest whose outputs are right; an instance
binds an input, runs, and gives its outputs as float arrays. run() holds nothing but the inference: conversions of inputs and
outputs for engines with 8-bit ones are not timed, and arrays are bound once where an engine allows it."""
import ctypes
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import traceback

import numpy as np
import onednn_chain
from peer_networks import CALIBRATION, load_samples

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build"))
PEERS = os.path.join(BUILD, "peers")
LEAST_SNR_DB = 8 # of an 8-bit network's outputs against the float network's: below it, an engine computes something else
TRIAL_S = 0.4    # how long a variant is tried


def python_of(venv):
    return os.path.join(PEERS, venv, "bin", "python")


def quietly(command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", **options)


def cached(spec, name, make):
    """What takes long to make, once a network: a file or folder, kept for later runs."""
    path = os.path.join(spec["cache"], name)
    if not os.path.exists(path):
        make(path)
    return path


class Qanat:
    VARIANTS = ["int8"]

    def __init__(self, spec, threads, _):
        path = os.path.join(spec["folder"], f"qanat_{spec['precision']}.so")
        if not os.path.exists(path):
            self.compile(spec, path)
        lib = ctypes.CDLL(path)
        self.call, size = lib.m_run, lib.m_arena_bytes
        size.restype = ctypes.c_size_t
        self.memory = ctypes.create_string_buffer(size(threads) + 64)
        self.arena = ctypes.c_void_p((ctypes.addressof(self.memory) + 63) // 64 * 64)
        if lib.m_init(self.arena, (ctypes.c_int64 * 2)(threads)):
            raise RuntimeError("init failed")
        self.results = [np.empty(shape, np.float32) for shape in spec["outputs"]]
        self.out = (ctypes.c_void_p * len(self.results))(*[y.ctypes.data for y in self.results])
        self.pool = self.new_pool(spec, threads) if threads > 1 else None

    @staticmethod
    def compile(spec, path):
        command = [os.path.join(BUILD, "bin", "qanat"), "compile", spec["model"], "--name", "m", "--emit", "shared", "-o", path]
        target = ["--target", spec["target"]] if spec["target"] else []
        quietly(command + target + (["--quantize", "i8", "--calibrate-on", spec["samples"]] if spec["precision"] == "i8" else []))

    @staticmethod
    def new_pool(spec, threads):
        source = os.path.join(ROOT, "runtime", "pool.c")
        path = cached(spec, "pool.so", lambda path: quietly(["cc", "-O2", "-shared", "-fPIC", "-pthread", "-I" + ROOT, source, "-o", path]))
        library = ctypes.CDLL(path)
        library.qn_pool_open.restype = ctypes.c_void_p
        return ctypes.c_void_p(library.qn_pool_open(threads))

    def bind(self, x):
        self.x, self.ins = x, (ctypes.c_void_p * 1)(x.ctypes.data)

    def run(self):
        self.call(self.arena, self.ins, self.out, self.pool)

    def outputs(self):
        return self.results


class OnnxRuntime:
    """Its own static quantizer: unsigned or signed activations, signed weights with a scale a channel. QOperator files are as fast
    as QDQ ones within 5 % where both were tried. reduce_range is off: it is for processors whose 8-bit products saturate."""
    VARIANTS = ["QDQ u8s8", "QDQ s8s8"]

    def __init__(self, spec, threads, variant):
        import onnxruntime as ort
        path = spec["model"]
        if spec["precision"] == "i8":
            path = cached(spec, f"ort_{variant.replace(' ', '_')}.onnx", lambda path: self.quantize(spec, variant, path))
        options = ort.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.binding = self.session.io_binding()
        for output in self.session.get_outputs():
            self.binding.bind_output(output.name)

    @staticmethod
    def quantize(spec, variant, path):
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
        samples = iter([{spec["input"]: x} for x in load_samples(spec)])

        class Reader(CalibrationDataReader):
            def get_next(self):
                return next(samples, None)
        prepared = cached(spec, "ort_prepared.onnx", lambda path: quant_pre_process(spec["model"], path, skip_symbolic_shape=True))
        quantize_static(prepared, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True,
                        activation_type=QuantType.QInt8 if "s8s8" in variant else QuantType.QUInt8,
                        weight_type=QuantType.QInt8, reduce_range=False)

    def bind(self, x):
        self.binding.bind_cpu_input(self.session.get_inputs()[0].name, x)

    def run(self):
        self.session.run_with_iobinding(self.binding)

    def outputs(self):
        return self.binding.copy_outputs_to_cpu()


class OpenVino:
    """What NNCF makes of the network; inputs and outputs stay float. What is not quantized may run in bf16 (its default). The preset
    `mixed`, with zero points in activations, was slower on most of the networks where both were tried."""
    VARIANTS = ["performance"]

    def __init__(self, spec, threads, variant):
        import openvino as ov
        from openvino._pyopenvino import InferRequest
        config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        model = ov.convert_model(spec["model"])
        if spec["precision"] == "i8":
            model = ov.Core().read_model(cached(spec, f"nncf_{variant}.xml", lambda path: self.quantize(ov, spec, variant, path)))
        else:
            config["INFERENCE_PRECISION_HINT"] = "f32"
        self.ov, self.request = ov, ov.Core().compile_model(model, "CPU", config).create_infer_request()
        self.infer = InferRequest.infer # without the conversions of the Python class above it

    @staticmethod
    def quantize(ov, spec, variant, path):
        import nncf
        model = nncf.quantize(ov.convert_model(spec["model"]), nncf.Dataset(load_samples(spec)), subset_size=CALIBRATION,
                              preset=nncf.QuantizationPreset(variant))
        ov.save_model(model, path, compress_to_fp16=False)

    def bind(self, x):
        self.request.set_input_tensor(self.ov.Tensor(x))

    def run(self):
        self.infer(self.request, {}, True, False)

    def outputs(self):
        return [np.array(tensor.data) for tensor in self.request.output_tensors]


QUANTIZE_TFLITE = """
import sys
import numpy as np
import tensorflow as tf
samples = np.load("samples.npy")
converter = tf.lite.TFLiteConverter.from_saved_model(sys.argv[1])
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([x[None]] for x in samples)
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
with open(sys.argv[2], "wb") as file:
    file.write(converter.convert())
"""


class LiteRT:
    """A full-integer TFLite file (onnx2tf and TensorFlow's converter), run by XNNPACK."""
    VARIANTS = ["int8"]

    def __init__(self, spec, threads, _):
        from ai_edge_litert.interpreter import Interpreter
        folder = cached(spec, "tflite_" + spec["precision"], lambda path: self.convert(spec, path))
        ending = "_int8.tflite" if spec["precision"] == "i8" else "_float32.tflite"
        path = next(os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(ending))
        self.interpreter = Interpreter(model_path=path, num_threads=threads)
        self.interpreter.allocate_tensors()
        self.run = self.interpreter.invoke

    @staticmethod
    def convert(spec, path):
        folder, tools = path + ".part", os.path.dirname(python_of("convert"))
        os.makedirs(folder, exist_ok=True)
        samples = np.concatenate(load_samples(spec))
        np.save(os.path.join(folder, "samples.npy"), samples.transpose(0, 2, 3, 1) if samples.ndim == 4 else samples)
        # images that onnx2tf would fetch from the network to try the converted network on
        np.save(os.path.join(folder, "calibration_image_sample_data_20x128x128x3_float32.npy"),
                np.random.RandomState(0).rand(20, 128, 128, 3).astype(np.float32))
        options = {"cwd": folder, "timeout": 900, "env": {**os.environ, "PATH": tools + os.pathsep + os.environ["PATH"]}}
        quietly([os.path.join(tools, "onnx2tf"), "-i", spec["model"], "-o", folder, "-n", "-osd"], **options)
        if spec["precision"] == "i8":
            quietly([python_of("convert"), "-c", QUANTIZE_TFLITE, folder, os.path.join(folder, "model_int8.tflite")], **options)
        os.rename(folder, path)

    def bind(self, x):
        detail = self.interpreter.get_input_details()[0]
        x = x.transpose(0, 2, 3, 1) if x.ndim == 4 and list(x.shape) != list(detail["shape"]) else x
        scale, zero = detail["quantization"]
        if detail["dtype"] != np.float32:
            info = np.iinfo(detail["dtype"])
            x = np.clip(np.rint(x / scale) + zero, info.min, info.max).astype(detail["dtype"])
        self.interpreter.set_tensor(detail["index"], np.ascontiguousarray(x))

    def outputs(self):
        results = []
        for detail in self.interpreter.get_output_details():
            y, (scale, zero) = self.interpreter.get_tensor(detail["index"]), detail["quantization"]
            y = (y.astype(np.float32) - zero) * scale if scale else y
            results.append(y.transpose(0, 3, 1, 2) if y.ndim == 4 else y)
        return results


class Mnn:
    """mnnconvert and mnnquant of its wheel, called as functions: the scripts around them send reports, and the quantizer's passes
    its arguments wrongly."""
    VARIANTS = ["int8", "float"]

    def __init__(self, spec, threads, variant):
        import MNN.expr as expr
        import MNN.nn as nn
        path = cached(spec, "float.mnn", lambda path: self.tool(
            "mnnconvert", "-f", "ONNX", "--modelFile", spec["model"], "--MNNModel", path, "--bizCode", "x"))
        if spec["precision"] == "i8" and variant == "int8":
            path = cached(spec, "int8.mnn", lambda path: self.quantize(spec, path))
        self.expr = expr
        manager = nn.create_runtime_manager(({"backend": "CPU", "numThread": threads, "precision": "normal"},))
        self.net = nn.load_module_from_file(path, [spec["input"]], spec["output_names"], runtime_manager=manager)

    @staticmethod
    def tool(name, *words):
        quietly([sys.executable, "-c", f"import _tools, sys; _tools.{name}(['{name}'] + sys.argv[1:])", *words])

    def quantize(self, spec, path):
        folder = cached(spec, "mnn_samples", os.makedirs)
        for i, x in enumerate(load_samples(spec)):
            one = os.path.join(folder, f"{i:03d}")
            os.makedirs(one, exist_ok=True)
            np.savetxt(os.path.join(one, spec["input"] + ".txt"), x.ravel(), "%.7g")
            with open(os.path.join(one, "input.json"), "w", encoding="ascii") as file:
                json.dump({"inputs": [{"name": spec["input"], "shape": spec["shape"]}], "outputs": spec["output_names"]}, file)
        config = os.path.join(spec["cache"], "mnn_quant.json")
        with open(config, "w", encoding="ascii") as file:
            json.dump({"input_type": "sequence", "path": folder + "/", "used_sample_num": CALIBRATION, "feature_quantize_method": "KL",
                       "weight_quantize_method": "MAX_ABS", "inputs": [{"name": spec["input"], "shape": spec["shape"]}]}, file)
        self.tool("mnnquant", os.path.join(spec["cache"], "float.mnn"), path, config)

    def bind(self, x):
        self.x = self.expr.const(x.ravel().tolist(), list(x.shape), self.expr.NCHW)
        self.x = self.expr.convert(self.x, self.expr.NC4HW4) if x.ndim == 4 else self.x

    def run(self):
        self.results = self.net.forward([self.x])

    def outputs(self):
        return [np.array(self.expr.convert(y, self.expr.NCHW).read()) for y in self.results]


class Ncnn:
    """The float network: neither its wheel nor its source package has the quantizer."""
    VARIANTS = ["float"]

    def __init__(self, spec, threads, _):
        import ncnn
        folder = cached(spec, "ncnn", lambda path: self.convert(spec, path))
        self.ncnn, self.net = ncnn, ncnn.Net()
        self.net.opt.num_threads = threads
        self.net.load_param(os.path.join(folder, "m.ncnn.param"))
        self.net.load_model(os.path.join(folder, "m.ncnn.bin"))
        self.input, self.names = self.net.input_names()[0], self.net.output_names()

    @staticmethod
    def convert(spec, path):
        folder = path + ".part"
        os.makedirs(folder, exist_ok=True)
        shutil.copy(spec["model"], os.path.join(folder, "m.onnx"))
        quietly([os.path.join(os.path.dirname(python_of("run")), "pnnx"), "m.onnx", f"inputshape=[{','.join(map(str, spec['shape']))}]"],
                cwd=folder)
        os.rename(folder, path)

    def bind(self, x):
        self.x = self.ncnn.Mat(x[0])

    def run(self):
        with self.net.create_extractor() as extractor:
            extractor.input(self.input, self.x)
            self.results = [np.array(extractor.extract(name)[1]) for name in self.names] # their memory is the extractor's

    def outputs(self):
        return self.results


class Torch:
    """PyTorch's compiler: quantized by torchao for x86 (oneDNN's kernels, with loops in C++ between them), frozen."""
    VARIANTS = ["int8"]

    def __init__(self, spec, threads, _):
        os.environ.update(TORCHINDUCTOR_FREEZING="1", TORCHINDUCTOR_CPP_WRAPPER="1",
                          TORCHINDUCTOR_CACHE_DIR=os.path.join(spec["cache"], "inductor"))
        import onnx
        import onnx2torch
        import torch
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch
        model = onnx2torch.convert(onnx.load(spec["model"])).eval()
        self.module = torch.compile(self.quantized(model, [torch.from_numpy(x) for x in load_samples(spec)])
                                    if spec["precision"] == "i8" else model)

    def quantized(self, model, samples):
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86
        quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
        observed = prepare_pt2e(self.torch.export.export(model, (samples[0],)).module(), quantizer)
        for x in samples:
            observed(x)
        return convert_pt2e(observed)

    def bind(self, x):
        self.x = self.torch.from_numpy(x)

    def run(self):
        self.results = self.module(self.x)

    def outputs(self):
        results = [self.results] if isinstance(self.results, self.torch.Tensor) else self.results
        return [y.float().numpy() for y in results]


class OneDnn:
    """A program of oneDNN's primitives for the same shapes (onednn_chain.cpp), which times itself; its numbers are random."""
    VARIANTS = ["3.2", "2.6"]

    def __init__(self, spec, threads, variant):
        if spec["precision"] != "i8":
            raise NotImplementedError("the chain is for 8 bits")
        self.program = os.path.join(PEERS, "onednn_chain_" + variant)
        self.build(variant)
        text = cached(spec, "chain.txt", lambda path: onednn_chain.write(spec["model"], path, spec["cache"]))
        self.process = subprocess.Popen([self.program, text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "OMP_NUM_THREADS": str(threads)})
        if not self.process.stdout.readline().startswith("ready"):
            raise RuntimeError("the chain of primitives failed")

    def build(self, variant):
        source = os.path.join(ROOT, "test", "bench", "onednn_chain.cpp")
        if os.path.exists(self.program) and os.path.getmtime(self.program) > os.path.getmtime(source):
            return
        root = os.path.dirname(os.path.dirname(python_of("run")))
        where = [f"-I{root}/include", f"-L{root}/lib", f"-Wl,-rpath,{root}/lib"] if variant == "3.2" else []
        quietly(["c++", "-O2", "-std=c++17", *where[:1], source, *where[1:], "-ldnnl", "-o", self.program])

    def bind(self, x):
        pass

    def time(self, count):
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def outputs(self):
        return None


ENGINES = {"qanat": Qanat, "onnxruntime": OnnxRuntime, "openvino": OpenVino, "litert": LiteRT, "onednn": OneDnn, "torch": Torch, "mnn": Mnn,
           "ncnn": Ncnn}
TITLES = {"qanat": "Qanat", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "litert": "LiteRT (XNNPACK)", "onednn": "oneDNN chain",
          "torch": "PyTorch", "mnn": "MNN", "ncnn": "ncnn"}


# ---- serving: the fastest variant, timed when asked to

def snr_db(want, got):
    """Over all samples, the least over outputs; engines order these as they like: the one of the same size that fits best counts."""
    def ratio(w, y):
        return 10 * np.log10(max(float((w ** 2).sum()), 1e-30) / max(float(((w - y) ** 2).sum()), 1e-30))
    ys = [np.asarray(y, np.float64).ravel() for y in got]
    return min(max((ratio(w.astype(np.float64).ravel(), y) for y in ys if y.size == w.size), default=float("-inf")) for w in want)


def time_runs(engine, count):
    if hasattr(engine, "time"):
        return engine.time(count)
    times = []
    for _ in range(count):
        start = time.perf_counter()
        engine.run()
        times.append((time.perf_counter() - start) * 1e3)
    return times


def built(kind, spec, threads, x):
    """[(variant, engine)], each having run; raises what the last one said where none did."""
    found, error = [], None
    for variant in ENGINES[kind].VARIANTS if spec["precision"] == "i8" else ENGINES[kind].VARIANTS[-1:]:
        try:
            engine = ENGINES[kind](spec, threads, variant)
            engine.bind(x)
            time_runs(engine, 2)
            found.append((variant, engine))
        except subprocess.CalledProcessError as e:
            print(e.stderr, file=sys.stderr)
            said = [line for line in e.stderr.split("\n") if line.strip()]
            error = RuntimeError(f"{os.path.basename(e.cmd[0])} failed: {said[-1] if said else e.returncode}")
        except BaseException as e: # also what an engine's library throws
            traceback.print_exc()
            error = e
    if not found:
        raise error
    return found


def outputs_of(engine, samples):
    """Each output, of all samples in one array; None where an engine's numbers mean nothing."""
    found = []
    for x in samples:
        engine.bind(x)
        time_runs(engine, 1)
        outputs = engine.outputs()
        if outputs is None:
            return None
        found.append([np.array(y) for y in outputs])
    return [np.stack(ys) for ys in zip(*found)]


def fastest(engines, spec, samples):
    """(engine, variant, SNR in dB or None): one with wrong outputs only where there is no other. The first sample stays bound."""
    with np.load(spec["want"]) as file:
        want = [file[key] for key in file.files]
    tried = []
    for variant, engine in engines:
        outputs = outputs_of(engine, samples[:len(want[0])])
        snr = None if outputs is None else round(float(snr_db(want, outputs)), 1)
        engine.bind(samples[0])
        first = statistics.median(time_runs(engine, 3))
        times = time_runs(engine, max(3, min(300, int(TRIAL_S * 1e3 / first))))
        tried.append((snr is not None and not snr >= LEAST_SNR_DB, statistics.median(times), engine, variant, snr))
    print([(t[3], t[1], t[4]) for t in tried], file=sys.stderr, flush=True)
    return min(tried, key=lambda t: t[:2])[2:]


def serve(kind, spec, threads):
    """Answers lines on the standard input: first, by itself, that it is ready; `choose` with the fastest variant, which stays;
    `N` with N times in ms."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1) # what engines print is not an answer
    samples = load_samples(spec) # engines read them where they lie
    try:
        engines = built(kind, spec, threads, samples[0])
    except BaseException as error: # also what an engine's library throws
        print(json.dumps({"error": f"{type(error).__name__}: {error}".split("\n", maxsplit=1)[0][:200]}), file=answers, flush=True)
        return
    print("{}", file=answers, flush=True)
    engine = engines[0][1]
    for line in sys.stdin:
        if line.strip() == "choose":
            engine, variant, snr = fastest(engines, spec, samples)
            engines = []
            answer = {"variant": variant if spec["precision"] == "i8" else "float", "snr_db": snr}
        else:
            answer = time_runs(engine, int(line))
        print(json.dumps(answer), file=answers, flush=True)
