"""What the Python workers share: the protocol (package protocol says what it
is) and the files in the shared folder. Needs numpy only."""

import functools
import json
import os
import struct
import sys
import time

import numpy as np

BLOCK_SECONDS = 0.01  # of steps between two readings of the clock, at least


def read_safetensors(path):
    """Returns the tensors of a file as numpy arrays by name."""
    types = {"F32": np.float32, "F64": np.float64}
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        body = file.read()
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        start, end = entry["data_offsets"]
        array = np.frombuffer(body[start:end], types[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"]).copy()
    return tensors


def write_safetensors(path, tensors):
    """Writes numpy arrays by name as float64 or float32 tensors."""
    types = {np.dtype(np.float32): "F32", np.dtype(np.float64): "F64"}
    header, body = {}, b""
    for name, array in tensors.items():
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": types[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + body)


@functools.cache
def read_data(folder):
    """Returns the images, N×784 in [0, 1], and the labels."""
    pixels = np.fromfile(os.path.join(folder, "images.u8"), np.uint8)
    labels = np.fromfile(os.path.join(folder, "labels.u8"), np.uint8)
    return pixels.reshape(-1, 784).astype(np.float32) / np.float32(255), labels.astype(np.int64)


class Shared:
    """The files that every system reads."""

    def __init__(self, request):
        folder, model, batch = request["dir"], request["model"], request["batch"]
        self.images, self.labels = read_data(folder)
        order = np.fromfile(os.path.join(folder, f"order-{batch}.i32"), "<i4")
        self.order = order.reshape(-1, batch)
        self.weights = read_safetensors(os.path.join(folder, model + ".safetensors"))


def time_steps(step, seconds):
    """Milliseconds a step, each over a block of steps, and the number of steps.
    step() returns when its step is done; it may have a number of steps, stride,
    that it takes at once."""
    result, steps, stride = [], 0, getattr(step, "stride", 1)
    start = time.perf_counter()
    while not result or time.perf_counter() - start < seconds:
        begin, count, spent = time.perf_counter(), 0, 0.0
        while count == 0 or spent < BLOCK_SECONDS:
            step()
            count += stride
            spent = time.perf_counter() - begin
        result.append(spent * 1e3 / count)
        steps += count
    return result, steps


def fastest(candidates, seconds=0.3):
    """Of several callables, the one whose steps have the least median time."""
    best, least = None, None
    for step in candidates:
        for _ in range(3):
            step()
        times = sorted(time_steps(step, seconds)[0])
        median = times[len(times) // 2]
        if least is None or median < least:
            best, least = step, median
    return best


def serve(prepare):
    """Answers requests until the end of the input. prepare(request) returns
    (losses, step): the losses of the first steps, and what takes one more; or
    (losses, step, values) with numbers by name that the last of them measured.
    What was prepared for one "measure" stays when another is."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    steps = {}
    for line in sys.stdin:
        request = json.loads(line)
        measure = request.get("measure")
        try:
            if request["do"] == "prepare":
                steps.pop(measure, None)
                losses, steps[measure], *values = prepare(request)
                answer = {"losses": [float(x) for x in losses]}
                if values:
                    answer["values"] = values[0]
            else:
                ms, count = time_steps(steps[measure], request["seconds"])
                answer = {"ms": ms, "steps": count}
        except Exception as error:  # any failure of a system is its answer
            answer = {"error": f"{type(error).__name__}: {error}"[:2000]}
        print(json.dumps(answer), file=answers, flush=True)
