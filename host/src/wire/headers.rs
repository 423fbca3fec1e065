//! What the same bytes would cost in headers on Ethernet. *Computed*, never measured: loopback's segments hold up
//! to 64 kB (a 32 kB MSS and segmentation offload), so its own count of segments says nothing of a network.

/// Stream bytes in a full segment on Ethernet: an MTU of 1,500 less 20 of IPv4, 20 of TCP and 12 of options.
pub const MSS: u64 = 1_448;

/// Header bytes of a segment: 20 of IPv4, 20 of TCP, 12 of the timestamp option (Linux's default, padded).
/// Ethernet's own framing isn't counted, and IPv6 would add 20.
pub const HEADER_BYTES: u64 = 52;

/// TCP/IP header bytes for `bytes` sent as `messages` writes of even size, each flushed at once (TCP_NODELAY), at
/// an MSS of [`MSS`]. Label it as computed.
///
/// Writes that the sender coalesces make fewer segments (for the least there can be, give one message), and pure
/// ACKs, which ride on replies where there are any, aren't counted.
#[must_use]
pub fn headers_for(bytes: u64, messages: u64) -> u64 {
    if messages == 0 {
        return 0;
    }
    let (least, longer) = (bytes / messages, bytes % messages);
    let segments = (messages - longer) * least.div_ceil(MSS) + longer * (least + 1).div_ceil(MSS);
    segments * HEADER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_pays_for_its_own_segments() {
        assert_eq!(headers_for(0, 0), 0);
        assert_eq!(headers_for(0, 10), 0);
        assert_eq!(headers_for(290, 1), 52);
        assert_eq!(headers_for(290 * 1_000, 1_000), 52_000);
        assert_eq!(headers_for(1_448, 1), 52);
        assert_eq!(headers_for(1_449, 1), 104);
        assert_eq!(headers_for(2 * 1_448 + 1, 2), 52 + 104);
    }

    #[test]
    fn a_megabyte_takes_about_750_segments_on_ethernet() {
        assert_eq!(headers_for(1_080_000, 1) / HEADER_BYTES, 746);
    }
}
