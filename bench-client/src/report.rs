//! Tables from results alone.
