//! Where a group that is new to the topic begins, when that is not with the oldest record.

use super::{ATTEMPT, Route, blocking};
use anyhow::Context;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

/// Commits the topic's end for a group that has no place in it yet: what is published from now on is the group's, and
/// nothing before. `auto.offset.reset=latest` would choose the end later, with a consumer's first fetch, and what was
/// published between its being ready and that would be nobody's.
pub(super) async fn at_the_end(route: &Route) -> anyhow::Result<()> {
    let route = route.clone();
    blocking(move || {
        let mut config = route.client("place");
        let consumer: BaseConsumer = config.set("group.id", &route.group).create()?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&route.orders, 0, route.partitions - 1);
        let place = || -> Result<(), KafkaError> {
            let committed = consumer.committed_offsets(asked, ATTEMPT)?;
            let mut ends = TopicPartitionList::new();
            for partition in committed.elements() {
                if matches!(partition.offset(), Offset::Offset(_)) {
                    continue;
                }
                let number = partition.partition();
                let (_, end) = consumer.fetch_watermarks(&route.orders, number, ATTEMPT)?;
                ends.add_partition_offset(&route.orders, number, Offset::Offset(end))?;
            }
            match ends.count() {
                0 => Ok(()),
                _ => consumer.commit(&ends, CommitMode::Sync),
            }
        };
        place().with_context(|| {
            format!(
                "group {} got no place at the end of {}",
                route.group, route.orders
            )
        })
    })
    .await
}
