//! The run's exchange and queues: their names, how they are declared for each durability class, and how a supervised
//! connection reaches them.

use super::{ATTEMPT, Link, ROUTING_KEY, tls};
use crate::broker::{Tally, check_fanout, count, name, own_name};
use crate::tls::{self as encryption, Calling};
use crate::{Fanout, Settings};
use anyhow::{Context, anyhow, bail, ensure};
use bench_proto::Durability;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A silent peer is noticed only by its missing heartbeats (lapin waits for two of them).
const HEARTBEAT_S: u16 = 5;
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MOST: Duration = Duration::from_secs(1);

/// What the durability class asks of the broker.
#[derive(Clone, Copy)]
pub(super) struct Class {
    /// The queue survives a restart of the broker.
    durable: bool,
    quorum: bool,
    /// AMQP delivery mode: 1 transient, 2 persistent.
    pub(super) delivery_mode: u8,
    /// Confirms are awaited, and an unroutable message comes back.
    pub(super) confirm: bool,
}

impl Class {
    fn of(durability: Durability) -> Self {
        let durable = matches!(durability, Durability::Process | Durability::Power);
        Self {
            durable,
            quorum: durability == Durability::Power,
            delivery_mode: if durable { 2 } else { 1 },
            confirm: durability != Durability::None,
        }
    }
}

/// The run's names, and how to reach the broker.
#[derive(Clone)]
pub(super) struct Route {
    uri: AMQPUri,
    /// For an amqps address.
    tls: Option<Calling>,
    pub(super) exchange: ShortString,
    /// Where this end's orders wait; the publisher of a fan-out has none, for each reader has its own.
    pub(super) queue: Option<ShortString>,
    fanout: Option<Fanout>,
    /// Dead-letter exchange and queue alike.
    pub(super) dead: ShortString,
    /// Messages that may wait; none: unbounded.
    limit: Option<u32>,
    pub(super) class: Class,
}

impl Route {
    pub(super) fn new(settings: &Settings) -> anyhow::Result<Self> {
        check_fanout(settings)?;
        ensure!(
            settings.fanout.is_none() || settings.queue_limit.is_none(),
            "a fan-out and a bound on the queue were asked for, and one reader's full queue would refuse what the others get: leave the bound out"
        );
        // The parser's own message can quote the address with its password: it stays inside.
        let mut uri: AMQPUri = settings.target.parse().map_err(|_| {
            anyhow!("the RabbitMQ address is not of the form amqp://user:password@host:port/vhost")
        })?;
        let tls = Calling::new(settings, &uri.authority.host, None)?;
        match (&uri.scheme, &tls) {
            (AMQPScheme::AMQPS, None) => bail!(
                "the RabbitMQ address is amqps://, and TLS was not asked for: ask for it (--tls, with --ca FILE where its CA is not known here)"
            ),
            (AMQPScheme::AMQP, Some(_)) => bail!(
                "TLS was asked for, and the RabbitMQ address is amqp://: name its TLS port with amqps://"
            ),
            _ => {}
        }
        if uri.vhost.is_empty() {
            uri.vhost = "/".into();
        }
        let asked = uri.query.heartbeat.unwrap_or(0);
        if !(1..=HEARTBEAT_S).contains(&asked) {
            uri.query.heartbeat = Some(HEARTBEAT_S);
        }
        let short = |name: String| {
            ShortString::try_new(name)
                .context("the scope makes a name longer than AMQP's 255 bytes: shorten it")
        };
        let queue = match settings.fanout {
            Some(Fanout::Publisher) => None,
            Some(Fanout::Reader(_)) | None => Some(short(own_name(settings, "orders"))?),
        };
        Ok(Self {
            uri,
            tls,
            exchange: short(name(&settings.scope, ""))?,
            queue,
            fanout: settings.fanout.clone(),
            dead: short(name(&settings.scope, "dead"))?,
            limit: settings.queue_limit,
            class: Class::of(settings.durability),
        })
    }

    /// The queue of this end, where it is to have one.
    pub(super) fn own_queue(&self) -> anyhow::Result<&ShortString> {
        self.queue.as_ref().with_context(|| {
            format!(
                "expected a reader of the fan-out {}, got its publisher, which has no queue: name the reader",
                self.exchange
            )
        })
    }

    /// What [`Self::declare`] declares for this end's orders.
    fn declared(&self) -> String {
        match &self.queue {
            Some(queue) => format!("queue {queue}"),
            None => format!("exchange {}", self.exchange),
        }
    }

    /// The broker's address without user and password.
    pub(super) fn address(&self) -> String {
        let authority = &self.uri.authority;
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        format!("{scheme}://{}:{}", authority.host, authority.port)
    }

    /// Opens a connection with one channel.
    pub(super) async fn dial(&self, role: &str) -> anyhow::Result<Link> {
        let connect = async {
            let named = ConnectionProperties::default()
                .with_connection_name(format!("{} {role}", self.exchange).into());
            let (connection, negotiated) = match &self.tls {
                None => (
                    Connection::connect_uri(self.uri.clone(), named).await?,
                    None,
                ),
                Some(calling) => {
                    let encrypted = tls::connect(self.uri.clone(), named, calling).await?;
                    (encrypted.0, Some(encrypted.1))
                }
            };
            let events = Box::pin(connection.events_listener());
            let channel = Arc::new(connection.create_channel().await?);
            Ok::<_, anyhow::Error>(Link {
                connection,
                channel,
                events,
                negotiated,
            })
        };
        let opened = tokio::time::timeout(ATTEMPT, connect).await;
        let error = match opened {
            Ok(Ok(link)) => return Ok(link),
            Ok(Err(error)) => error,
            Err(_) => anyhow!("no answer within {ATTEMPT:?}"),
        };
        let authority = &self.uri.authority;
        let port = format!("{}:{}", authority.host, authority.port);
        if self.tls.is_none() && encryption::speaks_tls(&port).await {
            bail!(
                "RabbitMQ's port {port} speaks TLS: ask for it (--tls), with an amqps:// address"
            );
        }
        Err(error.context(format!(
            "no usable RabbitMQ at {}: start one (`stack/stack up`) or point HOPBENCH_AMQP_URL at yours",
            self.address()
        )))
    }

    /// [`Self::dial`], and declares the run's exchange and queues.
    pub(super) async fn open(&self, role: &str) -> anyhow::Result<Link> {
        let link = self.dial(role).await?;
        tokio::time::timeout(ATTEMPT, self.declare(&link.channel))
            .await
            .unwrap_or_else(|_| Err(anyhow!("no answer within {ATTEMPT:?}")))
            .with_context(|| format!("RabbitMQ did not declare {} as asked", self.declared()))?;
        Ok(link)
    }

    /// Declares everything anew: the broker refuses what exists with other arguments, so success reads them back.
    async fn declare(&self, channel: &Channel) -> anyhow::Result<()> {
        let Class { durable, .. } = self.class;
        let none = FieldTable::default;
        let exchange = self.dead.clone();
        // What was refused is kept whatever the orders' own class: it is the evidence of a run.
        let lasting = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let dead = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        channel
            .exchange_declare(exchange.clone(), ExchangeKind::Fanout, lasting, none())
            .await?;
        channel
            .queue_declare(self.dead.clone(), dead, none())
            .await?;
        let binding = QueueBindOptions::default();
        channel
            .queue_bind(
                self.dead.clone(),
                exchange,
                ShortString::default(),
                binding,
                none(),
            )
            .await?;
        let exchange = ExchangeDeclareOptions {
            durable,
            ..Default::default()
        };
        let kind = match self.fanout {
            Some(_) => ExchangeKind::Fanout,
            None => ExchangeKind::Direct,
        };
        channel
            .exchange_declare(self.exchange.clone(), kind, exchange, none())
            .await?;
        let Some(queue) = &self.queue else {
            // Each reader declares its own and binds it.
            return Ok(());
        };
        let (orders, arguments) = self.orders_queue();
        channel
            .queue_declare(queue.clone(), orders, arguments)
            .await?;
        let key = ROUTING_KEY.into();
        channel
            .queue_bind(
                queue.clone(),
                self.exchange.clone(),
                key,
                QueueBindOptions::default(),
                none(),
            )
            .await?;
        Ok(())
    }

    /// How this end's queue is declared; with anything else the broker refuses.
    pub(super) fn orders_queue(&self) -> (QueueDeclareOptions, FieldTable) {
        let Class {
            durable, quorum, ..
        } = self.class;
        let long = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        arguments.insert("x-dead-letter-exchange".into(), long(self.dead.as_str()));
        if quorum {
            arguments.insert("x-queue-type".into(), long("quorum"));
        }
        if let Some(limit) = self.limit {
            arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(limit.into()));
            // The default drops the oldest message, which was accepted: this one refuses the newest, and says so.
            arguments.insert("x-overflow".into(), long("reject-publish"));
        }
        let options = QueueDeclareOptions {
            durable,
            ..Default::default()
        };
        (options, arguments)
    }

    /// Tries again, with a growing pause, until the broker answers.
    pub(super) async fn reopen(&self, role: &str, tally: &Tally) -> Link {
        let mut pause = BACKOFF_FIRST;
        loop {
            match self.open(role).await {
                Ok(link) => {
                    count(&tally.connects);
                    count(&tally.reconnects);
                    return link;
                }
                Err(error) => tracing::debug!("RabbitMQ is still away: {error:#}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MOST);
        }
    }

    /// Names and arguments in force, as the broker agreed to them.
    pub(super) fn in_force(&self, link: &Link) -> BTreeMap<String, String> {
        let Class {
            durable,
            quorum,
            delivery_mode,
            confirm,
        } = self.class;
        let negotiated = link.connection.configuration();
        let mut settings: BTreeMap<String, String> = [
            ("exchange", self.exchange.to_string()),
            ("durable", durable.to_string()),
            ("delivery-mode", delivery_mode.to_string()),
            ("confirms", confirm.to_string()),
            ("heartbeat-s", negotiated.heartbeat().to_string()),
            ("frame-max", negotiated.frame_max().to_string()),
            ("nodelay", "true".into()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_string(), value))
        .collect();
        if self.fanout.is_some() {
            settings.insert("exchange-type".into(), "fanout".into());
        }
        let queue = match &self.queue {
            // Their type and length are the readers' to tell.
            None => vec![("queue", "one of each reader".to_string())],
            Some(queue) => vec![
                ("queue", queue.to_string()),
                (
                    "queue-type",
                    if quorum { "quorum" } else { "classic" }.into(),
                ),
                (
                    "max-length",
                    self.limit.map_or("unbounded".into(), |limit| {
                        format!("{limit}, reject-publish")
                    }),
                ),
            ],
        };
        settings.extend(
            queue
                .into_iter()
                .map(|(key, value)| (key.to_string(), value)),
        );
        settings.extend(encryption::in_force(link.negotiated.as_ref()));
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(fanout: Option<Fanout>, queue_limit: Option<u32>) -> anyhow::Result<Route> {
        Route::new(&Settings {
            target: "amqp://127.0.0.1:5672/%2f".into(),
            fanout,
            queue_limit,
            ..Settings::default()
        })
    }

    #[test]
    fn each_end_names_what_it_declares() {
        let reader = || Fanout::Reader("email".into());
        for (fanout, declared) in [
            (None, "queue hopbench.orders.orders"),
            (Some(reader()), "queue hopbench.orders.email.orders"),
            (Some(Fanout::Publisher), "exchange hopbench.orders"),
        ] {
            assert_eq!(route(fanout, None).unwrap().declared(), declared);
        }
        let publisher = route(Some(Fanout::Publisher), None).unwrap();
        let refused = publisher.own_queue().unwrap_err().to_string();
        assert!(refused.contains("name the reader"), "{refused}");
    }

    #[test]
    fn a_bound_on_the_queue_goes_with_no_fan_out() {
        assert!(route(None, Some(5)).is_ok());
        for fanout in [Fanout::Publisher, Fanout::Reader("email".into())] {
            let refused = route(Some(fanout), Some(5)).err().expect("it is refused");
            assert!(refused.to_string().contains("full queue"), "{refused}");
        }
    }
}
