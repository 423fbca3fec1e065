//! The HTTP/2 settings that rest (h2) and grpc share on both ends, so that a difference between them is never one
//! of flow control. They are printed with every result.

/// Streams that one connection may have open. Above any in-flight window of the suites, so that the limit is never
/// the bottleneck; hyper's server would stop at 200, tonic's at none.
pub const MAX_CONCURRENT_STREAMS: u32 = 10_000;

/// Receive window of a stream: an order of 1,000 lines as JSON (108 kB) fits nine times, so no body of the suites
/// waits for a window update. (The specification's default is 64 KiB.)
pub const STREAM_WINDOW: u32 = 1 << 20;

/// Receive window of a connection: 32 bodies in flight of half a stream window each.
pub const CONNECTION_WINDOW: u32 = 16 << 20;

/// The settings by name, for the manifest.
pub(crate) fn in_force() -> impl Iterator<Item = (String, String)> {
    [
        (
            "h2.max_concurrent_streams",
            MAX_CONCURRENT_STREAMS.to_string(),
        ),
        ("h2.stream_window", STREAM_WINDOW.to_string()),
        ("h2.connection_window", CONNECTION_WINDOW.to_string()),
        ("h2.adaptive_window", "off".to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into_iter()
}
