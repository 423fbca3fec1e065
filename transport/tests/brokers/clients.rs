//! Each broker under test: the transport to it, and beside it the broker's own plain client, which stands for
//! somebody else's producer and reads the dead letters.

use crate::rig::{Broker, Ledgered, PATIENCE, Raw};
use bench_proto::Stamp;
use bench_transport::{Listener, Settings, queue, stream};
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Connection, ConnectionProperties};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};
use std::time::Duration;
use tokio::sync::Mutex;

/// RabbitMQ.
#[derive(Clone)]
pub(crate) struct Rabbit(String);

impl Broker for Rabbit {
    type Caller = queue::QueueCaller;
    const NAME: &'static str = "RabbitMQ";
    const ADDRESS: &'static str = "HOPBENCH_AMQP_URL";
    const TLS_ADDRESS: &'static str = "HOPBENCH_AMQPS_URL";
    fn turn() -> &'static Mutex<()> {
        static TURN: Mutex<()> = Mutex::const_new(());
        &TURN
    }
    fn new(address: String) -> Self {
        Self(address)
    }
    fn address(&self) -> String {
        self.0.clone()
    }
    async fn connect(&self, settings: &Settings) -> anyhow::Result<Self::Caller> {
        queue::connect(settings).await
    }
    async fn serve(&self, settings: &Settings, service: Ledgered) -> anyhow::Result<Listener> {
        queue::serve(settings, service).await
    }
    async fn prepare(&self, settings: &Settings) -> anyhow::Result<()> {
        queue::prepare(settings).await
    }
    async fn remove(&self, settings: &Settings) -> anyhow::Result<()> {
        queue::remove(settings).await
    }
    async fn backlog(&self, settings: &Settings) -> anyhow::Result<u64> {
        queue::backlog(settings).await
    }

    async fn send_raw(&self, settings: &Settings, raw: Raw) {
        let plain = ConnectionProperties::default();
        let connection = Connection::connect(&self.0, plain).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let confirms = ConfirmSelectOptions::default();
        channel.confirm_select(confirms).await.unwrap();
        let mut properties = BasicProperties::default();
        if let Some(content_type) = raw.content_type {
            properties = properties.with_content_type(content_type.into());
        }
        if let Some(stamp) = raw.stamp {
            let mut headers = FieldTable::default();
            headers.insert(Stamp::HEADER.into(), AMQPValue::ByteArray(stamp.into()));
            properties = properties.with_headers(headers);
        }
        let exchange = format!("hopbench.{}", settings.scope);
        let options = BasicPublishOptions::default();
        channel
            .basic_publish(
                exchange.into(),
                "orders".into(),
                options,
                &raw.body,
                properties,
            )
            .await
            .unwrap()
            .await
            .unwrap();
        connection.close(200, "done".into()).await.unwrap();
    }

    async fn dead_letters(&self, settings: &Settings, count: usize) -> Vec<(Vec<u8>, String)> {
        let plain = ConnectionProperties::default();
        let connection = Connection::connect(&self.0, plain).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("hopbench.{}.dead", settings.scope);
        let mut letters = Vec::new();
        let gather = async {
            while letters.len() < count {
                let options = BasicGetOptions::default();
                match channel
                    .basic_get(queue.as_str().into(), options)
                    .await
                    .unwrap()
                {
                    Some(got) => {
                        let headers = got.delivery.properties.headers().clone();
                        let reason =
                            match headers.unwrap_or_default().inner().get("hopbench-reason") {
                                Some(AMQPValue::LongString(text)) => text.to_string(),
                                other => {
                                    panic!("a dead letter names its reason, this one {other:?}")
                                }
                            };
                        letters.push((got.delivery.data.clone(), reason));
                        got.delivery
                            .acker
                            .ack(BasicAckOptions::default())
                            .await
                            .unwrap();
                    }
                    None => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let gathered = tokio::time::timeout(PATIENCE, gather).await;
        assert!(
            gathered.is_ok(),
            "{} of {count} dead letters came",
            letters.len()
        );
        connection.close(200, "done".into()).await.unwrap();
        letters
    }
}

/// Kafka.
#[derive(Clone)]
pub(crate) struct Kafka(String);

impl Broker for Kafka {
    type Caller = stream::StreamCaller;
    const NAME: &'static str = "Kafka";
    const ADDRESS: &'static str = "HOPBENCH_KAFKA_BROKERS";
    const TLS_ADDRESS: &'static str = "HOPBENCH_KAFKA_TLS_BROKERS";
    fn turn() -> &'static Mutex<()> {
        static TURN: Mutex<()> = Mutex::const_new(());
        &TURN
    }
    fn new(address: String) -> Self {
        Self(address)
    }
    fn address(&self) -> String {
        self.0.clone()
    }
    async fn connect(&self, settings: &Settings) -> anyhow::Result<Self::Caller> {
        stream::connect(settings).await
    }
    async fn serve(&self, settings: &Settings, service: Ledgered) -> anyhow::Result<Listener> {
        stream::serve(settings, service).await
    }
    async fn prepare(&self, settings: &Settings) -> anyhow::Result<()> {
        stream::prepare(settings).await
    }
    async fn remove(&self, settings: &Settings) -> anyhow::Result<()> {
        stream::remove(settings).await
    }
    async fn backlog(&self, settings: &Settings) -> anyhow::Result<u64> {
        stream::backlog(settings).await
    }

    async fn send_raw(&self, settings: &Settings, raw: Raw) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.0)
            .create()
            .unwrap();
        let topic = format!("hopbench.{}.orders", settings.scope);
        let mut headers = OwnedHeaders::new();
        if let Some(content_type) = raw.content_type {
            headers = headers.insert(Header {
                key: "content-type",
                value: Some(content_type),
            });
        }
        if let Some(stamp) = &raw.stamp {
            headers = headers.insert(Header {
                key: Stamp::HEADER,
                value: Some(stamp),
            });
        }
        let record = FutureRecord::<[u8], _>::to(&topic)
            .payload(&raw.body)
            .headers(headers);
        producer.send(record, PATIENCE).await.unwrap();
    }

    async fn dead_letters(&self, settings: &Settings, count: usize) -> Vec<(Vec<u8>, String)> {
        let consumer: StreamConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.0)
            .set("group.id", "dead-letter-reader")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let mut list = TopicPartitionList::new();
        let topic = format!("hopbench.{}.dead", settings.scope);
        list.add_partition_offset(&topic, 0, Offset::Beginning)
            .unwrap();
        consumer.assign(&list).unwrap();
        let mut letters = Vec::new();
        let gather = async {
            while letters.len() < count {
                let letter = consumer.recv().await.unwrap();
                let headers = letter.headers().expect("a dead letter has headers");
                let reason = headers
                    .iter()
                    .find(|header| header.key == "hopbench-reason");
                let reason = reason.and_then(|header| header.value).expect("a reason");
                let reason = String::from_utf8(reason.into()).unwrap();
                letters.push((letter.payload().unwrap_or_default().to_vec(), reason));
            }
        };
        let gathered = tokio::time::timeout(PATIENCE, gather).await;
        assert!(
            gathered.is_ok(),
            "{} of {count} dead letters came",
            letters.len()
        );
        letters
    }
}
