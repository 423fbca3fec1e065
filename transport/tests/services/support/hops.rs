//! The synchronous transports under one trait, so that a test is written once and run on each.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program compiles this module for itself and uses a part of it"
)]

use super::Shop;
use bench_proto::Format;
use bench_transport::{Caller, HttpVersion, Listener, Settings, grpc, rest, tcp};
use std::future::Future;
use std::time::Duration;
use tokio::runtime::Handle;

/// Both ends of one synchronous transport.
pub trait Hop {
    const NAME: &'static str;
    /// The HTTP that the rest transport speaks.
    const HTTP: HttpVersion = HttpVersion::H1;
    type Caller: Caller;

    fn connect(settings: &Settings) -> impl Future<Output = anyhow::Result<Self::Caller>>;
    fn serve(
        settings: Settings,
        shop: Shop,
    ) -> impl Future<Output = anyhow::Result<Listener>> + Send + 'static;
}

macro_rules! hop {
    ($hop:ident, $name:literal, $module:ident, $caller:ty, $http:expr) => {
        pub struct $hop;

        impl Hop for $hop {
            const NAME: &'static str = $name;
            const HTTP: HttpVersion = $http;
            type Caller = $caller;

            async fn connect(settings: &Settings) -> anyhow::Result<$caller> {
                $module::connect(settings).await
            }

            async fn serve(settings: Settings, shop: Shop) -> anyhow::Result<Listener> {
                $module::serve(&settings, shop).await
            }
        }
    };
}

hop!(Tcp, "tcp", tcp, tcp::TcpCaller, HttpVersion::H1);
hop!(RestH1, "rest h1", rest, rest::RestCaller, HttpVersion::H1);
hop!(RestH2, "rest h2", rest, rest::RestCaller, HttpVersion::H2);
hop!(Grpc, "grpc", grpc, grpc::GrpcCaller, HttpVersion::H2);

/// Settings of a hop on a free port of loopback.
pub fn settings<H: Hop>(format: Format) -> Settings {
    Settings {
        target: "127.0.0.1:0".into(),
        format,
        http: H::HTTP,
        connections: 4,
        deadline: Duration::from_secs(20),
        max_body: 64 << 10,
        ..Settings::default()
    }
}

/// Serves on the service's runtime, and points the settings at the listener.
pub async fn serve<H: Hop>(service: &Handle, settings: &mut Settings, shop: &Shop) -> Listener {
    let serving = H::serve(settings.clone(), shop.clone());
    let listener = service.spawn(serving).await.unwrap().unwrap();
    settings.target = listener.address.clone();
    listener
}

/// A shop behind a listener, and a caller connected to it.
pub async fn open<H: Hop>(
    service: &Handle,
    settings: &mut Settings,
) -> (Shop, Listener, H::Caller) {
    let shop = Shop::default();
    let listener = serve::<H>(service, settings, &shop).await;
    let caller = H::connect(settings).await.unwrap();
    (shop, listener, caller)
}

/// Writes a module of tests per hop from functions that take one.
#[macro_export]
macro_rules! on_every_hop {
    ($($test:ident),+ $(,)?) => {
        $crate::on_every_hop!(@ tcp, Tcp, [$($test),+]);
        $crate::on_every_hop!(@ rest_h1, RestH1, [$($test),+]);
        $crate::on_every_hop!(@ rest_h2, RestH2, [$($test),+]);
        $crate::on_every_hop!(@ grpc, Grpc, [$($test),+]);
    };
    (@ $module:ident, $hop:ident, [$($test:ident),+]) => {
        mod $module {
            $(#[test]
            fn $test() {
                super::$test::<$crate::support::hops::$hop>();
            })+
        }
    };
}
