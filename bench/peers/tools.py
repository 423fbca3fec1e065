"""The generators: how each is got, told what to do, and read. Every one has the same order, 32 connections (brokers: 32
unconfirmed on one connection, where it can bound that), and its own cheapest way of sending a fixed body."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from install import HERE, ROOT, apt, cargo, go, jar_version, kafka_tools, perf_test, said

CALL = "hopbench.v1.OrderService/Place"


@dataclass
class Setting:
    """What a run is about; `rate` is None at saturation."""
    seconds: int
    in_flight: int
    folder: Path
    rest: str = ""
    grpc: str = ""
    amqp: str = ""
    kafka: str = ""
    sync: object = None
    brokered: object = None
    rate: int | None = None
    # Kafka's tool stops by count: records a second as last seen.
    seen: dict = field(default_factory=dict)

    def body(self, kind):
        return str(self.folder / f"order.{kind}")


def number(pattern, text):
    found = re.findall(pattern, text)
    if not found:
        raise RuntimeError(f"nothing like `{pattern}` in its output: {' '.join(text.split()[-30:])}")
    return found[-1]


class Tool:
    name = transport = lacks = ""
    paces = True
    # Exit status of a run that was measured.
    accepted = (0,)
    version = "?"
    program = ""
    environment = {}

    def install(self):
        """Gets it, or raises Missing."""

    def argv(self, at):
        raise NotImplementedError

    def read(self, output, at):
        """(its own duration in seconds, p50 in µs, p99 in µs, a remark)"""
        raise NotImplementedError


class Wrk(Tool):
    name, transport, paces = "wrk", "rest", False
    lacks = "one fixed body, answers not parsed; cannot pace"

    def install(self):
        self.program = apt("wrk", "wrk")
        self.version = said([self.program, "--version"], r"wrk (\S+)")

    def argv(self, at):
        self.environment = {"PEERS_BODY": at.body("json")}
        return [self.program, "-t1", f"-c{at.in_flight}", f"-d{at.seconds}s", "-s", str(HERE / "order.lua"),
                f"http://{at.rest}/v1/orders"]

    def read(self, output, at):
        said_last = json.loads(output.strip().splitlines()[-1])
        return said_last["duration_us"] / 1e6, None, None, errors(said_last["errors"])


class Oha(Tool):
    name, transport = "oha", "rest"
    lacks = "one fixed body, answers not parsed; drops what is in flight at the end"

    def install(self):
        self.program = cargo("oha")
        self.version = said([self.program, "--version"], r"oha (\S+)")

    def argv(self, at):
        pace = ["-q", str(at.rate), "--latency-correction"] if at.rate else []
        return [self.program, "--no-tui", "--output-format", "json", "-z", f"{at.seconds}s", "-c", str(at.in_flight),
                *pace, "-m", "POST", "-T", "application/json", "-D", at.body("json"), f"http://{at.rest}/v1/orders"]

    def read(self, output, at):
        out = json.loads(output)
        percentiles = out["latencyPercentiles"]
        wrong = sum(count for code, count in out["statusCodeDistribution"].items() if code != "200")
        return out["summary"]["total"], percentiles["p50"] * 1e6, percentiles["p99"] * 1e6, errors(wrong)


class H2load(Tool):
    lacks = "one fixed body, answers not parsed; prints no percentiles (here: from its request log)"

    def __init__(self, transport):
        self.transport = transport
        self.name = "h2load" if transport == "grpc" else "h2load --h1"
        if transport == "grpc":
            self.lacks += "; gRPC's own status not read"

    def install(self):
        self.program = apt("h2load", "nghttp2-client")
        self.version = said([self.program, "--version"], r"nghttp2/(\S+)")

    def log(self, at):
        return at.folder / "h2load.log"

    def argv(self, at):
        # The request log costs it something, so only where percentiles are wanted.
        pace = [f"--rps={at.rate / at.in_flight}", f"--log-file={self.log(at)}"] if at.rate else []
        if self.transport == "grpc":
            what = ["-d", at.body("grpc"), "-H", "content-type: application/grpc", "-H", "te: trailers",
                    f"http://{at.grpc}/{CALL}"]
        else:
            what = ["--h1", "-d", at.body("json"), "-H", "content-type: application/json",
                    f"http://{at.rest}/v1/orders"]
        return [self.program, "-t1", f"-c{at.in_flight}", "-m1", "-D", str(at.seconds), *pace, *what]

    def read(self, output, at):
        value, unit = number(r"finished in ([\d.]+)(us|ms|s),", output)
        seconds = float(value) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]
        p50 = p99 = None
        if at.rate:
            with self.log(at).open() as lines:
                took = sorted(int(line.rsplit("\t", 1)[1]) for line in lines)
            self.log(at).unlink()
            p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
        return seconds, p50, p99, errors(int(number(r"(\d+) failed", output)))


class Ghz(Tool):
    name, transport = "ghz", "grpc"
    lacks = "one fixed body; latency from the send, not from the plan"

    def install(self):
        self.program = go("ghz", "github.com/bojand/ghz/cmd/ghz@latest")
        self.version = said(["go", "version", "-m", self.program], r"mod\s+github.com/bojand/ghz\s+v(\S+)")

    def argv(self, at):
        pace = ["--rps", str(at.rate)] if at.rate else []
        # The contract by reflection: its own parser of .proto files refuses proto3's `optional`.
        return [self.program, "--insecure", "--call", CALL,
                "--binary-file", at.body("protobuf"),
                "--concurrency", str(at.in_flight), "--connections", str(at.in_flight), "--cpus", "1",
                "--duration", f"{at.seconds}s", *pace, "--format", "json", at.grpc]

    def read(self, output, at):
        out = json.loads(output)
        latency = {row["percentage"]: row["latency"] / 1e3 for row in out["latencyDistribution"]}
        # It cuts what is in flight at the end, and calls that Unavailable or Canceled.
        wrong = sum(n for code, n in out["statusCodeDistribution"].items() if code != "OK")
        return out["total"] / 1e9, latency[50], latency[99], errors(max(0, wrong - at.in_flight))


class PerfTest(Tool):
    name, transport = "RabbitMQ PerfTest", "queue"
    lacks = "one fixed body, no stamp; latency from the send"

    def install(self):
        self.program = perf_test()
        self.version = jar_version(self.program, "perf-test")

    def argv(self, at, only=None):
        # By the environment, so that no password is on the command line.
        self.environment = {"RABBITMQ_PERF_TEST_ENV_PREFIX": "PEERS_", "PEERS_URI": at.amqp}
        stop = ["--pmessages", str(only)] if only else ["--time", str(at.seconds)]
        pace = ["--rate", str(at.rate)] if at.rate else []
        return ["java", "-cp", self.program, "com.rabbitmq.perf.PerfTest", "--predeclared", "--exchange",
                "hopbench.peers", "--routing-key", "orders", "--consumers", "0", "--producers", "1", "--confirm",
                str(at.in_flight), "--flag", "persistent", "--flag", "mandatory", "--body", at.body("protobuf"),
                "--body-content-type", "application/x-protobuf", *stop, *pace]

    def read(self, output, at):
        seconds = float(number(r"time ([\d.]+) s, sent", output))
        p50, p99 = number(r"id: \S+ confirm latency min/median/75th/95th/99th \d+/(\d+)/\d+/\d+/(\d+) µs", output)
        return seconds, float(p50), float(p99), ""


class ProducerPerformance(Tool):
    name, transport = "ProducerPerformance", "stream"
    lacks = "encodes nothing; in flight bounded by memory (32 MB), not by count; latency in whole ms from the send"

    def install(self):
        self.program = kafka_tools()
        self.version = jar_version(self.program, "kafka-tools")

    def argv(self, at, only=None):
        # Half of the stack's expected rate until one run has shown it.
        records = only or (at.rate or at.seen.get(self.name, 40_000)) * at.seconds
        return ["java", "-Xmx512m", "-cp", self.program, "org.apache.kafka.tools.ProducerPerformance",
                "--bootstrap-server", at.kafka, "--topic", "hopbench.peers.orders", "--num-records", str(records),
                "--throughput", str(at.rate or -1), "--payload-file", at.body("lines"),
                "--command-property", "acks=all", "linger.ms=0", "enable.idempotence=false"]

    def read(self, output, at):
        records, per_second = number(r"(?m)^(\d+) records sent, ([\d.]+) records/sec.*99\.9th", output)
        p50 = number(r"(\d+) ms 50th", output)
        p99 = number(r"(\d+) ms 99th", output)
        if not at.rate:
            at.seen[self.name] = int(float(per_second))
        return int(records) / float(per_second), float(p50) * 1e3, float(p99) * 1e3, ""


class Ours(Tool):
    name = "bench-client load"
    lacks = "–"
    # 3 says INVALID by its own rules: it was measured, and the remark says why.
    accepted = (0, 3)

    def __init__(self, transport, program, version, encoding, in_flight=None):
        self.transport, self.program, self.version, self.encoding = transport, program, version, encoding
        self.in_flight = in_flight
        if in_flight:
            self.name, self.paces = f"{self.name}, {in_flight:,} in flight", False
            self.lacks = "– (as many in flight as ProducerPerformance's memory holds)"

    def argv(self, at):
        service = at.brokered if self.transport in ("queue", "stream") else at.sync
        target = {"rest": at.rest, "grpc": at.grpc, "queue": at.amqp, "stream": at.kafka}[self.transport]
        load = ["--rate", str(at.rate)] if at.rate else ["--in-flight", str(self.in_flight or at.in_flight)]
        return [self.program, "load", "--json", "--transport", self.transport, "--payload", "O3", "--format",
                self.encoding, *load, "--duration", f"{at.seconds}s", "--warmup", "0s", "--target", target,
                "--scope", "peers", "--control", service.ready["control"], "--token-file", str(service.token_file),
                "--pin", "none"]

    def read(self, output, at):
        trial = json.loads(output)
        ledger, accept = trial["ledger"], trial["accept_ns"]
        remark = errors(sum(ledger[key] or 0 for key in ("lost", "duplicated", "refused", "failed", "timed_out", "open")))
        # It was told to pin nothing, because taskset did; that is no reason here.
        reasons = [reason for reason in trial["validity"]["reasons"] if "pinned" not in reason]
        if reasons:
            remark += f" {trial['validity']['state']}: " + "; ".join(reasons)
        us = [value and value / 1e3 for value in (accept["p50"], accept["p99"])]
        return trial["window_s"], us[0], us[1], remark.strip()


def errors(count):
    return f"{count} errors" if count else ""


def everyone(client, version):
    """All tools, peers first, ours last in each transport."""
    return [
        Wrk(), Oha(), H2load("rest"), Ours("rest", client, version, "json"),
        Ghz(), H2load("grpc"), Ours("grpc", client, version, "protobuf"),
        PerfTest(), Ours("queue", client, version, "protobuf"),
        ProducerPerformance(), Ours("stream", client, version, "json"),
        # 32 MB of orders: with 32 in flight the two don't batch alike.
        Ours("stream", client, version, "json", in_flight=10_000),
    ]
