//! The commands as their users meet them: command lines, files, exit status, what is printed where and what is kept.
//! Counts and structure, never a time: a neighbour may make a trial slower, and no more.

mod cli;
mod everyday;
mod malformed;
mod own;
mod parsers;
mod project;
