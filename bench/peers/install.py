"""Gets the peers by their package names into .hopbench/peers. What cannot be had is no error here: `Missing` carries
the reason, and the table shows it. Knows how tools are fetched, not how they are run."""

import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
STATE = ROOT / ".hopbench"
HOME = STATE / "peers"
BIN = HOME / "bin"


class Missing(Exception):
    """A tool that cannot be had, and why."""


def attempt(name, argv, timeout=1800, **environment):
    """Runs an installer at low priority; its words go to a log that the reason names."""
    if not shutil.which(argv[0]):
        raise Missing(f"{argv[0]} is not here to install it with")
    HOME.mkdir(parents=True, exist_ok=True)
    log = HOME / f"{name}.log"
    print(f"peers: installing {name}: {' '.join(argv)}", flush=True)
    try:
        with log.open("wb") as out:
            code = subprocess.run(
                ["nice", "-n", "19", *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                timeout=timeout, env={**os.environ, **environment}, check=False,
            ).returncode
    except subprocess.TimeoutExpired:
        raise Missing(f"`{' '.join(argv[:3])}` took longer than {timeout} s") from None
    if code:
        raise Missing(f"`{' '.join(argv[:3])} …` ended with {code}: see {log.relative_to(ROOT)}")


def apt(program, package):
    """A program from the distribution."""
    if not shutil.which(program):
        as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        attempt(package, [*as_root, "apt-get", "install", "-y", "-q", "--no-install-recommends", package])
    return shutil.which(program) or program


def cargo(crate):
    """A program from crates.io, built here."""
    program = BIN / crate
    if not program.exists():
        attempt(crate, ["cargo", "install", crate, "--locked", "--root", str(HOME), "--target-dir", str(HOME / "target")])
        shutil.rmtree(HOME / "target", ignore_errors=True)
    return str(program)


def go(program, package):
    """A program from the Go module proxy, built here."""
    path = BIN / program
    if not path.exists():
        attempt(program, ["go", "install", package], GOBIN=str(BIN))
    return str(path)


def jars(name, pom, present=None):
    """The jars that a pom names, as a class path."""
    libs = present or HOME / f"{name}-libs"
    if not shutil.which("java"):
        raise Missing("java is not here")
    if not libs.is_dir():
        part = HOME / f"{name}-libs.part"
        shutil.rmtree(part, ignore_errors=True)
        attempt(name, ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies",
                       "-DincludeScope=runtime", f"-DoutputDirectory={part}"])
        part.rename(libs)
    return f"{libs}/*"


def perf_test():
    return jars("perf-test", HERE / "pom.xml")


def kafka_tools():
    """The stack's own jars where it runs natively: the same version as the broker."""
    own = sorted((STATE / "kafka").glob("libs-*[0-9]"))
    return jars("kafka", ROOT / "stack/kafka/pom.xml", own[-1] if own else None)


def said(argv, pattern):
    """What a program says of its version."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    found = re.search(pattern, done.stdout + done.stderr)
    return found.group(1) if found else "?"


def jar_version(class_path, jar):
    """The version in a jar's file name."""
    found = sorted(Path(class_path[:-2]).glob(f"{jar}-[0-9]*.jar"))
    return found[-1].stem[len(jar) + 1:] if found else "?"
