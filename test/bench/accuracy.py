#!/usr/bin/env python3
"""What int8 loses: Qanat's default, ONNX Runtime's static quantization, NNCF with OpenVINO, on the same networks, calibration samples
and labelled samples.

usage: accuracy.py [--assets DIR] [--networks NAME,...] [--contenders NAME,...] [--qanat "OPTIONS"] [--limit N] [--json FILE] [--markdown]

Each is compared with the float network by ONNX Runtime, image by image: top-1 lost with its paired 95 % interval, how often the
class is the float network's, and signal to noise of the outputs. Runs in build/peers/run, which peers.py --install makes; what peers
compute is kept in build/accuracy. --qanat adds a contender: Qanat with these options, say "--method kl --equalize none"."""
import argparse
import ctypes
import hashlib
import json
import os
import shlex
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("QANAT_BUILD", os.path.join(ROOT, "build"))
PEERS = os.path.join(BUILD, "peers", "run", "bin", "python")
ORT = {"ONNX Runtime, minmax": "MinMax", "ONNX Runtime, entropy": "Entropy", "ONNX Runtime, percentile": "Percentile"}
NNCF = {"NNCF, mixed": ("mixed", True), "NNCF, mixed, accurate bias": ("mixed", False), "NNCF, performance": ("performance", True)}
QANAT, FLOAT, PORTION = "Qanat", "float", 32


class Work:
    """One network: its file, samples and labels; calibration samples as an array on disk, judged ones as they come."""

    def __init__(self, network, assets, limit):
        import numpy as np
        import onnx
        import accuracy_networks
        self.network, self.assets, self.limit = network, assets, limit
        model = accuracy_networks.load(network, assets)
        key = hashlib.sha256(model.SerializeToString()).hexdigest()[:8]
        self.folder = os.path.join(BUILD, "accuracy", f"{network.name.replace(' ', '_')}-{key}")
        os.makedirs(self.folder, exist_ok=True)
        self.model, self.calibration_path = (os.path.join(self.folder, name) for name in ("model.onnx", "calibration.npy"))
        onnx.save(model, self.model)
        shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        self.input, self.channels_first = model.graph.input[0].name, shape[1] == 3
        self.calibration, _, self.labels = accuracy_networks.samples(network, assets, self.channels_first)
        np.save(self.calibration_path, np.concatenate(self.calibration))
        self.labels = self.labels[:limit]

    def judged(self):
        import accuracy_networks
        _, images, _ = accuracy_networks.samples(self.network, self.assets, self.channels_first)
        for _, x in zip(self.labels, images):
            yield x

    def cached(self, name, make):
        """An array that takes long to make, kept for later runs."""
        import numpy as np
        path = os.path.join(self.folder, f"{name.replace(' ', '_').replace(',', '')}-{len(self.labels)}.npy")
        if not os.path.exists(path):
            np.save(path, make())
        return np.load(path)


def run_onnxruntime(work, path):
    import numpy as np
    import onnxruntime as ort
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {work.input: x})[0].reshape(1, -1) for x in work.judged()])


def quantize_by_onnxruntime(work, method):
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process
    prepared, path = os.path.join(work.folder, "prepared.onnx"), os.path.join(work.folder, f"ort_{method}.onnx")

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.set_range(0, len(work.calibration))

        def __len__(self):
            return len(work.calibration)

        def set_range(self, start_index, end_index):
            self.left = iter(work.calibration[start_index:end_index])

        def get_next(self):
            x = next(self.left, None)
            return None if x is None else {work.input: x}

    quant_pre_process(work.model, prepared, skip_symbolic_shape=True)
    quantize_static(prepared, path, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, reduce_range=False, calibrate_method=CalibrationMethod[method],
                    extra_options={"CalibStridedMinMax": PORTION}) # or it keeps every tensor of every sample in memory
    return path


def run_nncf(work, preset, fast):
    import numpy as np
    import nncf
    import openvino as ov
    nncf.set_log_level(40)
    advanced = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.DISABLE)
    model = nncf.quantize(ov.convert_model(work.model), nncf.Dataset(work.calibration), subset_size=len(work.calibration),
                          preset=nncf.QuantizationPreset(preset), fast_bias_correction=fast, advanced_parameters=advanced)
    config = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = ov.Core().compile_model(model, "CPU", config)
    return np.concatenate([compiled([x])[0].reshape(1, -1) for x in work.judged()])


def run_qanat(work, options, classes):
    import numpy as np
    path = os.path.join(work.folder, "qanat.so")
    command = [os.path.join(BUILD, "bin", "qanat"), "compile", work.model, "--name", "m", "--emit", "shared", "-o", path,
               "--calibrate-on", work.calibration_path, *shlex.split(options)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    fresh = os.path.join(work.folder, f"qanat_{os.getpid()}_{hashlib.sha256(options.encode()).hexdigest()[:8]}.so")
    os.rename(path, fresh) # a name that this process has not loaded yet
    lib = ctypes.CDLL(fresh)
    lib.m_arena_bytes.restype = ctypes.c_size_t
    memory = ctypes.create_string_buffer(lib.m_arena_bytes(1) + 64)
    arena = ctypes.c_void_p((ctypes.addressof(memory) + 63) // 64 * 64)
    assert lib.m_init(arena, None) == 0
    rows = []
    for x in work.judged():
        y = np.empty(classes, np.float32)
        assert lib.m_run(arena, (ctypes.c_void_p * 1)(x.ctypes.data), (ctypes.c_void_p * 1)(y.ctypes.data), None) == 0
        rows.append(y)
    os.remove(fresh)
    return np.stack(rows)


def outputs_of(work, contender, real, qanat_options):
    if contender in ORT:
        return work.cached(contender, lambda: run_onnxruntime(work, quantize_by_onnxruntime(work, ORT[contender])))
    if contender in NNCF:
        return work.cached(contender, lambda: run_nncf(work, *NNCF[contender]))
    return run_qanat(work, qanat_options if contender != QANAT else "", real.shape[1])


def score(y, real, labels):
    """Of equal values the first class, as everywhere."""
    import numpy as np
    right, right_real, count = y.argmax(1) == labels, real.argmax(1) == labels, len(labels)
    lost = (right_real.astype(float) - right)
    error = lost.std(ddof=1) / np.sqrt(count)
    noise = ((y.astype(np.float64) - real) ** 2).sum()
    return {"top1": 100 * right.mean(), "lost": 100 * lost.mean(), "standard_error": 100 * error,
            "lost_95": [100 * (lost.mean() - 1.96 * error), 100 * (lost.mean() + 1.96 * error)],
            "agreement": 100 * (y.argmax(1) == real.argmax(1)).mean(),
            "snr_db": float(10 * np.log10((real.astype(np.float64) ** 2).sum() / noise)) if noise else None}


def text_of(row):
    snr = "–" if row["snr_db"] is None else f"{row['snr_db']:.1f}"
    return [f"{row['top1']:.2f}", f"{row['lost']:+.2f} ({row['lost_95'][0]:+.2f} to {row['lost_95'][1]:+.2f})", f"{row['agreement']:.2f}", snr]


def show(name, contender, row, markdown):
    cells = [name, contender, *text_of(row)]
    if markdown:
        print("| " + " | ".join(cells) + " |", flush=True)
    else:
        print(f"{cells[0]:17} {cells[1]:27} {cells[2]:>7} {cells[3]:>26} {cells[4]:>8} {cells[5]:>7}", flush=True)


def measure(network, args):
    work = Work(network, args.assets, args.limit)
    real = work.cached(FLOAT, lambda: run_onnxruntime(work, work.model))
    rows = {FLOAT: score(real, real, work.labels)}
    show(f"{network.name}, {len(work.labels)}", FLOAT, rows[FLOAT], args.markdown)
    for contender in args.contenders:
        try:
            rows[contender] = score(outputs_of(work, contender, real, args.qanat), real, work.labels)
        except Exception as error: # a quantizer that can't take a network must not end the others
            rows[contender] = {"error": str(error)}
            print(f"{network.name}: {contender}: {error}", file=sys.stderr)
            continue
        show("", contender, rows[contender], args.markdown)
    return rows


def parse():
    import accuracy_networks
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", default=os.environ.get("QANAT_ASSETS", os.path.join(os.path.dirname(ROOT), "shared", "assets")))
    parser.add_argument("--networks")
    parser.add_argument("--contenders", default=",,".join([QANAT, *ORT, *NNCF]), help="names with ,, between")
    parser.add_argument("--qanat")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--json")
    parser.add_argument("--markdown", action="store_true")
    args = parser.parse_args()
    names = args.networks.split(",") if args.networks else [network.name for network in accuracy_networks.NETWORKS]
    args.networks = [network for network in accuracy_networks.NETWORKS if network.name in names]
    args.contenders = args.contenders.split(",,") + ([f"Qanat {args.qanat}"] if args.qanat else [])
    return args


def main():
    if os.path.exists(PEERS) and os.path.realpath(sys.prefix) != os.path.realpath(os.path.dirname(os.path.dirname(PEERS))):
        os.execv(PEERS, [PEERS, os.path.abspath(__file__), *sys.argv[1:]])
    args = parse()
    if args.markdown:
        print("| network, samples | by | top-1 % | lost, points (95 %) | class of float % | SNR dB |\n|---|---|---|---|---|---|")
    results = {network.name: measure(network, args) for network in args.networks}
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)


if __name__ == "__main__":
    main()
