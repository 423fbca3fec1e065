//! The machine's own pace beside each trial: what a neighbour slows though the hypervisor takes nothing. It is told and decides
//! nothing: that a wait for a better pace helps was tried and not seen (docs/METHOD.md, CPU).

use bench_host::place::Placement;

/// Runs something between two readings and gives their mean. What it does may change the pace, and then neither end tells.
pub(super) async fn beside<T>(
    placement: &Placement,
    work: impl Future<Output = T>,
) -> (T, Option<f64>) {
    let before = step_ns(placement).await;
    let done = work.await;
    let after = step_ns(placement).await;
    let mean = before
        .zip(after)
        .map(|(before, after)| f64::midpoint(before, after));
    (done, mean)
}

/// Time of one step on the client's and the service's cores, ns; none where the kernel refuses.
async fn step_ns(placement: &Placement) -> Option<f64> {
    let cores = [placement.client.clone(), placement.service.clone()];
    let walking = tokio::task::spawn_blocking(move || bench_host::pace::step_ns(&cores));
    walking.await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_run_comes_back_with_the_pace_beside_it() {
        let placement = Placement::for_this_machine(1).unwrap();
        let (done, step) = beside(&placement, async { 7 }).await;
        assert_eq!(done, 7);
        assert!(step.is_some_and(|ns| ns > 0.0), "{step:?}");
    }
}
