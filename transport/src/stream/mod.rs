//! The stream transport: Kafka through rdkafka. This file owns the run's topics, the settings that both ends share and
//! what is read back from the broker; `publish` and `consume` are its two ends.

mod assignment;
mod consume;
mod handle;
mod offsets;
mod place;
mod publish;
mod refusal;
mod replies;
mod reports;
mod turns;

pub use consume::serve;
pub use publish::{StreamCaller, connect};

use crate::broker::{check_fanout, name, own_name};
use crate::tls::{self, Calling, Tls};
use crate::{LeftUnset, Settings};
use anyhow::{Context, anyhow, bail, ensure};
use bench_proto::Durability;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// What is left to librdkafka where nobody matches the settings.
pub(crate) const LEFT_UNSET: LeftUnset = LeftUnset {
    caller: "linger.ms (5), max.in.flight, reconnect.backoff, partitioner, queue.buffering",
    service: "fetch.queue.backoff.ms (1 s), fetch.error.backoff.ms, reconnect.backoff",
};

/// One request to the broker beside the orders.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Header that names the kind of a record that is no order.
const KIND: &str = "hopbench-kind";
/// Room for key, headers and record framing beside a body.
const FRAMING: usize = 64 << 10;

/// The run's names and the durability class in Kafka's words.
#[derive(Clone)]
struct Route {
    brokers: String,
    tls: Option<Tls>,
    /// A handshake of our own with each bootstrap server, where there is TLS: librdkafka tells nothing of its own.
    calling: Vec<(String, Calling)>,
    orders: String,
    dead: String,
    group: String,
    partitions: i32,
    library_defaults: bool,
    acks: &'static str,
    /// Topic setting: flush to disk after so many messages; none leaves the broker's default.
    flush_messages: Option<&'static str>,
    /// Largest record of the orders' topic: above the service's own limit, so that the service refuses, not the broker.
    max_record: usize,
}

impl Route {
    fn new(settings: &Settings) -> anyhow::Result<Self> {
        check_fanout(settings)?;
        let (acks, flush_messages) = match settings.durability {
            Durability::None => ("0", None),
            Durability::Process => ("all", None),
            Durability::Power => ("all", Some("1")),
            Durability::Memory => bail!(
                "durability memory was asked for, and Kafka has no such class (its log survives a kill of the broker): use none or process"
            ),
        };
        ensure!(
            settings.partitions > 0,
            "a topic needs at least one partition, {} were asked for",
            settings.partitions
        );
        let mut calling = Vec::new();
        for server in settings.target.split(',').map(str::trim) {
            let one = Calling::new(settings, tls::host_of(server), None)?;
            calling.extend(one.map(|one| (server.to_string(), one)));
        }
        Ok(Self {
            brokers: settings.target.clone(),
            tls: settings.tls.clone(),
            calling,
            orders: name(&settings.scope, "orders"),
            dead: name(&settings.scope, "dead"),
            group: own_name(settings, ""),
            partitions: settings.partitions,
            library_defaults: settings.library_defaults,
            acks,
            flush_messages,
            max_record: 2 * settings.max_body + FRAMING,
        })
    }

    /// Largest record of the dead-letter topic: an order's record and the reason beside it.
    fn max_dead(&self) -> usize {
        self.max_record + FRAMING
    }

    /// How the names of its callers' reply topics begin.
    fn reply_prefix(&self) -> String {
        format!("{}.replies.", self.group)
    }

    /// What every client of the run shares.
    fn client(&self, role: &str) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", format!("{} {role}", self.group));
        if let Some(tls) = &self.tls {
            config.set("security.protocol", "ssl");
            if let Some(ca) = &tls.ca {
                config.set("ssl.ca.pem", ca);
            }
        }
        if !self.library_defaults {
            config
                .set("socket.nagle.disable", "true")
                .set("reconnect.backoff.ms", "50")
                .set("reconnect.backoff.max.ms", "1000");
        }
        config
    }

    /// What the first bootstrap server that answers agrees to; nothing where there is no TLS. Fails with a sentence
    /// where librdkafka would only try again and again.
    async fn negotiated(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut refused = None;
        for (server, calling) in &self.calling {
            match tokio::time::timeout(ATTEMPT, tls::probe(server, calling)).await {
                Ok(Ok(negotiated)) => {
                    let mut settings = tls::in_force(Some(&negotiated));
                    settings.insert(
                        "tls.read_back".into(),
                        "by a handshake of our own: librdkafka does not tell".into(),
                    );
                    return Ok(settings);
                }
                Ok(Err(why)) => refused = Some((server, why)),
                Err(_) => refused = Some((server, format!("no answer within {ATTEMPT:?}"))),
            }
        }
        match refused {
            None => Ok(tls::in_force(None)),
            Some((server, why)) => bail!(
                "no usable Kafka over TLS at {server}: {why}; start one (`stack/stack up`) or point HOPBENCH_KAFKA_TLS_BROKERS at yours"
            ),
        }
    }

    /// The port of a bootstrap server that speaks TLS though none was asked for.
    async fn encrypted_port(&self) -> Option<&str> {
        if self.tls.is_some() {
            return None;
        }
        for server in self.brokers.split(',').map(str::trim) {
            if tls::speaks_tls(server).await {
                return Some(server);
            }
        }
        None
    }

    fn admin(&self) -> anyhow::Result<Admin> {
        let client = self
            .client("admin")
            .create()
            .context("the Kafka client could not be set up")?;
        let options = AdminOptions::new()
            .request_timeout(Some(ATTEMPT))
            .operation_timeout(Some(ATTEMPT));
        Ok(Admin { client, options })
    }

    /// Creates the run's topics if they are not there, and waits until every partition has its leader.
    async fn create(&self) -> anyhow::Result<()> {
        self.negotiated().await?;
        let admin = self.admin()?;
        let (orders_max, dead_max) = (self.max_record.to_string(), self.max_dead().to_string());
        let mut orders = NewTopic::new(&self.orders, self.partitions, TopicReplication::Fixed(1))
            .set("max.message.bytes", &orders_max);
        if let Some(messages) = self.flush_messages {
            orders = orders.set("flush.messages", messages);
        }
        let dead = NewTopic::new(&self.dead, 1, TopicReplication::Fixed(1))
            .set("max.message.bytes", &dead_max);
        let created = admin
            .client
            .create_topics([&orders, &dead], &admin.options)
            .await;
        if created.is_err()
            && let Some(port) = self.encrypted_port().await
        {
            bail!("Kafka's port {port} speaks TLS: ask for it (--tls)");
        }
        let created = created.with_context(|| {
            format!(
                "no usable Kafka at {}: start one (`stack/stack up`) or point HOPBENCH_KAFKA_BROKERS at yours",
                self.brokers
            )
        })?;
        for outcome in created {
            match outcome {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((topic, code)) => bail!("Kafka did not create topic {topic}: {code}"),
            }
        }
        let (topic, partitions) = (self.orders.clone(), self.partitions);
        blocking(move || admin.wait_for_leaders(&topic, partitions)).await
    }

    /// Settings of the orders' topic as the broker has them.
    async fn topic_in_force(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let admin = self.admin()?;
        let described = admin
            .client
            .describe_configs([&ResourceSpecifier::Topic(&self.orders)], &admin.options)
            .await
            .with_context(|| format!("Kafka did not describe topic {}", self.orders))?;
        let mut read = BTreeMap::from([
            ("topic".to_string(), self.orders.clone()),
            ("partitions".to_string(), self.partitions.to_string()),
        ]);
        for outcome in described {
            let topic = outcome
                .map_err(|code| anyhow!("Kafka did not describe topic {}: {code}", self.orders))?;
            for setting in ["flush.messages", "max.message.bytes", "min.insync.replicas"] {
                if let Some(value) = topic.get(setting).and_then(|entry| entry.value.clone()) {
                    read.insert(setting.into(), value);
                }
            }
        }
        read.extend(self.negotiated().await?);
        if let Some(asked) = self.flush_messages {
            let got = read.get("flush.messages").map_or("nothing", |value| value);
            ensure!(
                got == asked,
                "topic {} exists with flush.messages={got}, durability power needs {asked}: use another scope",
                self.orders
            );
        }
        Ok(read)
    }
}

struct Admin {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

impl Admin {
    fn wait_for_leaders(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let give_up = Instant::now() + ATTEMPT;
        loop {
            let metadata = self.client.inner().fetch_metadata(Some(topic), ATTEMPT)?;
            let found = metadata.topics().first();
            let found = found.filter(|topic| topic.error().is_none());
            let there = found.map_or(0, |topic| topic.partitions().len());
            if there > 0 && there != partitions as usize {
                bail!(
                    "topic {topic} exists with {there} partitions, {partitions} were asked for: use another scope"
                );
            }
            let led = |partition: &rdkafka::metadata::MetadataPartition| partition.leader() >= 0;
            if there > 0 && found.is_some_and(|topic| topic.partitions().iter().all(led)) {
                return Ok(());
            }
            ensure!(
                Instant::now() < give_up,
                "the partitions of topic {topic} got no leader within {ATTEMPT:?}: look at Kafka's log"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What every consumer of the run shares.
fn fetching<'c>(config: &'c mut ClientConfig, route: &Route) -> &'c mut ClientConfig {
    if !route.library_defaults {
        config
            // librdkafka's default stalls a consumer whose queue was full for a second.
            .set("fetch.queue.backoff.ms", "2")
            .set("fetch.error.backoff.ms", "50");
    }
    config
        // librdkafka wants this below the whole fetch's limit, also where bodies are small.
        .set("message.max.bytes", route.max_record.to_string())
        .set("max.partition.fetch.bytes", route.max_record.to_string())
        .set("fetch.max.bytes", (2 * route.max_record).to_string())
        .set(
            "receive.message.max.bytes",
            (2 * route.max_record + (1 << 20)).to_string(),
        )
}

/// Reads settings back from the client library, defaults included.
fn client_in_force(
    config: &ClientConfig,
    names: &[&str],
) -> anyhow::Result<BTreeMap<String, String>> {
    let native = config.create_native_config()?;
    let mut read = BTreeMap::new();
    for name in names {
        let value = native.get(name)?;
        // librdkafka counts the terminating zero in.
        read.insert(name.to_string(), value.trim_end_matches('\0').to_string());
    }
    let (_, version) = rdkafka::util::get_rdkafka_version();
    read.insert("librdkafka".into(), version);
    Ok(read)
}

/// librdkafka's own calls block: never on the runtime.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .context("a Kafka request panicked")?
}

/// Creates the run's topics ahead of its clock.
pub async fn prepare(settings: &Settings) -> anyhow::Result<()> {
    let route = Route::new(settings)?;
    route.create().await?;
    route.topic_in_force().await.map(drop)
}

/// Deletes the run's topics and its consumer group; what is not there is no fault.
pub async fn remove(settings: &Settings) -> anyhow::Result<()> {
    let route = Route::new(settings)?;
    let admin = route.admin()?;
    let deleted = admin
        .client
        .delete_topics(&[&route.orders, &route.dead], &admin.options)
        .await
        .with_context(|| format!("no usable Kafka at {}", route.brokers))?;
    for outcome in deleted {
        match outcome {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, code)) => bail!("Kafka did not delete topic {topic}: {code}"),
        }
    }
    replies::remove(&route).await?;
    // A consumer that was killed stays a member until its session ends.
    let give_up = Instant::now() + 2 * consume::SESSION;
    loop {
        let deleted = admin
            .client
            .delete_groups(&[&route.group], &admin.options)
            .await?;
        match deleted.into_iter().next() {
            None | Some(Ok(_)) | Some(Err((_, RDKafkaErrorCode::GroupIdNotFound))) => return Ok(()),
            Some(Err((group, code))) if Instant::now() > give_up => {
                bail!("Kafka did not delete group {group}: {code}; stop its consumers first")
            }
            Some(Err(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Records that the run's group has not committed yet, over all partitions.
pub async fn backlog(settings: &Settings) -> anyhow::Result<u64> {
    let route = Route::new(settings)?;
    blocking(move || {
        let mut config = route.client("backlog");
        let consumer: BaseConsumer = config.set("group.id", &route.group).create()?;
        let mut asked = TopicPartitionList::new();
        asked.add_partition_range(&route.orders, 0, route.partitions - 1);
        let read = || -> Result<u64, KafkaError> {
            let committed = consumer.committed_offsets(asked, ATTEMPT)?;
            let mut lag = 0;
            for partition in committed.elements() {
                let (low, high) =
                    consumer.fetch_watermarks(&route.orders, partition.partition(), ATTEMPT)?;
                let done = match partition.offset() {
                    Offset::Offset(offset) => offset,
                    _ => low,
                };
                lag += u64::try_from(high - done).unwrap_or(0);
            }
            Ok(lag)
        };
        read().with_context(|| format!("could not read the backlog of {}", route.orders))
    })
    .await
}
