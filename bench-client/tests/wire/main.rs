//! Orders over each transport and each way to use it, real brokers included: what arrived, what it weighed, and who
//! accounts for it. Counts, ledgers and bytes; of times only what no machine can undercut, so that a neighbour does no
//! harm. Nobody here signals a broker.

#[path = "../common/mod.rs"]
mod common;
mod connecting;
mod load;
mod rpc;
mod streaming;
mod tls;
