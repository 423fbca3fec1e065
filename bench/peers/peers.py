#!/usr/bin/env python3
"""The instrument beside the generators that people use: `make peers`, or through `stack/stack run` for the brokers.
Blocks, their shuffled order and what is measured are here; the tools are in tools.py, one run in run.py."""

import argparse
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

sys.dont_write_bytecode = True  # the checkout stays clean

import install
import table
import tools
from run import Pinned, Service, measured, stolen_s, wait_for_quiet

SERVER_CORE, GENERATOR_CORE = 0, 1
# As the instrument's own rules have it (docs/METHOD.md): more of a core than this, and what is compared runs again together.
STOLEN, RERUNS, LONGEST_WAIT_S = 0.05, 2, 120
BROKERED = "queue", "stream"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=6, help="of one run")
    parser.add_argument("--rate", type=int, default=5000, help="of the paced runs, per second")
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--warm", type=int, default=15, help="seconds of load on each broker before the first block")
    parser.add_argument("--seed", type=int, default=1, help="of the order within blocks")
    parser.add_argument("--patience", type=float, default=1200, help="seconds beside, to wait for a quieter host and run again what it disturbed")
    parser.add_argument("--only", default="rest,grpc,queue,stream", help="these transports, by commas")
    parser.add_argument("--out", type=Path, help="folder of peers.md and peers.csv [default: results/peers]")
    parser.add_argument("--bin", type=Path, help="folder of bench-client and bench-server [default: target/release]")
    parser.add_argument("--quick", action="store_true", help="1 block of 2 s runs, to try it; writes to .hopbench/peers/quick")
    args = parser.parse_args()
    if args.quick:
        args.blocks, args.seconds, args.warm = 1, 2, 2
    args.out = args.out or (install.HOME / "quick" if args.quick else install.ROOT / "results/peers")
    args.bin = args.bin or Path(os.environ.get("CARGO_TARGET_DIR", install.ROOT / "target")) / "release"
    return args


def first(path, pattern):
    found = re.search(pattern, Path(path).read_text(), re.M)
    return found.group(1) if found else "?"


def git(*argv):
    return subprocess.run(["git", "-C", str(install.ROOT), *argv], capture_output=True, text=True, check=False).stdout.strip()


def facts():
    """What a reader needs to judge the figures elsewhere."""
    names = {"RabbitMQ": "HOPBENCH_RABBITMQ_VERSION", "Kafka": "HOPBENCH_KAFKA_VERSION"}
    dirty = ", with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "Taken": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "Machine": f"{first('/proc/cpuinfo', r'model name.*: (.*)')}, {os.cpu_count()} cores, "
                   f"{int(first('/proc/meminfo', r'MemTotal: *([0-9]+)')) / 2**20:.0f} GiB, Linux {platform.release()}, "
                   f"load average {os.getloadavg()[0]:.1f} at the start",
        "Hopbench": f"{git('rev-parse', '--short', 'HEAD')}{dirty}",
        "Brokers": ", ".join(f"{name} {os.environ.get(key, '?')}" for name, key in names.items())
                   + f" on core {SERVER_CORE} beside the service",
        "Java": install.said(["java", "-version"], r'version "([^"]+)"') + ", which takes its serial collector on one core",
    }


def bodies(client, folder):
    """The same order in every dress that a tool wants."""
    for name, options in {"json": ["--format", "json"], "protobuf": ["--format", "protobuf"],
                          "grpc": ["--format", "protobuf", "--grpc-frame"], "lines": ["--format", "json", "--lines", "1024"]}.items():
        with (folder / f"order.{name}").open("wb") as out:
            subprocess.run([client, "payload", "O3", *options], stdout=out, check=True)


def available(everyone, wanted):
    """Those that can run, and the others' reasons."""
    ready, missing = [], {}
    brokers = {"queue": ("rabbitmq", "HOPBENCH_AMQP_URL"), "stream": ("kafka", "HOPBENCH_KAFKA_BROKERS")}
    for tool in everyone:
        try:
            if tool.transport not in wanted:
                raise install.Missing("not asked for")
            broker, address = brokers.get(tool.transport, (None, None))
            if broker and not os.environ.get(address):
                reason = os.environ.get(f"HOPBENCH_{broker.upper()}_REASON", f"{address} is not set; run it through `make peers`")
                raise install.Missing(reason)
            tool.install()
            ready.append(tool)
        except install.Missing as why:
            missing[tool.transport, tool.name] = str(why)
            print(f"peers: without {tool.name} ({tool.transport}): {why}", flush=True)
    return ready, missing


def once(tool, at, mode):
    """One run: what the tool says, what it cost, and how many orders the service saw."""
    service = at.brokered if tool.transport in BROKERED else at.sync
    service.reset()
    argv = tool.argv(at)
    cost = measured(argv, GENERATOR_CORE, at.folder / "output", 3 * at.seconds + 60, tool.accepted, **tool.environment)
    handled = service.handled()
    seconds, p50, p99, remark = tool.read(cost.output, at)
    if at.rate and handled < 0.95 * at.rate * seconds:
        remark = f"reached {handled / seconds:,.0f}/s of the {at.rate:,}/s asked for; {remark}".rstrip("; ")
    return {
        "operations": handled, "tool_s": round(seconds, 6), "wall_s": round(cost.wall_s, 3), "cpu_s": round(cost.cpu_s, 6),
        "cpu_us_per_op": round(cost.cpu_s * 1e6 / handled, 3), "throughput_per_s": round(handled / seconds, 1),
        "p50_us": p50 and round(p50, 1), "p99_us": p99 and round(p99, 1), "rss_mb": round(cost.rss_mb, 1), "remark": remark,
    }


def in_order(ready, dice):
    """What is compared, a group each, by transport and mode: the groups are shuffled, and the tools within them."""
    transports = sorted({tool.transport for tool in ready})
    dice.shuffle(transports)
    for transport in transports:
        for mode in dice.sample(["saturated", "rate"], 2):
            group = [tool for tool in ready if tool.transport == transport and (tool.paces or mode == "saturated")]
            yield mode, dice.sample(group, len(group))


def in_turn(group, mode, at, told, keep):
    """One attempt at a group: a row for each tool, kept as it ends."""
    rows = []
    for tool in group:
        row = {"transport": tool.transport, "tool": tool.name, "version": tool.version, "mode": mode}
        began, taken = time.monotonic(), stolen_s()
        try:
            row |= once(tool, at, mode)
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            row["error"] = " ".join(str(error).split())[:300]
        # Of a run that failed too: what came out has no say in which attempt counts.
        row["stolen_share"] = round((stolen_s() - taken) / (time.monotonic() - began), 3)
        rows.append(row)
        keep(row)
        print(f"{told} {tool.transport:<6} {tool.name:<20} {mode:<9} "
              + (row.get("error") or f"{row['cpu_us_per_op']:8.2f} µs/op {row['throughput_per_s']:10,.0f}/s"), flush=True)
        time.sleep(0.5)
    return rows


def worst(attempt):
    return max(row["stolen_share"] for row in attempt)


class Patience:
    """Every attempt at a group is kept, and the one counts of which the hypervisor took least."""

    def __init__(self, seconds):
        self.left = seconds

    def undisturbed(self, group, mode, at, told, keep):
        def attempt(number):
            def kept(row):
                # Until a later one is whole, the first counts: whatever ends this.
                row.update(attempt=number, counts=number == 0)
                keep(row)

            return in_turn(group, mode, at, told, kept)

        attempts = [attempt(0)]
        while worst(attempts[-1]) > STOLEN and len(attempts) <= RERUNS and self.left > 0:
            began = time.monotonic()
            print(f"{told} {group[0].transport:<6} {mode} again: the hypervisor took {worst(attempts[-1]):.0%} of a core", flush=True)
            wait_for_quiet(min(LONGEST_WAIT_S, self.left), STOLEN)
            attempts.append(attempt(len(attempts)))
            self.left -= time.monotonic() - began
        least = min(attempts, key=worst)
        for one in attempts:
            for row in one:
                row["counts"] = one is least


class Block:
    """Fresh services, warmed by ours on every transport, and their topics gone afterwards."""

    def __init__(self, server, at, ready, warm):
        self.server, self.at, self.ready, self.warm = server, at, ready, warm
        self.services = []

    def __enter__(self):
        wanted = {tool.transport for tool in self.ready}
        at = self.at
        if wanted & {"rest", "grpc"}:
            at.sync = self.start("--rest", "127.0.0.1:0", "--grpc", "127.0.0.1:0")
            at.rest, at.grpc = at.sync.ready["rest"], at.sync.ready["grpc"]
        listeners = [part for name in BROKERED if name in wanted for part in (f"--{name}", "env")]
        if listeners:
            at.brokered = self.start(*listeners, "--durability", "process")
        length, at.seconds, at.rate = at.seconds, self.warm, None
        for tool in self.ready:
            if isinstance(tool, tools.Ours):
                once(tool, at, "saturated")
        at.seconds = length
        return self

    def start(self, *listeners):
        self.services.append(Service(self.server, SERVER_CORE, self.at.folder, *listeners))
        return self.services[-1]

    def __exit__(self, *_):
        for service in self.services:
            service.stop()
        if any(tool.transport == "stream" for tool in self.ready):
            # A saturated run leaves most of a GB; the next block has topics of its own.
            for topic in ("orders", "dead"):
                subprocess.run(["java", "-cp", install.kafka_tools(), "org.apache.kafka.tools.TopicCommand", "--delete",
                                "--bootstrap-server", self.at.kafka, "--topic", f"hopbench.peers.{topic}"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def startups(ready, at):
    """What the Java tools use for one message: the part of their figures that is no sending."""
    return {tool.name: measured(tool.argv(at, only=1), GENERATOR_CORE, at.folder / "output", 60, **tool.environment).cpu_s
            for tool in ready if isinstance(tool, (tools.PerfTest, tools.ProducerPerformance))}


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if not {SERVER_CORE, GENERATOR_CORE} <= os.sched_getaffinity(0):
        sys.exit(f"peers: needs cores {SERVER_CORE} and {GENERATOR_CORE}, one for the service and one for the generators")
    client, server = str(args.bin / "bench-client"), str(args.bin / "bench-server")
    if not (Path(client).exists() and Path(server).exists()):
        sys.exit(f"peers: no bench-client and bench-server in {args.bin}: run `cargo build --release --locked` first")
    everyone = tools.everyone(client, install.said([client, "--version"], r"bench-client (\S+)"))
    ready, missing = available(everyone, args.only.split(","))
    folder = install.HOME / f"run.{os.getpid()}"
    folder.mkdir(parents=True)
    at = tools.Setting(args.seconds, args.in_flight, folder, amqp=os.environ.get("HOPBENCH_AMQP_URL", ""),
                       kafka=os.environ.get("HOPBENCH_KAFKA_BROKERS", ""))
    pids = [int(pid) for name in ("RABBITMQ", "KAFKA") for pid in os.environ.get(f"HOPBENCH_{name}_PIDS", "").split(",") if pid]
    rows, startup, known, dice = [], {}, facts(), random.Random(args.seed)
    patience = Patience(0 if args.quick else args.patience)
    args.out.mkdir(parents=True, exist_ok=True)
    # This script itself stays off the generators' core.
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        bodies(client, folder)
        with Pinned(pids, SERVER_CORE):
            for block in range(args.blocks):
                with Block(server, at, ready, warm=args.warm if block == 0 else 1):
                    startup = startup or startups(ready, at)
                    before = len(rows)

                    def keep(row, block=block, before=before):
                        rows.append(row)
                        row.update(block=block, position=len(rows) - 1 - before)
                        table.write_csv(args.out / "peers.csv", rows)

                    for mode, group in in_order(ready, dice):
                        at.rate = args.rate if mode == "rate" else None
                        patience.undisturbed(group, mode, at, f"block {block + 1}/{args.blocks}", keep)
                        table.write_csv(args.out / "peers.csv", rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if rows:
            table.write_markdown(args.out / "peers.md", tools=everyone, rows=rows, missing=missing, startup=startup, facts=known,
                                 rate=args.rate, in_flight=args.in_flight, seconds=args.seconds,
                                 blocks=len({row["block"] for row in rows}), limit=STOLEN)
            print(f"peers: written to {args.out}")


if __name__ == "__main__":
    main()
