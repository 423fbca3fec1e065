//! Every trial as a line of `trials.csv`, for a spreadsheet or a data frame: nothing is left out, nothing is merged.

use crate::results::{Arrival, Latency, Run, Trial};

/// Each trial of a run in run order, repetitions included; times in ns, CPU in µs per order, bytes per order.
pub(super) fn trials(run: &Run) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let names = fields(&Trial::default(), true).into_iter().map(|f| f.0);
    let mut records = vec![names.collect::<Vec<String>>()];
    for trial in &run.trials {
        let counts = !run.trials.iter().any(|other| {
            other.cell.id == trial.cell.id
                && other.block == trial.block
                && other.experiment == trial.experiment
                && other.standing() > trial.standing()
        });
        let values = fields(trial, counts).into_iter().map(|f| f.1);
        records.push(values.collect());
    }
    for record in records {
        writer
            .write_record(&record)
            .expect("every record has as many fields, and memory takes all");
    }
    let bytes = writer.into_inner().expect("memory takes all");
    String::from_utf8(bytes).expect("every field is text")
}

/// Names and values of one line; `counts` says that no other attempt replaced it.
fn fields(t: &Trial, counts: bool) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut field = |name: &str, value: String| out.push((name.to_string(), value));
    let c = &t.cell;
    field("experiment", t.experiment.clone());
    field("shared_with", t.shared_with.join(" "));
    field("cell", c.id.clone());
    field("transport", c.transport.clone());
    field("http", c.http.clone().unwrap_or_default());
    field("format", c.format.clone());
    field("payload", c.payload.clone());
    field("durability", c.durability.clone());
    field("arrival", arrival(c.arrival).into());
    field("in_flight", show(c.in_flight));
    field("rate_per_s", show(c.rate_per_s));
    field("connections", show(c.connections));
    field("slow", c.slow.clone().unwrap_or_default());
    field("workers", show(c.workers));
    field("arm", c.arm.clone().unwrap_or_default());
    let factors: Vec<String> = c.factors.iter().map(|(k, v)| format!("{k}={v}")).collect();
    field("factors", factors.join(" "));
    field("block", t.block.to_string());
    field("attempt", t.attempt.to_string());
    field("counts", counts.to_string());
    field("state", t.validity.state.to_string());
    field("reasons", t.validity.reasons.join("; "));
    field("stolen_share", show(t.stolen_share));
    field("foreign_share", show(t.foreign_share));
    field("step_ns", show(t.step_ns));
    field("overloaded", t.overloaded.clone().unwrap_or_default());
    field("started_at_s", t.started_at_s.to_string());
    field("window_s", t.window_s.to_string());
    field("throughput_per_s", t.throughput_per_s.to_string());
    let bound = t.throughput_is_lower_bound.to_string();
    field("throughput_is_lower_bound", bound);
    for (name, latency) in [
        ("accept", Some(&t.accept_ns)),
        ("completion", t.completion_ns.as_ref()),
        ("service_time", Some(&t.service_ns)),
        ("handler", t.handler_ns.as_ref()),
        ("lateness", Some(&t.lateness_ns)),
    ] {
        for (figure, value) in percentiles(latency) {
            field(&format!("{name}_{figure}"), value);
        }
    }
    field("body_out_bytes", show(t.bytes.body_out));
    field("body_in_bytes", show(t.bytes.body_in));
    let legs = t.bytes.wire.values();
    let wire = (!t.bytes.wire.is_empty()).then(|| legs.map(|l| l.sent + l.received).sum::<f64>());
    field("wire_bytes", show(wire));
    let cpu = &t.cpu_us_per_op;
    for (name, value) in [
        ("client", cpu.client),
        ("pacing", cpu.pacing),
        ("service", cpu.service),
        ("broker", cpu.broker),
        ("broker_net", cpu.broker_net),
    ] {
        field(&format!("cpu_{name}_us_per_op"), show(value));
    }
    let l = &t.ledger;
    for (name, value) in [
        ("attempted", Some(l.attempted)),
        ("acknowledged", Some(l.acknowledged)),
        ("refused", Some(l.refused)),
        ("failed", Some(l.failed)),
        ("timed_out", Some(l.timed_out)),
        ("open", Some(l.open)),
        ("delivered", l.delivered),
        ("lost", l.lost),
        ("duplicated", l.duplicated),
        ("recovered", l.recovered),
        ("unexpected", l.unexpected),
        ("reordered", l.reordered),
    ] {
        field(name, show(value));
    }
    out
}

fn percentiles(latency: Option<&Latency>) -> [(&'static str, String); 6] {
    let value = |read: fn(&Latency) -> Option<u64>| show(latency.and_then(read));
    [
        ("p50_ns", value(|l| l.p50)),
        ("p90_ns", value(|l| l.p90)),
        ("p99_ns", value(|l| l.p99)),
        ("p999_ns", value(|l| l.p999)),
        ("max_ns", value(|l| l.max)),
        ("samples", value(|l| Some(l.count))),
    ]
}

fn arrival(arrival: Arrival) -> &'static str {
    match arrival {
        Arrival::Closed => "closed",
        Arrival::Constant => "constant",
        Arrival::Poisson => "poisson",
        Arrival::Planned => "planned",
    }
}

fn show(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::fixture::planted;

    #[test]
    fn every_trial_has_its_line_and_every_line_all_fields() {
        let mut run = planted();
        run.trials[0].validity.reasons = vec!["planted, with a comma and a \"quote\"".into()];
        let mut again = run.trials[1].clone();
        again.attempt = 1;
        run.trials.push(again);
        let text = trials(&run);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names = reader.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(rows.len(), run.trials.len());
        let at = |row: &csv::StringRecord, name: &str| {
            row[names.iter().position(|n| n == name).unwrap()].to_string()
        };
        for (row, trial) in rows.iter().zip(&run.trials) {
            assert_eq!(at(row, "cell"), trial.cell.id);
            assert_eq!(
                at(row, "throughput_per_s").parse::<f64>().unwrap(),
                trial.throughput_per_s
            );
        }
        assert_eq!(at(&rows[0], "reasons"), run.trials[0].validity.reasons[0]);
        // The first attempt no longer counts; the second does.
        assert_eq!(at(&rows[1], "counts"), "false");
        assert_eq!(at(rows.last().unwrap(), "counts"), "true");
        // Unless others disturbed that one more.
        run.trials.last_mut().unwrap().replaced = true;
        let text = trials(&run);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!(at(&rows[1], "counts"), "true");
        assert_eq!(at(rows.last().unwrap(), "counts"), "false");
    }
}
