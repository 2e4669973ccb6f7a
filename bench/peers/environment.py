"""Where the comparison keeps what it needs, and how that is made. Standard
library only."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = pathlib.Path(os.environ.get("SGFLOW_PEERS", HERE / ".venv"))
BUILD = HERE / ".build"
SYSTEM = "/usr/bin/python3"


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def sh(*command, cwd=ROOT, **env):
    """Runs a command; its output goes to standard error."""
    command = [str(c) for c in command]
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, **env}, stdout=sys.stderr)


class Environment:
    """A virtual environment. resolved is a file of requirements whose own
    dependencies are installed too, alone one whose are not; either may be
    missing. With system, what the interpreter has comes with it."""

    def __init__(self, folder, interpreter, resolved=None, alone=None, system=False):
        self.folder, self.interpreter, self.system = folder, interpreter, system
        self.resolved = HERE / resolved if resolved else None
        self.alone = HERE / alone if alone else None

    @property
    def python(self):
        return self.folder / "bin" / "python"

    def files(self):
        return [f for f in (self.resolved, self.alone) if f]

    def wanted(self):
        return hashlib.sha256(b"".join(f.read_bytes() for f in self.files())).hexdigest()

    def there(self):
        """Whether the environment is what its requirements say."""
        stamp = self.folder / "requirements.sha256"
        return stamp.exists() and stamp.read_text() == self.wanted()

    def make(self):
        """Makes the environment, unless it is there. Returns why it can't be
        made, None where it can."""
        if self.there():
            return None
        if not self.interpreter:
            return "its Python is not installed, or lacks what it should bring"
        say("setting up", self.folder)
        if self.system:  # Debian's Python has no pip to give
            sh(self.interpreter, "-m", "venv", "--without-pip", "--system-site-packages", self.folder)
            pip = [PEERS.folder / "bin" / "pip", "--python", self.python, "install", "--quiet"]
        else:
            sh(self.interpreter, "-m", "venv", self.folder)
            pip = [self.folder / "bin" / "pip", "install", "--quiet"]
        if self.resolved:
            sh(*pip, "-r", self.resolved)
        if self.alone:
            sh(*pip, "--no-deps", "-r", self.alone)
        (self.folder / "requirements.sha256").write_text(self.wanted())
        return None

    def versions(self):
        """What the requirements pin, by name, and Python's version."""
        command = [self.python, "-c", "import platform, torch; print(platform.python_version(), torch.__version__)"]
        output = subprocess.run(command, capture_output=True, text=True).stdout.split()
        found = dict(zip(("python", "torch"), output))
        for file in self.files():
            for line in file.read_text().splitlines():
                if "==" in line and not line.startswith("#"):
                    name, version = line.split("==")
                    found[name] = version
        return found


def version():
    """sgflow's commit."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    if not shutil.which("git"):
        return ""
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout.strip()


def old_torch():
    """Whether the system's Python has a PyTorch of its own, built on OpenBLAS."""
    return bool(shutil.which(SYSTEM)) and subprocess.run([SYSTEM, "-c", "import torch"], capture_output=True).returncode == 0


def interpreter(version):
    """A Python of a version such as 3.9, by that name or as pyenv keeps them;
    None where there is none."""
    kept = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
    for command in ["python" + version, *sorted(kept.glob(version + ".*/bin/python"))]:
        if shutil.which(command) and subprocess.run([command, "-c", ""], capture_output=True).returncode == 0:
            return command
    return None


# What everything runs in, what Cockpit was published with, and Debian's PyTorch.
PEERS = Environment(CACHE, sys.executable, "requirements.txt", "requirements-estimators.txt")
COCKPIT = Environment(CACHE.with_name(CACHE.name + "-2021"), interpreter("3.9"), alone="requirements-2021.txt")
DEBIAN = Environment(CACHE.with_name(CACHE.name + "-debian"), SYSTEM if old_torch() else None,
                     alone="requirements-debian.txt", system=True)


def make_environment():
    """Makes the environment of the peers."""
    why = PEERS.make()
    if why:
        raise OSError(why)


def go_build(name, package, folder=ROOT, *flags, **env):
    """Builds a Go command to BUILD/name."""
    BUILD.mkdir(exist_ok=True)
    sh("go", "build", *flags, "-o", BUILD / name, package, cwd=folder, **{"CGO_ENABLED": "0", **env})
