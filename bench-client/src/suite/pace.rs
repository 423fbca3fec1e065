//! The machine's own pace beside each trial: what a neighbour slows though the hypervisor takes nothing. It is told and decides
//! nothing: such neighbours come and go within seconds, and neither a wait nor another attempt escapes them (docs/METHOD.md, CPU).

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
