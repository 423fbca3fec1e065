//! The service under measurement: one order handler behind every listener, its slowness, its ledger, its journal, its
//! next hops and the control port. It knows no load, and of the transports only that they deliver messages.

pub mod cli;
pub mod control;
pub mod hops;
pub mod journal;
pub mod plant;
pub mod ready;
pub mod relay;
pub mod run;
pub mod serve;
pub mod service;
pub mod stop;
pub mod token;
pub mod workers;

pub use service::OrderService;
