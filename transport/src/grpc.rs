//! The grpc transport.
