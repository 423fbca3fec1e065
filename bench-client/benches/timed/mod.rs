//! Cases timed by criterion. Shorter than its defaults: there are many, and their spread is small.

use crate::cases::Case;
use criterion::{Criterion, Throughput};
use std::time::Duration;

/// Times every case; arguments (a filter, `--save-baseline` …) are criterion's.
pub(crate) fn run(cases: Vec<Case>) {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(50)
        .configure_from_args();
    for mut case in cases {
        let (group, name) = case.name.split_once('/').expect("a group and a name");
        let mut group = criterion.benchmark_group(group);
        group.throughput(match case.bytes {
            Some(bytes) => Throughput::Bytes(bytes * case.units),
            None => Throughput::Elements(case.units),
        });
        group.bench_function(name, |bencher| bencher.iter(&mut case.call));
        group.finish();
    }
    criterion.final_summary();
}
