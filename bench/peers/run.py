"""Runs one program on a core of its own and says what it cost; runs the service that all of them meet. Knows no tool."""

import http.client
import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Cost:
    """What a finished program used, start-up included."""
    wall_s: float
    cpu_s: float
    rss_mb: float
    output: str


def stolen_s():
    """What the hypervisor took of all cores since the machine started."""
    return int(Path("/proc/stat").read_text().split(maxsplit=9)[8]) / os.sysconf("SC_CLK_TCK")


def wait_for_quiet(limit, least):
    """Keeps this core busy, since an idle one has nothing to be taken, until under `least` of a core is; or for `limit` seconds."""
    give_up = time.monotonic() + limit
    while time.monotonic() < give_up:
        before, end = stolen_s(), time.monotonic() + 1
        while time.monotonic() < end:
            pass
        if stolen_s() - before <= least:
            break
        time.sleep(2)


def peak_mb(pid):
    """The kernel's own high-water mark; 0 once the program has given its memory back."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0


def measured(argv, core, log, timeout, accepted=(0,), **environment):
    """One run. Time from wait4, to the microsecond; memory from /proc, since wait4's also counts who forked."""
    began = time.monotonic()
    errors = log.with_suffix(".err")
    with log.open("w+", encoding="utf-8", errors="replace") as out, errors.open("wb") as err:
        child = subprocess.Popen(
            ["taskset", "-c", str(core), *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            env={**os.environ, **environment},
        )
        rss, ended = 0.0, 0
        try:
            while not ended:
                time.sleep(0.1)
                rss = max(rss, peak_mb(child.pid))
                ended, status, usage = os.wait4(child.pid, os.WNOHANG)
                if not ended and time.monotonic() - began > timeout:
                    raise RuntimeError(f"still running after {timeout:.0f} s")
        finally:
            if not ended:
                child.kill()
                child.wait()
        wall = time.monotonic() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        output = out.read()
    if child.returncode not in accepted:
        last = (errors.read_text(errors="replace") + output).split()[:40]
        raise RuntimeError(f"ended with {child.returncode}: {' '.join(last)}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, rss, output)


class Service:
    """One bench-server on its core, with the control port that counts what arrived."""

    def __init__(self, program, core, folder, *listeners):
        self.token_file = folder / f"token{listeners[0]}"
        self.journal = folder / f"journal{listeners[0]}"
        self.process = subprocess.Popen(
            [program, "serve", *listeners, "--scope", "peers", "--pin", str(core), "--with-parent",
             "--token-file", str(self.token_file), "--journal", str(self.journal)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"bench-server {' '.join(listeners)} did not start")
        self.ready = json.loads(line)
        self.token = self.token_file.read_text().strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection(self.ready["control"], timeout=30)
        connection.request(method, path, body and json.dumps(body), {
            "authorization": f"Bearer {self.token}", "content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the control port answered {answer.status} to {path}: {text.decode()}")
        return json.loads(text)

    def reset(self):
        self.ask("POST", "/v1/reset", {
            "run": 1, "start_ns": 0, "spans": [{"name": "measured", "start_ns": 0, "end_ns": 2**63 - 1}]})

    def handled(self):
        """Orders handled since the reset, once no more come; a refused or malformed one is a fault of the set-up."""
        last, same, give_up = -1, 0, time.monotonic() + 120
        while same < 3:
            if time.monotonic() > give_up:
                raise RuntimeError("the service was still busy two minutes after the generator ended")
            time.sleep(0.2)
            progress = self.ask("GET", "/v1/progress")
            same = same + 1 if progress["completed"] == last and not progress["in_service"] else 0
            last = progress["completed"]
        account = self.ask("GET", "/v1/account")
        for what in ("refused", "malformed"):
            if account[what]:
                raise RuntimeError(f"the service found orders {what}: {account[what]}")
        if not last:
            raise RuntimeError("the service saw no order")
        return last


class Pinned:
    """Brokers kept to a core while this lasts; afterwards they may go where they could before."""

    def __init__(self, pids, core):
        self.pids, self.core, self.before = pids, core, {}

    def __enter__(self):
        for pid in self.pids:
            for task in Path(f"/proc/{pid}/task").glob("*"):
                try:
                    self.before[int(task.name)] = os.sched_getaffinity(int(task.name))
                    os.sched_setaffinity(int(task.name), {self.core})
                except OSError:
                    pass  # ended meanwhile

    def __exit__(self, *_):
        widest = set().union(*self.before.values()) if self.before else set()
        for pid in self.pids:
            for task in Path(f"/proc/{pid}/task").glob("*"):
                try:
                    os.sched_setaffinity(int(task.name), self.before.get(int(task.name), widest))
                except OSError:
                    pass
