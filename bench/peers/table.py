"""Writes peers.csv (one line a run) and peers.md (medians with least and greatest over the blocks). Measures nothing."""

import csv
from statistics import median

COLUMNS = ["block", "position", "attempt", "counts", "transport", "tool", "version", "mode", "operations", "tool_s", "wall_s", "cpu_s",
           "cpu_us_per_op", "throughput_per_s", "p50_us", "p99_us", "rss_mb", "stolen_share",
           "remark", "error"]
TITLES = {"rest": "REST (HTTP/1.1, JSON)", "grpc": "gRPC (protobuf)", "queue": "RabbitMQ (protobuf, confirms, persistent)",
          "stream": "Kafka (JSON, acks=all, linger 0)"}
OURS = "bench-client load"
# Transport, which of ours, peer, and how much of its CPU per operation ours may use at most.
AIMS = [("rest", OURS, "wrk", 1.0), ("rest", OURS, "oha", 0.8), ("grpc", OURS, "ghz", 0.25),
        ("queue", OURS, "RabbitMQ PerfTest", 0.5), ("stream", OURS, "ProducerPerformance", 1.0),
        ("stream", f"{OURS}, 10,000 in flight", "ProducerPerformance", 1.0)]


def write_csv(path, rows):
    with path.open("w", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)


def show(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def spread(values):
    """Median (least–greatest); a dash for nothing."""
    values = [value for value in values if value is not None]
    if not values:
        return "–"
    if len(values) == 1:
        return show(values[0])
    return f"{show(median(values))} ({show(min(values))}–{show(max(values))})"


def of(rows, tool, mode, column, transport=None):
    return [row.get(column) for row in rows
            if row["tool"] == tool and row["mode"] == mode and transport in (None, row["transport"]) and not row.get("error")]


def line(tool, rows, missing, rate):
    key = (tool.transport, tool.name)
    if key in missing:
        return f"| {tool.name} | skipped: {missing[key]} |||||| {tool.lacks} |"
    mine = [row for row in rows if (row["transport"], row["tool"]) == key]
    failed = [row["error"] for row in mine if row.get("error")]
    good = [row for row in mine if not row.get("error")]
    if not good:
        return f"| {tool.name} | failed: {failed[0] if failed else 'did not run'} |||||| {tool.lacks} |"
    paced = "rate" if tool.paces else None
    rss = [row["rss_mb"] for row in good]
    remark = f"; {len(failed)} of {len(mine)} runs failed" if failed else ""
    cells = [spread(of(mine, tool.name, "saturated", "cpu_us_per_op")), spread(of(mine, tool.name, paced, "cpu_us_per_op")),
             spread(of(mine, tool.name, "saturated", "throughput_per_s")), spread(of(mine, tool.name, paced, "p50_us")),
             spread(of(mine, tool.name, paced, "p99_us")), show(max(rss))]
    return f"| {tool.name} {tool.version} | " + " | ".join(cells) + f" | {tool.lacks}{remark} |"


def ratios(rows, startup):
    """Ours ÷ peer, block by block; once more with the peer's start-up taken off, where it is known."""
    for transport, ours, peer, aim in AIMS:
        runs = {}
        for row in rows:
            if row["transport"] == transport and row["mode"] == "saturated" and not row.get("error"):
                runs.setdefault(row["block"], {})[row["tool"]] = row
        pairs = [(block[ours], block[peer]) for block in runs.values() if ours in block and peer in block]
        if not pairs:
            continue
        gross = [mine["cpu_us_per_op"] / theirs["cpu_us_per_op"] for mine, theirs in pairs]
        net = [mine["cpu_us_per_op"] / (theirs["cpu_us_per_op"] - startup[peer] * 1e6 / theirs["operations"])
               for mine, theirs in pairs if peer in startup and theirs["cpu_s"] > startup[peer]]
        met = "met" if median(gross) <= aim else "missed"
        yield f"| {transport} | {ours} | {peer} | {ratio(gross)} | {ratio(net)} | ≤ {aim:g} | {met} |"


def ratio(values):
    if not values:
        return "–"
    return f"{median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def disturbed(rows, limit):
    """How far the hypervisor had a hand in it, in a sentence."""
    counting = [row for row in rows if row["counts"]]
    robbed = sum(row["stolen_share"] > limit for row in counting)
    again = sum(row["attempt"] > 0 for row in rows)
    return (f"The hypervisor took more than {limit:.0%} of a core of {robbed} of the {len(counting)} runs that count; {again} were run "
            "again for that, each with all that it is compared with, and the least disturbed attempt counts (peers.csv has all).")


def write_markdown(path, *, tools, rows, missing, startup, facts, rate, in_flight, seconds, blocks, limit):
    said = disturbed(rows, limit)
    rows = [row for row in rows if row["counts"]]
    lines = [
        "# Side by side with what people use", "",
        *[f"- {name}: {value}" for name, value in facts.items()], "",
        f"One service on its core, one generator on another, order O3, {in_flight} connections with one call each (brokers: "
        f"{in_flight} unconfirmed on one connection). Blocks: {blocks}, of {seconds} s runs in shuffled order; medians, with least and "
        "greatest in brackets. CPU is user + system of the generator's whole process by wait4, start-up included, divided by the "
        "orders that the service counted; throughput is those orders over the tool's own duration; latency is what the tool "
        f"reports at {rate:,}/s, memory the kernel's high-water mark. Ours also encodes each order anew, checks each answer by "
        "value and balances the ledger; its latency counts from the planned instant.", "", said, "",
    ]
    for transport, title in TITLES.items():
        lines += [f"## {title}", "",
                  f"| tool | CPU µs/op, saturated | CPU µs/op at {rate:,}/s | saturated, per s | p50 µs at {rate:,}/s | "
                  f"p99 µs at {rate:,}/s | peak MB | what it does not do |", "|---|---|---|---|---|---|---|---|"]
        lines += [line(tool, rows, missing, rate) for tool in tools if tool.transport == transport]
        lines.append("")
    if startup:
        lines += ["Start-up of the Java tools (one message, JVM included) in CPU time, which their figures hold: "
                  + ", ".join(f"{name} {seconds:.2f} s" for name, seconds in startup.items())
                  + f". Over {rate * seconds:,} paced orders a second of it is {1e6 / (rate * seconds):.0f} µs each.", ""]
    found = list(ratios(rows, startup))
    if found:
        lines += ["## CPU per operation, saturated: ours ÷ theirs, block by block", "",
                  "| transport | ours | peer | ratio | their start-up taken off | aim | |",
                  "|---|---|---|---|---|---|---|", *found, ""]
    remarks = sorted({f"- {row['transport']}, {row['tool']}, {row['mode']}, block {row['block']}: {row.get('error') or row['remark']}"
                      for row in rows if row.get("error") or row.get("remark")})
    if remarks:
        lines += ["## Remarks", "", *remarks, ""]
    path.write_text("\n".join(lines))
