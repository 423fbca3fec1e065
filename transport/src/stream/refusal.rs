//! What librdkafka's errors mean for a call: whether the order may be in the log all the same, and in which words it failed.

use crate::{CallResult, Failure, Outcome};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub(super) fn is_full(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull)
}

/// Errors after which the record may or may not be in the log.
pub(super) fn is_unknown(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        BrokerTransportFailure, MessageTimedOut, OperationTimedOut, PurgeInflight, RequestTimedOut,
    };
    matches!(
        code,
        MessageTimedOut
            | OperationTimedOut
            | RequestTimedOut
            | BrokerTransportFailure
            | PurgeInflight
    )
}

pub(super) fn failed(code: RDKafkaErrorCode) -> CallResult {
    CallResult::Failed(Failure {
        by_service: false,
        name: format!("{code:?}"),
        text: format!("Kafka did not take the order: {code}"),
    })
}

pub(super) fn refused(error: &KafkaError) -> Outcome {
    let name = error
        .rdkafka_error_code()
        .map_or("kafka".into(), |code| format!("{code:?}"));
    unsent(&name, format!("librdkafka did not take the order: {error}"))
}

pub(super) fn unsent(name: &str, text: String) -> Outcome {
    Outcome {
        sent_ns: None,
        result: CallResult::Failed(Failure {
            by_service: false,
            name: name.into(),
            text,
        }),
        body_in: 0,
    }
}
