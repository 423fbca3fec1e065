//! What was counted beside the outcomes, by name: on the callers' side and on the service's.

use super::Observed;
use bench_proto::control::Account;
use std::collections::BTreeMap;

/// Every count that is not zero.
pub(super) fn counters(observed: &Observed, account: Option<&Account>) -> BTreeMap<String, u64> {
    let mut counted: BTreeMap<String, u64> = observed
        .counters
        .named()
        .map(|(name, count)| (name.to_string(), count))
        .collect();
    counted.extend(
        observed
            .failures
            .iter()
            .map(|(name, (count, _))| (format!("failed: {name}"), *count)),
    );
    counted.insert("wrong answers".into(), observed.wrong);
    if let Some(account) = account {
        counted.extend([
            ("unstamped".to_string(), account.unstamped),
            ("foreign".to_string(), account.foreign),
            ("redelivered".to_string(), account.redelivered),
            ("failures planned".to_string(), account.failed),
            ("shed".to_string(), account.shed),
        ]);
        if let Some(planted) = &account.planted {
            counted.extend(
                planted
                    .iter()
                    .map(|(name, count)| (format!("planted: {name}"), *count)),
            );
        }
        counted.extend(
            account
                .refused
                .iter()
                .map(|(name, count)| (format!("refused: {name}"), *count)),
        );
        counted.extend(
            account
                .malformed
                .iter()
                .map(|(name, count)| (format!("rejected: {name}"), *count)),
        );
    }
    counted.retain(|_, count| *count > 0);
    counted
}
