//! Queue and stream over TLS 1.3, on the listeners that the stack gives both brokers: the same orders, what was
//! negotiated, and the sentence for whoever comes with the wrong CA or without TLS.

use crate::clients::{Kafka, Rabbit};
use crate::rig::{Broker, Ledgered, Sender, address, until, with};
use bench_certificate::Authority;
use bench_proto::{Durability, Format};
use bench_transport::{Caller, Settings, Tls};

/// The settings over the broker's TLS listener; the clean-up of the test stays on the plain one.
fn encrypted<B: Broker>(settings: &Settings) -> Settings {
    let said = |variable| {
        address(variable).unwrap_or_else(|| {
            panic!("{variable} is not set: 'stack/stack env' says why in HOPBENCH_TLS_REASON, or HOPBENCH_SKIP_BROKERS=1 skips the brokers")
        })
    };
    let ca = std::fs::read_to_string(said("HOPBENCH_TLS_CA")).expect("the CA can be read");
    Settings {
        target: said(B::TLS_ADDRESS),
        tls: Some(Tls {
            ca: Some(ca),
            identity: None,
        }),
        ..settings.clone()
    }
}

async fn carries_a_thousand_orders<B: Broker>() {
    with(
        Durability::Process,
        async |broker: B, settings: Settings| {
            let settings = encrypted::<B>(&settings);
            let service = Ledgered::default();
            let listener = broker.serve(&settings, service.clone()).await.unwrap();
            let caller = broker.connect(&settings).await.unwrap();
            let mut sender = Sender::new(Format::Protobuf);
            sender.send(&caller, 1_000).await;
            until("1,000 orders are handled", || service.delivered() == 1_000).await;
            let balance = service.balance(&sender.ledger);
            let sides = (balance.attempted, balance.acknowledged, balance.delivered);
            assert_eq!(sides, (1_000, 1_000, Some(1_000)), "{balance:?}");
            for in_force in [&caller.in_force(), &listener.in_force] {
                assert_eq!(in_force["tls"], "TLSv1_3", "{in_force:?}");
                assert_eq!(in_force["tls.cipher"], "TLS13_AES_256_GCM_SHA384");
                assert_eq!(in_force["tls.resumption"], "off");
            }
            // Kafka learns what is done when the service commits: every 100 ms, and as it stops.
            listener.stop().await;
            assert_eq!(broker.backlog(&settings).await.unwrap(), 0);
        },
    )
    .await;
}

#[tokio::test]
async fn the_queue_carries_orders_over_tls() {
    carries_a_thousand_orders::<Rabbit>().await;
}

#[tokio::test]
async fn the_stream_carries_orders_over_tls() {
    carries_a_thousand_orders::<Kafka>().await;
}

async fn whoever_comes_wrongly_is_told<B: Broker>() {
    with(Durability::Process, async |broker: B, plain: Settings| {
        let encrypted = encrypted::<B>(&plain);
        let refused = async |settings: Settings| {
            let error = broker.prepare(&settings).await.expect_err("no agreement");
            format!("{error:#}")
        };

        let stranger = Authority::new().unwrap();
        let mut believing_another = encrypted.clone();
        believing_another.tls.as_mut().unwrap().ca = Some(stranger.certificate().into());
        let text = refused(believing_another).await;
        assert!(
            text.contains("signed by no CA that this end believes"),
            "{text}"
        );

        let without_tls = Settings {
            target: encrypted.target.replace("amqps://", "amqp://"),
            tls: None,
            ..encrypted.clone()
        };
        let text = refused(without_tls).await;
        assert!(text.contains("speaks TLS: ask for it (--tls)"), "{text}");

        let to_the_plain_port = Settings {
            target: plain.target.replace("amqp://", "amqps://"),
            ..encrypted
        };
        let text = refused(to_the_plain_port).await;
        assert!(
            text.contains("plaintext port") || text.contains("is it a TLS port?"),
            "{text}"
        );
        // No sentence holds what an address may hold.
        assert!(!text.contains("hopbench:"), "{text}");
        broker.prepare(&plain).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn whoever_comes_to_the_queue_wrongly_is_told() {
    whoever_comes_wrongly_is_told::<Rabbit>().await;
}

#[tokio::test]
async fn whoever_comes_to_the_stream_wrongly_is_told() {
    whoever_comes_wrongly_is_told::<Kafka>().await;
}

#[tokio::test]
async fn an_address_and_what_was_asked_for_must_agree() {
    with(
        Durability::Process,
        async |broker: Rabbit, plain: Settings| {
            let encrypted = encrypted::<Rabbit>(&plain);
            let without = Settings {
                tls: None,
                ..encrypted.clone()
            };
            let error = broker.prepare(&without).await.unwrap_err().to_string();
            assert!(
                error.contains("amqps://") && error.contains("--tls"),
                "{error}"
            );
            let with_tls = Settings {
                target: plain.target.clone(),
                ..encrypted
            };
            let error = broker.prepare(&with_tls).await.unwrap_err().to_string();
            assert!(error.contains("name its TLS port"), "{error}");
        },
    )
    .await;
}
