//! Every claim as data.
