"""Processes that train with one system each, and how they are timed in turns.
Standard library only."""

import json
import math
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time
import typing

from environment import HERE

# Settings of OpenBLAS by variant: kernels of its own choice, and where there is AVX-512
# those for that, which it doesn't choose by itself on AMD's processors.
OPENBLAS = {"": {}}
if "avx512f" in pathlib.Path("/proc/cpuinfo").read_text():
    OPENBLAS["SkylakeX"] = {"OPENBLAS_CORETYPE": "SkylakeX"}
PAUSE = 0.03  # seconds between turns: threads of the last system stop spinning
CALM = 0.1  # cores that others may take during a turn
RETRIES = 3  # of a turn that was not calm
HOPELESS = 12  # turns in a row that were not, after which none is taken again


class Process:
    """A worker's process, started when it is first asked something (package
    protocol says what). Several workers may share one."""

    def __init__(self, command, cpus=None, **env):
        self.command, self.env, self.cpus = [str(c) for c in command], env, cpus
        self.running = None

    def start(self):
        def pin():
            os.sched_setaffinity(0, self.cpus)

        self.running = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=HERE, env={**os.environ, **self.env}, preexec_fn=pin if self.cpus else None,
        )

    def ask(self, **request):
        if self.running is None:
            self.start()
        try:
            self.running.stdin.write(json.dumps(request) + "\n")
            self.running.stdin.flush()
            line = self.running.stdout.readline()
            return json.loads(line) if line else {"error": "the worker ended"}
        except (BrokenPipeError, ValueError) as error:
            return {"error": f"the worker failed: {error}"}

    def seconds(self):
        """Processor time of the process so far."""
        try:
            fields = pathlib.Path(f"/proc/{self.running.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0

    def stop(self):
        if self.running:
            try:
                self.running.stdin.close()
            except BrokenPipeError:
                pass  # it ended by itself
            self.running.wait()
            self.running = None


class Worker:
    """One variant of one system at one number of threads, measuring one thing."""

    uneasy = 0  # turns in a row, of all workers, that were not calm

    def __init__(self, system, threads, process, variant="", measure="none"):
        self.system, self.threads, self.process = system, threads, process
        self.variant, self.measure = variant, measure
        self.slowest = (1, 0.0)  # batch and ms a step, where it was timed last

    @property
    def name(self):
        return " ".join(filter(None, (self.system, self.variant, self.measure, f"{self.threads}t")))

    def ask(self, **request):
        return self.process.ask(measure=self.measure, **request)

    def too_slow(self, batch, steps, patience):
        """Whether so many steps at a batch size would take longer than patience,
        in seconds."""
        last, ms = self.slowest
        return batch > last and ms * 1e-3 * batch / last * steps > patience

    def turn(self, seconds):
        """Times steps. A turn that was not calm is taken again, a few times at
        most; the calmest counts."""
        calmest = Turn([], math.inf, 0.0, 0)
        for _ in range(1 + RETRIES):
            time.sleep(PAUSE)
            before, own, start = busy_seconds(), self.process.seconds(), time.perf_counter()
            answer = self.ask(do="time", seconds=seconds)
            wall, own = time.perf_counter() - start, self.process.seconds() - own
            others = max(0.0, busy_seconds() - before - own) / wall
            ms = answer.get("ms", [])
            if others < calmest.others:
                calmest = Turn(ms, others, own * 1e3, answer.get("steps", 0))
            Worker.uneasy = 0 if others <= CALM else Worker.uneasy + 1
            if not ms or others <= CALM or Worker.uneasy > HOPELESS:
                break
        return calmest


class Turn(typing.NamedTuple):
    """What one turn of a worker gave."""

    ms: list  # milliseconds a step, each over a block of steps; none where it failed
    others: float  # cores that other processes took meanwhile
    own: float  # milliseconds of processor time that the worker took
    steps: int  # in them


def busy_seconds():
    """Processor time that the whole machine has spent."""
    try:
        ticks = [int(n) for n in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    except OSError:
        return 0.0
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def time_in_turns(workers, rounds, seconds):
    """Times workers in turns, round after round, in an order that moves on by
    one; a first round warms up. Returns each worker's turns."""
    turns = {w: [] for w in workers}
    order = list(workers)
    for k in range(rounds + 1):
        for w in order:
            turn = w.turn(seconds)
            if k > 0:
                turns[w].append(turn)
        order = order[1:] + order[:1]
    return turns


def times(turns):
    """All blocks of a worker's turns."""
    return [ms for turn in turns for ms in turn.ms]


def spread(ms):
    """Half the distance of the quartiles, as a share of the median."""
    if len(ms) < 2:
        return 0.0
    low, median, high = statistics.quantiles(ms, n=4)
    return (high - low) / 2 / median


def stray(losses, reference):
    """How far losses are from the reference, as a share of it: step by step, a
    loss that is nearly nothing being measured by the mean of all."""
    if len(losses) != len(reference) or not all(map(math.isfinite, losses)):
        return math.inf
    mean = sum(reference) / len(reference)
    return max(abs(a - b) / max(b, mean) for a, b in zip(losses, reference))


def openmp(threads):
    """Environment that holds a process's libraries to so many threads."""
    return dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))


def processor():
    """The processor's name, with the core's design where the name hides it."""
    info = {}
    try:
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
            key, _, value = line.partition(":")
            info.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    name = info.get("model name") or platform.processor() or platform.machine()
    if info.get("vendor_id") != "AuthenticAMD":
        return name
    family, model = int(info["cpu family"]), int(info["model"])
    if family == 25:
        design = "Zen 3" if model < 0x10 or 0x20 <= model < 0x60 else "Zen 4"
    else:
        design = {23: "Zen 2" if model >= 0x30 else "Zen", 26: "Zen 5"}.get(family)
    return f"{name} ({design})" if design else name


def machine():
    """What results say about this machine."""
    return {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()}


def machine_name():
    """This machine, as files of results are named."""
    return re.sub(r"[^a-z0-9]+", "-", f"{processor()} {os.cpu_count()} cores".lower()).strip("-")
