//! One service: what it does with an order, what it tells over its control port, what survives it, and the program itself.

mod common;
mod control;
mod handler;
mod journal;
mod program;
