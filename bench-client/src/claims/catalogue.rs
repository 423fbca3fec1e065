//! Every claim under test, as data: its stable id, where it is made, what it says, by which rule it is judged, which
//! experiment decides it, and on which primary cells. Counter-examples are shown beside a claim and never decide it.

use super::rules::Rule::{self, AllOf, Band, Effect, Equal, Formula, Never, Slope};

/// One claim.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    /// Stable: results, reports and code use it.
    pub id: &'static str,
    /// The source documents that make it; `—` for our own.
    pub source: &'static str,
    /// What it says.
    pub statement: &'static str,
    /// The kinds of rule that judge it; empty where it only follows from the set-up.
    pub rules: &'static [Rule],
    /// It follows from the set-up, at least in part: the size of the effect is what is added.
    pub by_construction: bool,
    /// The experiment that decides it; none where no experiment is named yet.
    pub experiment: Option<&'static str>,
    /// What it is judged on.
    pub judged_on: &'static str,
}

impl Claim {
    /// Its rules in words, as the table of claims prints them.
    pub fn rule(&self) -> String {
        let mut words: Vec<String> = self.rules.iter().map(ToString::to_string).collect();
        if self.by_construction {
            words.push("by construction".into());
        }
        words.join(", ")
    }

    /// The claim of an id.
    pub fn find(id: &str) -> Option<&'static Claim> {
        CLAIMS.iter().find(|claim| claim.id == id)
    }
}

/// All of them, in the order of the table.
pub static CLAIMS: [Claim; 45] = [
    Claim {
        id: "size-3-10x",
        source: "002",
        statement: "protobuf messages are 3–10× smaller than JSON",
        rules: &[Band(3.0, Some(10.0), "×")],
        by_construction: false,
        experiment: Some("size"),
        judged_on: "body bytes, O1–O1000, plain; gzip and the other classes beside it",
    },
    Claim {
        id: "json-1-5ms",
        source: "002",
        statement: "parsing JSON adds 1–5 ms",
        rules: &[Band(1.0, Some(5.0), "ms")],
        by_construction: false,
        experiment: Some("codec"),
        judged_on: "decode time of bodies ≤ 16 kB; and the body size at which it becomes 1 ms and 5 ms",
    },
    Claim {
        id: "grpc-thr-3-10x",
        source: "003",
        statement: "gRPC has 3–10× the throughput of REST",
        rules: &[Band(3.0, Some(10.0), "×")],
        by_construction: false,
        experiment: Some("capacity"),
        judged_on: "saturation throughput ratio, O3 and O100 at 32 in flight, equal connections; CPU per operation ratio beside it",
    },
    Claim {
        id: "grpc-lat-3-10x",
        source: "003",
        statement: "gRPC has 3–10× lower latency than REST",
        rules: &[Band(3.0, Some(10.0), "×")],
        by_construction: false,
        experiment: Some("ladder"),
        judged_on: "open loop, p50 and p99 ratio at equal rate, O3 and O100",
    },
    Claim {
        id: "grpc-lat-5-10x",
        source: "002",
        statement: "5–10× lower latency than REST for internal calls",
        rules: &[Band(5.0, Some(10.0), "×")],
        by_construction: false,
        experiment: Some("ladder"),
        judged_on: "the same cells",
    },
    Claim {
        id: "gap-concurrency",
        source: "003",
        statement: "the gap widens at high concurrency",
        rules: &[Effect(1.1), Slope],
        by_construction: false,
        experiment: Some("capacity"),
        judged_on: "slope of the log ratio per decade of concurrency 1…256 at least +10 %, and the ratio above 1 at the top",
    },
    Claim {
        id: "gap-payload",
        source: "003",
        statement: "the gap widens with larger payloads",
        rules: &[Effect(1.1), Slope],
        by_construction: false,
        experiment: Some("payload"),
        judged_on: "the same over orders of 1…1000 lines",
    },
    Claim {
        id: "conn-cost",
        source: "003",
        statement: "multiplexing removes the per-request connection cost that REST suffers",
        rules: &[Effect(1.1)],
        by_construction: false,
        experiment: Some("connections"),
        judged_on: "all of: kept-alive pool vs new connection per request; kept-alive pool vs one HTTP/2 connection. With and without TLS, and over a relay of 0.5 ms",
    },
    Claim {
        id: "rest-50-200ms",
        source: "003",
        statement: "typical REST latency is 50–200 ms, gRPC 5–20 ms",
        rules: &[Band(50.0, Some(200.0), "ms"), Band(5.0, Some(20.0), "ms")],
        by_construction: false,
        experiment: Some("ladder"),
        judged_on: "bare p50 and p99; with services of 1 and 5 ms behind, the share that is transport",
    },
    Claim {
        id: "grpc-50k",
        source: "003",
        statement: "at 50,000 req/s internal, use gRPC: a broker adds latency without benefit",
        rules: &[AllOf],
        by_construction: false,
        experiment: Some("ladder"),
        judged_on: "added accept and completion latency at each rate both sustain; CPU = a + b·rate fitted; *projected* beyond what ran",
    },
    Claim {
        id: "queue-ms-minutes",
        source: "003",
        statement: "a message queue's latency is milliseconds to minutes by design",
        rules: &[Band(1.0, None, "ms")],
        by_construction: false,
        experiment: Some("ladder"),
        judged_on: "completion p50 of queue and stream at light load",
    },
    Claim {
        id: "grpc-streaming",
        source: "002",
        statement: "gRPC has unary, server, client and bidirectional streaming",
        rules: &[AllOf],
        by_construction: false,
        experiment: Some("streaming"),
        judged_on: "all four work; per-message cost beside unary",
    },
    Claim {
        id: "queue-rpc",
        source: "000",
        statement: "a queue used as RPC re-invents sync with worse error handling: use gRPC",
        rules: &[AllOf],
        by_construction: false,
        experiment: Some("rpc"),
        judged_on: "latency ratio > 1, CPU ratio > 1, later or vaguer error when the worker dies",
    },
    Claim {
        id: "as-written",
        source: "000, 002",
        statement: "(ours) the sources' own samples: an HTTP client per call, an AMQP connection per publish, a Kafka flush per send",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: Some("as-written"),
        judged_on: "each against the matched cell of its transport",
    },
    Claim {
        id: "producer-free",
        source: "003",
        statement: "the producer is never blocked waiting for processing",
        rules: &[AllOf, Equal, Never],
        by_construction: false,
        experiment: Some("slow"),
        judged_on: "accept p50 and p99, and publishes that are not confirmed, while the consumer is slow (200 ms an order, bounded workers) and stopped; publishes that are not confirmed with a full queue and a memory alarm, and that find no room in a full client buffer; ten times slower is shown beside it",
    },
    Claim {
        id: "slow-200ms",
        source: "001",
        statement: "sync: a downstream slow by 200 ms makes the user wait; async: it does not",
        rules: &[AllOf, Effect(2.0), Equal],
        by_construction: true,
        experiment: Some("slow"),
        judged_on: "accept latency per phase",
    },
    Claim {
        id: "cascade",
        source: "003",
        statement: "a slow downstream makes every upstream slow, even for work that does not need it",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: Some("guards"),
        judged_on: "latency of an unrelated endpoint of the same service during the slow phase",
    },
    Claim {
        id: "depth-canary",
        source: "002",
        statement: "growing queues are the canary of downstream failure",
        rules: &[Effect(2.0)],
        by_construction: true,
        experiment: Some("slow"),
        judged_on: "time from fault to an alarm on backlog against one on p99 and one on errors, at an equal false-alarm rate",
    },
    Claim {
        id: "down-sync",
        source: "001",
        statement: "if a sync dependency is down, checkout is down",
        rules: &[],
        by_construction: true,
        experiment: Some("outage"),
        judged_on: "success share while the downstream is killed",
    },
    Claim {
        id: "down-async",
        source: "003",
        statement: "consumer offline: messages accumulate and are delivered when it is back",
        rules: &[Never],
        by_construction: false,
        experiment: Some("outage"),
        judged_on: "acknowledged but lost after the outage; drain time",
    },
    Claim {
        id: "spike",
        source: "003",
        statement: "traffic spikes buffer in the queue and drain gradually, instead of crashing",
        rules: super::spike::RULES,
        by_construction: false,
        experiment: Some("spike"),
        judged_on: "10× spike over a fixed-capacity worker: errors, backlog, drain, sync beside it",
    },
    Claim {
        id: "consumer-scale",
        source: "003",
        statement: "consumers scale independently of the producer",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: Some("consumers"),
        judged_on: "drain rate over 1, 2, 4, 8 consumers with a handler that waits; accept latency meanwhile",
    },
    Claim {
        id: "chain-fail",
        source: "001",
        statement: "failure of an N-hop sync chain ≈ 1 − (1 − p)^N; p = 1 %, N = 5 gives 95 %",
        rules: &[Formula],
        by_construction: true,
        experiment: Some("chain"),
        judged_on: "exact binomial interval contains it, N = 1…5",
    },
    Claim {
        id: "chain-p99",
        source: "001",
        statement: "p99 of a chain ≈ the sum of the hops' p99s",
        rules: &[Formula],
        by_construction: false,
        experiment: Some("chain"),
        judged_on: "ratio's interval inside [0.8, 1.25], smooth and rare-spike hops",
    },
    Claim {
        id: "chain-floor",
        source: "004",
        statement: "50 ms × 5 hops = 250 ms minimum",
        rules: &[Formula],
        by_construction: true,
        experiment: Some("chain"),
        judged_on: "the same chain",
    },
    Claim {
        id: "async-hop-free",
        source: "001",
        statement: "an async hop adds nothing to the caller's p99",
        rules: &[Equal],
        by_construction: false,
        experiment: Some("chain"),
        judged_on: "chain of two with a third service published to over queue or stream, against the chain without it",
    },
    Claim {
        id: "breaker",
        source: "004",
        statement: "timeouts, circuit breakers and bulkheads stop the cascade",
        rules: &[AllOf],
        by_construction: true,
        experiment: Some("guards"),
        judged_on: "the unrelated endpoint with each of them on, against none; the breaker counts errors and slow calls",
    },
    Claim {
        id: "retry-storm",
        source: "—",
        statement: "(ours) retries without a budget keep an overload alive after its cause is gone",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: Some("retries"),
        judged_on: "amplification and goodput after the fault ends, per policy",
    },
    Claim {
        id: "fanout-sync",
        source: "001",
        statement: "sync: adding a consumer changes the caller and its latency; async: transparent",
        rules: &[AllOf, Effect(2.0), Equal],
        by_construction: false,
        experiment: Some("fanout"),
        judged_on: "caller latency over K = 1, 2, 4, 8; one added while running",
    },
    Claim {
        id: "hybrid",
        source: "001",
        statement: "checkout as sync payment + async rest survives an Inventory outage",
        rules: &[AllOf],
        by_construction: false,
        experiment: Some("hybrid"),
        judged_on: "checkout success, all-sync against hybrid, with its p99 beside it; the rest completes later",
    },
    Claim {
        id: "order-key",
        source: "002",
        statement: "same key → same partition → ordered",
        rules: &[Never],
        by_construction: false,
        experiment: None,
        judged_on: "reordered-per-key count, Kafka",
    },
    Claim {
        id: "order-queue",
        source: "003",
        statement: "several consumers on a queue: no ordering; a single consumer: FIFO",
        rules: &[AllOf],
        by_construction: false,
        experiment: None,
        judged_on: "reordered count, RabbitMQ with 4, 1 and single-active consumer",
    },
    Claim {
        id: "fifo-slower",
        source: "003",
        statement: "strict FIFO costs throughput",
        rules: &[Effect(1.1)],
        by_construction: false,
        experiment: None,
        judged_on: "single active consumer against 4 competing; 1 partition against 4",
    },
    Claim {
        id: "stream-workers",
        source: "003",
        statement: "Kafka can distribute work, a queue does it better",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: None,
        judged_on: "one slow message in a hundred: what waits behind it on a partition and on a queue",
    },
    Claim {
        id: "replay",
        source: "003",
        statement: "a log can be re-read; a queue's message is gone once consumed",
        rules: &[AllOf],
        by_construction: false,
        experiment: None,
        judged_on: "second reader from the start: what it gets",
    },
    Claim {
        id: "groups",
        source: "003",
        statement: "consumer groups read independently; a queue's consumers compete",
        rules: &[AllOf],
        by_construction: false,
        experiment: None,
        judged_on: "ledger per consumer",
    },
    Claim {
        id: "ack-redeliver",
        source: "004",
        statement: "a message persists until acknowledged",
        rules: &[Never],
        by_construction: false,
        experiment: None,
        judged_on: "consumer killed before its ack: lost",
    },
    Claim {
        id: "dup-idempotent",
        source: "002",
        statement: "at-least-once brings duplicates; an idempotent consumer absorbs them",
        rules: &[AllOf],
        by_construction: false,
        experiment: None,
        judged_on: "duplicates delivered, effects applied",
    },
    Claim {
        id: "exactly-once",
        source: "000, 002",
        statement: "a queue or an outbox relay gives exactly-once",
        rules: &[Never],
        by_construction: false,
        experiment: None,
        judged_on: "relay or consumer killed between effect and acknowledgement: duplicates; Kafka transactions as a cell",
    },
    Claim {
        id: "dlq",
        source: "003",
        statement: "a message that keeps failing goes to the dead-letter queue and does not block the rest",
        rules: &[AllOf],
        by_construction: false,
        experiment: None,
        judged_on: "poison messages: where they end; the others' latency",
    },
    Claim {
        id: "durable",
        source: "002",
        statement: "a durable queue guarantees delivery",
        rules: &[Never],
        by_construction: false,
        experiment: None,
        judged_on: "broker process killed under load, per durability class: acknowledged but lost (power cut: not measured)",
    },
    Claim {
        id: "outbox",
        source: "000",
        statement: "the outbox in the same transaction makes event and state agree",
        rules: &[Never],
        by_construction: false,
        experiment: None,
        judged_on: "crash between write and publish, dual write against outbox: lost and phantom events",
    },
    Claim {
        id: "schema-evolution",
        source: "004",
        statement: "events must be versioned",
        rules: &[AllOf],
        by_construction: false,
        experiment: None,
        judged_on: "a field added, removed, renamed, retyped: old reader × new writer, both formats: read, lost, refused",
    },
    Claim {
        id: "saga-view",
        source: "000",
        statement: "choreography has no view of the workflow; an orchestrator has",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: None,
        judged_on: "time and queries to answer \"what happened to order X\" in both",
    },
    Claim {
        id: "tls-cost",
        source: "—",
        statement: "(ours) what TLS adds to each transport",
        rules: &[Effect(2.0)],
        by_construction: false,
        experiment: Some("tls"),
        judged_on: "the same cell with TLS 1.3 and without, per transport: CPU per order; latency and bytes beside it",
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_distinct_and_every_claim_says_how_it_is_judged() {
        let ids: BTreeSet<_> = CLAIMS.iter().map(|claim| claim.id).collect();
        assert_eq!(ids.len(), CLAIMS.len());
        for claim in &CLAIMS {
            assert!(
                !claim.rule().is_empty()
                    && !claim.judged_on.is_empty()
                    && !claim.statement.is_empty(),
                "{}",
                claim.id
            );
        }
    }

    #[test]
    fn a_rule_reads_as_in_the_table_of_claims() {
        assert_eq!(Claim::find("size-3-10x").unwrap().rule(), "band(3×, 10×)");
        assert_eq!(
            Claim::find("queue-ms-minutes").unwrap().rule(),
            "band(1 ms, –)"
        );
        assert_eq!(
            Claim::find("slow-200ms").unwrap().rule(),
            "all of, effect(2×), equal(1.25×, 1 ms), by construction"
        );
        assert_eq!(Claim::find("no-such-claim"), None);
    }
}
