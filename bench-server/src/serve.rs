//! `bench-server serve`: starts the service, its control port and the listeners asked for, says so, and stops them in
//! the reverse order. It handles no order itself.

use crate::cli::{Address, ControlAt, Serve};
use crate::control::ControlPort;
use crate::hops::{self, Hops};
use crate::ready::Ready;
use crate::run::check_spans;
use crate::service::{Options, OrderService};
use crate::stop::Stop;
use crate::token::{self, Token, TokenFile};
use anyhow::Context;
use bench_host::place::Cpus;
use bench_proto::burden;
use bench_proto::control::Reset;
use bench_proto::slowness::Slowness;
use bench_transport::{Fanout, Identity, Listener, Settings, Tls, grpc, queue, rest, stream, tcp};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use tokio::task::JoinSet;

/// Starts everything, prints the ready line, and returns once everything was stopped.
pub async fn serve(serve: Serve, mut stop: Stop) -> anyhow::Result<()> {
    burden::plant(serve.plant.and_then(|plant| plant.codec));
    let base = base(&serve)?;
    let hops = next_hops(&serve, &base).await?;
    let service = OrderService::start(options(&serve, hops.clone()))?;
    if let Some(file) = &serve.go_on {
        go_on(&service, file)?;
    }
    let (control, token_file) = control(&serve, &service)?;
    let listeners = listeners(&serve, &base, &service).await?;
    let ready = ready(
        &serve,
        &service,
        hops.as_ref(),
        &listeners,
        control.as_ref(),
        token_file.as_ref(),
    );
    say(&ready)?;

    stop.requested().await;
    let mut stopping = JoinSet::new();
    for (_, listener) in listeners {
        stopping.spawn(listener.stop());
    }
    tokio::select! {
        () = async { while stopping.join_next().await.is_some() {} } => Ok(()),
        () = stop.requested() => {
            drop(token_file);
            anyhow::bail!("stopped at once, as asked twice; orders in service were not finished")
        }
    }
}

/// Lets the service go on with the run in a file, before the first order comes.
fn go_on(service: &OrderService, file: &Path) -> anyhow::Result<()> {
    let named = || format!("--go-on {}", file.display());
    let text = std::fs::read(file).with_context(named)?;
    let reset: Reset = serde_json::from_slice(&text).with_context(named)?;
    check_spans(&reset.spans)
        .map_err(anyhow::Error::msg)
        .with_context(named)?;
    service.go_on(&reset)
}

fn options(serve: &Serve, hops: Option<Hops>) -> Options {
    Options {
        slowness: serve.slow.clone().unwrap_or_else(Slowness::none),
        workers: serve.workers,
        max_waiting: serve.max_waiting.map(|most| most as usize),
        seed: serve.seed,
        durability: serve.durability,
        journal: serve.journal.clone().unwrap_or_else(|| PathBuf::from(".")),
        idempotent: serve.idempotent,
        hops,
        plant: serve.plant,
    }
}

fn control(
    serve: &Serve,
    service: &OrderService,
) -> anyhow::Result<(Option<ControlPort>, Option<TokenFile>)> {
    let ControlAt::Address(address) = &serve.control else {
        return Ok((None, None));
    };
    warn_if_reachable("control", address, false);
    let (token, file) = match std::env::var(token::ENVIRONMENT) {
        Ok(text) => (Token::given(&text).map_err(anyhow::Error::msg)?, None),
        Err(_) => {
            let token = Token::random();
            let file = token.write(serve.token_file.as_deref());
            (token, Some(file.map_err(anyhow::Error::msg)?))
        }
    };
    let control = ControlPort::start(&address.resolved, service.clone(), token)?;
    Ok((Some(control), file))
}

/// What the service's listeners and its next hops have in common.
fn base(serve: &Serve) -> anyhow::Result<Settings> {
    Ok(Settings {
        scope: serve.scope.clone(),
        format: serve.format,
        durability: serve.durability,
        prefetch: serve.prefetch,
        consumers: serve.consumers,
        queue_limit: serve.queue_limit,
        partitions: serve.partitions,
        library_defaults: serve.library_defaults,
        max_body: serve.max_body,
        fanout: serve.reader.clone().map(Fanout::Reader),
        from_latest: serve.from_latest,
        tls: tls(serve)?,
        ..Settings::default()
    })
}

/// Connects to the services that are called for each order, if there are any.
async fn next_hops(serve: &Serve, base: &Settings) -> anyhow::Result<Option<Hops>> {
    if serve.next.is_empty() {
        return Ok(None);
    }
    let next = hops::read_all(&serve.next).map_err(anyhow::Error::msg)?;
    let hops = Hops::start(next, serve.next_side_by_side, base).await;
    hops.context("--next could not be called").map(Some)
}

/// Starts the listeners asked for, in the order of the table of transports.
async fn listeners(
    serve: &Serve,
    base: &Settings,
    service: &OrderService,
) -> anyhow::Result<Vec<(&'static str, Listener)>> {
    let settings = |target: &str| Settings {
        target: target.to_owned(),
        ..base.clone()
    };
    let mut listeners = Vec::new();
    if let Some(address) = &serve.tcp {
        warn_if_reachable("tcp", address, serve.tls);
        let listener = tcp::serve(&settings(&address.text), service.clone()).await;
        listeners.push(("tcp", listener.context("--tcp could not be served")?));
    }
    if let Some(address) = &serve.rest {
        warn_if_reachable("rest", address, serve.tls);
        let listener = rest::serve(&settings(&address.text), service.clone()).await;
        listeners.push(("rest", listener.context("--rest could not be served")?));
    }
    if let Some(address) = &serve.grpc {
        warn_if_reachable("grpc", address, serve.tls);
        let listener = grpc::serve(&settings(&address.text), service.clone()).await;
        listeners.push(("grpc", listener.context("--grpc could not be served")?));
    }
    if let Some(url) = &serve.queue {
        let listener = queue::serve(&settings(url), service.clone()).await;
        listeners.push(("queue", listener.context("--queue could not be served")?));
    }
    if let Some(brokers) = &serve.stream {
        let listener = stream::serve(&settings(brokers), service.clone()).await;
        listeners.push(("stream", listener.context("--stream could not be served")?));
    }
    Ok(listeners)
}

/// What the command line says about TLS, its files read.
fn tls(serve: &Serve) -> anyhow::Result<Option<Tls>> {
    if !serve.tls {
        return Ok(None);
    }
    let read = |flag: &str, path: &Path| {
        let text = std::fs::read_to_string(path);
        text.with_context(|| format!("{flag} {} cannot be read", path.display()))
    };
    let ca = serve.ca.as_deref().map(|path| read("--ca", path));
    let identity = match (&serve.certificate, &serve.key) {
        (Some(certificate), Some(key)) => Some(Identity {
            certificate: read("--certificate", certificate)?,
            key: read("--key", key)?,
        }),
        _ => None,
    };
    Ok(Some(Tls {
        ca: ca.transpose()?,
        identity,
    }))
}

fn warn_if_reachable(name: &str, address: &Address, encrypted: bool) {
    if !address.is_loopback() {
        eprintln!(
            "WARNING: --{name} {} can be reached from other machines{}{}",
            address.text,
            if encrypted { "" } else { ", unencrypted" },
            if name == "control" {
                "; whoever reads the token on the way controls this service"
            } else {
                " and without a password"
            }
        );
    }
}

fn ready(
    serve: &Serve,
    service: &OrderService,
    hops: Option<&Hops>,
    listeners: &[(&'static str, Listener)],
    control: Option<&ControlPort>,
    token_file: Option<&TokenFile>,
) -> Ready {
    let mut in_force = BTreeMap::from([("service".to_owned(), service_in_force(serve, service))]);
    for (name, listener) in listeners {
        in_force.insert((*name).to_owned(), listener.in_force.clone());
    }
    for (name, settings) in hops.into_iter().flat_map(Hops::in_force) {
        in_force.insert(format!("next {name}"), settings.clone());
    }
    Ready {
        ready: true,
        pid: std::process::id(),
        listeners: listeners
            .iter()
            .map(|(name, listener)| ((*name).to_owned(), listener.address.clone()))
            .collect(),
        control: control.map(|control| control.address.to_string()),
        token_file: token_file.map(|file| file.path.clone()),
        in_force,
    }
}

fn service_in_force(serve: &Serve, service: &OrderService) -> BTreeMap<String, String> {
    let cpus = Cpus::allowed().map_or_else(
        |error| format!("unknown ({error})"),
        |cpus| cpus.to_string(),
    );
    let workers = service.workers();
    BTreeMap::from(
        [
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("threads", threads(serve).to_string()),
            ("cpus", cpus),
            ("slowness", service.slowness()),
            (
                "workers",
                workers.map_or("unbounded".into(), |n| n.to_string()),
            ),
            (
                "max_waiting",
                serve
                    .max_waiting
                    .map_or("unbounded".into(), |n| n.to_string()),
            ),
            ("seed", serve.seed.to_string()),
            ("durability", serve.durability.to_string()),
            ("journal", service.journal()),
            ("max_body", serve.max_body.to_string()),
            ("scope", serve.scope.clone()),
            ("library_defaults", serve.library_defaults.to_string()),
            ("idempotent", serve.idempotent.to_string()),
            ("next_side_by_side", serve.next_side_by_side.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

/// How many threads work: as asked, or as many as the CPUs that this process may use.
pub fn threads(serve: &Serve) -> usize {
    match serve.threads {
        Some(threads) => usize::from(threads),
        None => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn say(ready: &Ready) -> anyhow::Result<()> {
    let line =
        serde_json::to_string(ready).context("the ready line could not be written as JSON")?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")
        .and_then(|()| stdout.flush())
        .context("nobody reads the ready line: standard output is closed")
}
