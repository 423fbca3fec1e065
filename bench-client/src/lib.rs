//! The instrument: it drives orders over every transport, records what came of them, and judges claims by the result.
//! Dependencies point one way: cli → suite → trial → generator → load; report and claims work from results alone.

pub mod account;
pub mod address;
pub mod advise;
pub mod brokers;
pub mod calibrate;
pub mod cell;
pub mod claims;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod durable;
pub mod experiment;
pub mod fault;
pub mod footprint;
pub mod generator;
pub mod load;
pub mod manifest;
pub mod meters;
pub mod micro;
pub mod own;
pub mod plan;
pub mod projection;
pub mod report;
pub mod results;
pub mod service;
pub mod stack;
pub mod stats;
pub mod suite;
pub mod theory;
pub mod tls;
pub mod topology;
pub mod trial;
pub mod units;
pub mod validity;
pub mod warm;
