//! What is behind an error of tonic's.

use crate::Failure;

/// Why a channel could not open its connection.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.text)]
pub(super) struct DialError(pub(super) Failure);

impl DialError {
    /// The error of the dial, if that is what is behind another.
    pub(super) fn behind<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Failure> {
        let mut cause = error.source();
        while let Some(error) = cause {
            if let Some(Self(failure)) = error.downcast_ref() {
                return Some(failure);
            }
            cause = error.source();
        }
        None
    }
}

/// The first cause of an error.
pub(super) fn root<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> &'a (dyn std::error::Error + 'static) {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause
}
