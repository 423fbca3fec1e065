//! Planted runs on each side of the rule.

use super::*;
use crate::claims::{fixture, judge};
use crate::results::{Effects, SeriesBin, Value, Verdict, VerdictRow};

const RATE: f64 = 300.0;
const BLOCKS: u32 = 3;
/// Orders planned in the last phase.
const PLANNED: u64 = 450;

/// Half a second well, 5 s slow, 5.5 s well again; so many orders of the last phase succeed.
fn trial(over: &str, policy: Policy, block: u32, succeed: u64) -> Trial {
    let mut trial = fixture::slow(over, block, 1_000_000, 1_000_000, 0);
    trial.experiment = EXPERIMENT.into();
    trial.cell.id = format!("{over}-{}", policy.name());
    (trial.cell.slow, trial.cell.workers) = (None, None);
    trial.cell.rate_per_s = Some(RATE);
    let factors = &mut trial.cell.factors;
    factors.insert("topology".into(), topology(policy));
    let edges = [
        (0.0, 0.5, 150, 150),
        (0.5, 5.5, 1_500, 30),
        (5.5, 9.5, 1_200, succeed),
        (9.5, 11.0, PLANNED, succeed),
    ];
    trial.phases = PHASES
        .into_iter()
        .zip(edges)
        .map(|(name, (start_s, end_s, planned, acknowledged))| Phase {
            name: name.into(),
            start_s,
            end_s,
            planned,
            acknowledged,
            failed: planned - acknowledged,
            ..Phase::default()
        })
        .collect();
    let until = if succeed == PLANNED { 67 } else { 110 };
    trial.series = (0..110)
        .map(|bin| SeriesBin {
            start_s: f64::from(bin) / 10.0,
            width_s: 0.1,
            errors: u64::from((8..until).contains(&bin)) * 30,
            ..SeriesBin::default()
        })
        .collect();
    let attempts = match policy {
        Policy::NoRetry => 3_300,
        Policy::Budget => 3_630,
        _ => 12_540,
    };
    let retried = attempts - 3_300;
    let calls = HopCalls {
        calls: 3_300,
        attempts,
        retried,
        ..HopCalls::default()
    };
    let mut checkout = Hop {
        service: CHECKOUT.into(),
        ..Hop::default()
    };
    checkout.calls.insert(BEHIND.into(), calls);
    let behind = Hop {
        service: BEHIND.into(),
        effects: Effects {
            applied: 3_300,
            repeated: match policy {
                Policy::Idempotent | Policy::Deadline => 0,
                _ => retried,
            },
        },
        expired: if policy == Policy::Deadline {
            retried
        } else {
            0
        },
        ..Hop::default()
    };
    trial.hops = vec![checkout, behind];
    trial
}

/// The deadline travels along over one transport alone.
fn ran() -> impl Iterator<Item = (&'static str, Policy)> {
    let all = SYNC.into_iter();
    all.flat_map(|over| Policy::ALL.map(|policy| (over, policy)))
        .filter(|cell| *cell != ("grpc", Policy::Deadline))
}

/// Without retries, with a budget and with a key goodput comes back; of the others this many orders succeed.
fn planted(of_storms: impl Fn(&str, Policy, u32) -> u64) -> Run {
    let mut run = fixture::planted();
    for block in 0..BLOCKS {
        for (over, policy) in ran() {
            let succeed = match policy {
                Policy::Immediate | Policy::Backoff => of_storms(over, policy, block),
                _ => PLANNED,
            };
            run.trials.push(trial(over, policy, block, succeed));
        }
    }
    run
}

fn storms(_: &str, policy: Policy, block: u32) -> u64 {
    match policy {
        Policy::Backoff => 2 + u64::from(block),
        _ => 0,
    }
}

fn verdict(run: &Run) -> VerdictRow {
    judge(run)
        .into_iter()
        .find(|row| row.claim == "retry-storm")
        .unwrap()
}

#[test]
fn it_holds_where_goodput_stays_away_and_says_what_the_others_do() {
    let row = verdict(&planted(storms));
    // A key that spares the work, and a deadline that the service is told, bring it back: it depends on the policy.
    assert_eq!(row.verdict, Verdict::Depends, "{row:?}");
    let verdicts: Vec<Verdict> = row.parts.iter().map(|part| part.verdict).collect();
    use Verdict::{Holds, Refuted};
    assert_eq!(
        verdicts,
        [Holds, Holds, Refuted, Refuted, Holds, Holds, Refuted]
    );
    let said: String = row.parts.iter().map(|part| part.reason.as_str()).collect();
    for words in [
        "rest, 3 immediate retries: after the slowness, goodput without retries was at least 450× that with them (100 % against 0.00 %; 3.80 attempts per order)",
        "3 retries within a budget of 10 %: 100 % of the last phase's orders succeeded, at 1.10 attempts per order",
        "Immediate retries had the work of an order done again 27720 times, with an idempotency key 0 times.",
        "Beside it over rest: 3 retries within",
        "Beside it over grpc: 3 retries within",
        "Scope: Rust",
    ] {
        let all = format!("{said} {}", row.reason);
        assert!(all.contains(words), "{words}: {all}");
    }
}

#[test]
fn no_aa_pair_tells_of_goodput_least_of_all_one_whose_throughput_is_its_rate() {
    for by in [1.0, 1.3] {
        let mut run = planted(storms);
        let mut pairs = 0;
        for trial in &mut run.trials {
            if trial.cell.arm.is_some() && trial.experiment == "ladder" {
                trial.throughput_per_s *= by;
                pairs += 1;
            }
        }
        assert!(pairs > 0);
        let row = verdict(&run);
        assert_eq!(row.verdict, Verdict::Depends, "{row:?}");
        for part in &row.parts {
            assert!(part.reason.contains("no A/A pair tells of it"), "{part:?}");
        }
    }
}

#[test]
fn goodput_that_comes_back_refutes_it_and_one_transport_alone_makes_it_depend() {
    let all_back = verdict(&planted(|_, _, _| PLANNED));
    assert_eq!(all_back.verdict, Verdict::Refuted, "{all_back:?}");
    let one_back = planted(|over, policy, block| match over {
        "grpc" => PLANNED,
        _ => storms(over, policy, block),
    });
    let row = verdict(&one_back);
    assert_eq!(row.verdict, Verdict::Depends, "{row:?}");
    assert!(
        row.reason.contains("Depends on transport and policy"),
        "{}",
        row.reason
    );
}

#[test]
fn one_block_decides_nothing_and_no_run_measures_nothing() {
    let mut run = planted(storms);
    run.trials
        .retain(|trial| trial.experiment != EXPERIMENT || trial.block == 0);
    assert_eq!(verdict(&run).verdict, Verdict::Inconclusive);
    assert_eq!(verdict(&fixture::planted()).verdict, Verdict::NotMeasured);
}

#[test]
fn without_goodput_to_compare_with_nothing_is_decided() {
    let mut run = planted(storms);
    for trial in &mut run.trials {
        if trial.cell.id.ends_with("-none") {
            trial.phases[3].acknowledged = 0;
        }
    }
    assert_eq!(verdict(&run).verdict, Verdict::NotMeasured);
    // One such block of three speaks against the claim: the two others do not decide it.
    let mut run = planted(storms);
    for trial in &mut run.trials {
        if trial.cell.id.ends_with("-none") && trial.block == 0 {
            trial.phases[3].acknowledged = 0;
        }
    }
    let row = verdict(&run);
    let storm = &row.parts[0];
    assert_eq!(storm.verdict, Verdict::Inconclusive, "{storm:?}");
    assert!(
        storm.reason.contains("in 1 blocks goodput was gone"),
        "{storm:?}"
    );
}

#[test]
fn formulas_say_which_policy_comes_back() {
    let (rate, slow) = (PerSecond(RATE), Duration::from_secs(5));
    let after = |policy: Policy| match policy.outlook(rate, slow) {
        Outlook::ComesBack(after) => Some(after.as_secs_f64()),
        _ => None,
    };
    // (300 − 20)·5 = 1,400 wait, and 800 − 300 are done of them each second; with a budget (330 − 20)·5 and 800 − 330.
    let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-6;
    assert!(near(after(Policy::NoRetry), 2.8));
    assert!(near(after(Policy::Idempotent), 2.8));
    assert!(near(after(Policy::Budget), 1_550.0 / 470.0));
    for policy in [Policy::Immediate, Policy::Backoff] {
        assert_eq!(policy.outlook(rate, slow), Outlook::StaysAway);
    }
    assert_eq!(Policy::Deadline.outlook(rate, slow), Outlook::Unknown);
    // At half the rate even four attempts of each order are less than the workers do.
    let half = Policy::Immediate.outlook(PerSecond(RATE / 2.0), slow);
    assert!(matches!(half, Outlook::ComesBack(_)), "{half:?}");
}

#[test]
fn the_tables_have_a_row_for_each_cell_and_set_theory_beside_it() {
    let run = planted(storms);
    let made = tables(&run);
    assert_eq!(made.len(), 2);
    let text = |value: &Value| match value {
        Value::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    for table in &made {
        assert_eq!(table.rows.len(), 11, "{}", table.title);
    }
    let said: Vec<(String, String)> = made[1]
        .rows
        .iter()
        .map(|row| (text(&row[6]), text(&row[8])))
        .collect();
    let pair = |foretold: &str, came: &str| (foretold.to_string(), came.to_string());
    let back = pair("comes back", "came back");
    let away = pair("stays away", "stayed away");
    let expected = [
        back.clone(),
        away.clone(),
        away.clone(),
        back.clone(),
        back.clone(),
        pair("no formula", "came back"),
        back.clone(),
        away.clone(),
        away,
        back.clone(),
        back,
    ];
    assert_eq!(said, expected);
    // Errors end with the bin from 6.6 s to 6.7 s, 1.2 s after the slowness; or they do not.
    let last = &made[1].rows[0][9];
    assert!(
        matches!(last, Value::Interval { point, .. } if (point - 1.2).abs() < 1e-6),
        "{last:?}"
    );
    assert!(matches!(made[1].rows[1][9], Value::Missing(_)));
    assert_eq!(made[0].rows[1][7], Value::Number(3.0 * 9_240.0));
}
