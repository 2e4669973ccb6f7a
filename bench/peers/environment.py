"""Where the comparison keeps what it needs, and how that is made. Standard
library only."""

import hashlib
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = pathlib.Path(os.environ.get("SGFLOW_PEERS", HERE / ".venv"))
BUILD = HERE / ".build"


def say(*words):
    print(*words, file=sys.stderr, flush=True)


def sh(*command, cwd=ROOT, **env):
    """Runs a command; its output goes to standard error."""
    command = [str(c) for c in command]
    subprocess.run(command, cwd=cwd, check=True, env={**os.environ, **env}, stdout=sys.stderr)


def make_environment():
    """Makes the virtual environment, unless it is what requirements.txt says."""
    requirements = HERE / "requirements.txt"
    stamp, want = CACHE / "requirements.sha256", hashlib.sha256(requirements.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == want:
        return
    say("setting up", CACHE)
    sh(sys.executable, "-m", "venv", CACHE)
    sh(CACHE / "bin" / "pip", "install", "--quiet", "-r", requirements)
    stamp.write_text(want)


def go_build(name, package, folder=ROOT, *flags, **env):
    """Builds a Go command to BUILD/name."""
    BUILD.mkdir(exist_ok=True)
    sh("go", "build", *flags, "-o", BUILD / name, package, cwd=folder, **{"CGO_ENABLED": "0", **env})
