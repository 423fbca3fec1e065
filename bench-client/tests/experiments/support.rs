//! How every experiment is run here, and what holds of each of them.

use crate::common::{self, json, without_brokers};
use serde_json::Value;
use std::process::Output;
use std::sync::{Condvar, Mutex, PoisonError};

/// As many runs as two cores bear side by side. A run alone takes every seat: one that pauses a broker, or whose test
/// reads a figure that only a trial which counts has. Where a test reads counts, ledgers and rows alone, a neighbour
/// makes figures worse and no more: each run has scopes, ports and processes of its own, and it takes one seat.
const SEATS: u32 = 2;
static TAKEN: Mutex<u32> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Seats that a run has until this is dropped.
pub(super) struct Seats(u32);

impl Seats {
    /// All at once or none yet: two that wait for each other's seat would wait for ever.
    fn take(wanted: u32) -> Self {
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = FREED
            .wait_while(taken, |taken| *taken + wanted > SEATS)
            .unwrap_or_else(PoisonError::into_inner);
        *taken += wanted;
        Self(wanted)
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        FREED.notify_all();
    }
}

/// Every seat: no other test runs until this is dropped.
pub(super) fn alone() -> Seats {
    Seats::take(SEATS)
}

/// One seat: another test may run meanwhile.
pub(super) fn beside_another() -> Seats {
    Seats::take(1)
}

/// Runs the program; another test may run meanwhile.
pub(super) fn program(arguments: &[&str]) -> Output {
    seated(1, arguments)
}

fn seated(seats: u32, arguments: &[&str]) -> Output {
    let _seats = Seats::take(seats);
    let output = common::program(arguments);
    worked(arguments, output.status.code());
    output
}

/// The machine may be too busy for a headline (3); everything else must have worked.
fn worked(arguments: &[&str], status: Option<i32>) {
    assert!(
        matches!(status, Some(0 | 3)),
        "{arguments:?}: exit status {status:?}"
    );
}

pub(super) fn with_brokers() -> bool {
    !without_brokers()
}

/// These transports, and the brokers' unless it was told to do without.
pub(super) fn and_brokers(transports: &str) -> String {
    let brokers = if with_brokers() { ",queue,stream" } else { "" };
    format!("{transports}{brokers}")
}

/// One block of an experiment at its quick size, and what holds of every experiment: each planned cell ran, each order
/// has one end, each that was acknowledged was delivered, and each row of each table has a value per column. No other
/// test runs meanwhile.
pub(super) fn sound(experiment: &str, transports: &str, tables: usize) -> Value {
    sound_with(experiment, transports, tables, &[])
}

/// The same while one other may run beside it.
pub(super) fn sound_beside_another(experiment: &str, transports: &str, tables: usize) -> Value {
    sound_as(1, experiment, transports, tables, &[], &[])
}

/// The same, alone, with more arguments.
pub(super) fn sound_with(
    experiment: &str,
    transports: &str,
    tables: usize,
    more: &[&str],
) -> Value {
    sound_as(SEATS, experiment, transports, tables, &[], more)
}

/// The same at the size that it has in a suite.
pub(super) fn sound_in(suite: &str, experiment: &str, transports: &str, tables: usize) -> Value {
    let size = ["--suite", suite];
    sound_as(1, experiment, transports, tables, &size, &[])
}

/// `size` is part of the plan, `more` of the run alone.
fn sound_as(
    seats: u32,
    experiment: &str,
    transports: &str,
    tables: usize,
    size: &[&str],
    more: &[&str],
) -> Value {
    let mut arguments = vec!["run", experiment, "--blocks", "1"];
    arguments.extend(["--transport", transports]);
    arguments.extend(size);
    let planned = seated(seats, &[&arguments[..], &["--dry-run"]].concat());
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    arguments.extend(["--warm-up", "0s", "--reruns", "0"]);
    arguments.extend(more);
    arguments.extend(["--json", "--quiet", "--out", out.to_str().unwrap()]);
    let (run, status) = {
        let _seats = Seats::take(seats);
        json(&arguments)
    };
    worked(&arguments, Some(status));
    ran_as_planned(&run, &planned, experiment);
    for trial in list(&run, "trials") {
        assert_eq!(trial["experiment"], experiment);
        balances(trial);
    }
    let made = list(&run, "tables");
    assert_eq!(made.len(), tables, "{experiment}");
    for table in made {
        assert_eq!(table["experiment"], experiment);
        for row in list(table, "rows") {
            let values = row.as_array().map(Vec::len);
            assert_eq!(values, Some(list(table, "columns").len()), "{table}");
        }
    }
    run
}

fn ran_as_planned(run: &Value, plan: &Output, experiment: &str) {
    let plan = String::from_utf8_lossy(&plan.stdout);
    let mut planned: Vec<&str> = plan
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter_map(|line| Some(line.trim_start().split_once(' ')?.1.trim()))
        .collect();
    assert!(!planned.is_empty(), "{experiment} plans nothing");
    for skipped in list(run, "skipped") {
        // A disk that does not flush has no class `power`; a broker that was asked for must be there.
        let name = skipped["transport"].as_str().unwrap();
        let transport = name
            .strip_suffix(" in class power")
            .unwrap_or_else(|| panic!("{skipped}"));
        planned.retain(|id| !(id.starts_with(transport) && id.contains("-power")));
    }
    let mut ran: Vec<&str> = list(run, "trials")
        .iter()
        .filter(|trial| trial["attempt"] == 0)
        .map(|trial| trial["cell"]["id"].as_str().unwrap())
        .collect();
    ran.sort_unstable();
    planned.sort_unstable();
    assert_eq!(ran, planned, "{experiment}");
}

/// Every order has one end, and none that was acknowledged is lost.
fn balances(trial: &Value) {
    let ledger = &trial["ledger"];
    assert!(count(ledger, "attempted") > 0, "{trial}");
    let ends = ["acknowledged", "refused", "failed", "timed_out", "open"];
    let ended: u64 = ends.iter().map(|end| count(ledger, end)).sum();
    assert_eq!(count(ledger, "attempted"), ended, "{trial}");
    let wrong = (count(ledger, "lost"), count(ledger, "unexpected"));
    assert_eq!(wrong, (0, 0), "{trial}");
}

pub(super) fn list<'v>(value: &'v Value, name: &str) -> &'v Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
}

pub(super) fn count(value: &Value, name: &str) -> u64 {
    value[name]
        .as_u64()
        .unwrap_or_else(|| panic!("no count {name} in {value}"))
}

/// What each member of a list has under a name.
pub(super) fn texts<'v>(value: &'v Value, members: &str, name: &str) -> Vec<&'v str> {
    let text = |member: &'v Value| member[name].as_str();
    list(value, members)
        .iter()
        .map(|member| text(member).unwrap_or_else(|| panic!("no {name} in {member}")))
        .collect()
}

/// Planned in all phases together.
pub(super) fn planned(of: &Value) -> u64 {
    let phases = list(of, "phases").iter();
    phases.map(|phase| count(phase, "planned")).sum()
}

pub(super) fn hop<'v>(trial: &'v Value, service: &str) -> &'v Value {
    let mut hops = list(trial, "hops").iter();
    hops.find(|hop| hop["service"] == service)
        .unwrap_or_else(|| panic!("no {service} in {trial}"))
}

/// How many rows a table has.
pub(super) fn rows(run: &Value, table: usize) -> usize {
    list(&list(run, "tables")[table], "rows").len()
}

/// Trials whose figures a table may use: on a busy machine lateness can make one INVALID.
pub(super) fn usable(run: &Value) -> Vec<&Value> {
    list(run, "trials")
        .iter()
        .filter(|trial| trial["validity"]["state"] != "INVALID")
        .collect()
}

/// The verdict on a claim has a row, of so many parts.
pub(super) fn judged<'v>(run: &'v Value, claim: &str, parts: usize) -> &'v Value {
    let row = list(run, "verdicts")
        .iter()
        .find(|row| row["claim"] == claim)
        .expect("every claim has a row");
    assert_eq!(list(row, "parts").len(), parts, "{row}");
    row
}

/// The same, and each part says why.
pub(super) fn judged_with_reasons(run: &Value, claim: &str, parts: usize) {
    let row = judged(run, claim, parts);
    let mut parts = list(row, "parts").iter();
    assert!(parts.all(|part| part["reason"] != ""), "{row}");
}
