//! Each experiment as a tiny plan over real services and brokers: how many trials, their ledgers, and the shape of what
//! the analysis made of them; never a time.

mod chain;
#[path = "../common/mod.rs"]
mod common;
mod consumers;
mod fanout;
mod guards;
mod interrupted;
mod matched;
mod overload;
mod retries;
mod shares;
mod support;
