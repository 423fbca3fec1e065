//! The calling end: hyper's own connections, one request at a time on HTTP/1.1, many on HTTP/2. No hidden pool, no
//! retry: a request that may have been sent is never sent again.

mod lines;

use super::list::{Lists, lists};
use super::{CATALOG_PATH, LIST_PATH, Problem, path, protocol};
use crate::deadline::Deadline;
use crate::h2::Connections;
use crate::net::{self, Dialer, Meter};
use crate::{
    CallKind, CallResult, Caller, Counters, Failure, HttpVersion, Outcome, Settings, Transport,
    shared, travel,
};
use bench_host::clock::{after, now_ns};
use bench_proto::{Format, Kind, Stamp};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const STAMP: HeaderName = HeaderName::from_static(Stamp::HEADER);

/// The sending end of the rest transport.
#[derive(Clone, Debug)]
pub struct RestCaller {
    inner: Rc<Inner>,
    /// None where every order has a request of its own.
    lists: Option<Lists>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) format: Format,
    pub(super) deadline: Deadline,
    deadline_travels: bool,
    kind: CallKind,
    batch: usize,
    connections: usize,
    library_defaults: bool,
    requests: Requests,
    dialer: Arc<Dialer>,
    wires: Wires,
}

#[derive(Debug)]
enum Wires {
    H1(lines::Lines),
    H2(Connections<Full<Bytes>>),
}

/// Opens the connections. Runs on a tokio `LocalRuntime`.
pub async fn connect(settings: &Settings) -> anyhow::Result<RestCaller> {
    let offered = Transport::Rest.offers(settings.kind);
    offered.map_err(anyhow::Error::msg)?;
    let dialer = Arc::new(Dialer::new(
        "rest",
        settings,
        Some(protocol(settings.http)),
    )?);
    let connections = settings.connections.max(1);
    let opening = async {
        Ok(match settings.http {
            HttpVersion::H1 => Wires::H1(lines::Lines::open(dialer.clone(), settings).await?),
            HttpVersion::H2 => Wires::H2(Connections::open(dialer.clone(), settings).await?),
        })
    };
    let wires = net::within(settings.deadline, "rest", &settings.target, opening).await?;
    let inner = Rc::new(Inner {
        format: settings.format,
        deadline: Deadline::new(settings.deadline),
        deadline_travels: settings.deadline_travels,
        kind: settings.kind,
        batch: settings.batch,
        connections,
        library_defaults: settings.library_defaults,
        requests: Requests::new(settings, dialer.scheme())?,
        dialer,
        wires,
    });
    let lists = (settings.kind == CallKind::List).then(|| lists(settings.batch, &inner));
    Ok(RestCaller { inner, lists })
}

impl Caller for RestCaller {
    fn format(&self) -> Format {
        self.inner.format
    }

    fn call_within(
        &self,
        patience: Option<Duration>,
        kind: Kind,
        _key: &str,
        body: Bytes,
        stamp: Option<Stamp>,
    ) -> impl Future<Output = Outcome> + 'static {
        let inner = self.inner.clone();
        let patience = patience.unwrap_or(inner.deadline.patience());
        let lists = match kind {
            Kind::Order => self.lists.clone(),
            Kind::Blob => None,
        };
        async move {
            if let Some(lists) = lists {
                let meter = inner.dialer.meter();
                let send = |call| lists.add(call);
                return shared::carry(patience, meter, body, stamp, send).await;
            }
            let request = inner.requests.request(kind, body, stamp.as_ref());
            let travels = inner.deadline_travels;
            let deadline_ns = travels.then(|| after(now_ns(), patience));
            let read = |status: StatusCode, body: &[u8]| inner.result(kind, status, body);
            inner.carry(request, patience, deadline_ns, read).await
        }
    }

    fn counters(&self) -> Counters {
        self.inner.dialer.meter().counters()
    }

    fn in_force(&self) -> BTreeMap<String, String> {
        let version = match self.inner.wires {
            Wires::H1(_) => "HTTP/1.1",
            Wires::H2(_) => "HTTP/2",
        };
        let inner = &self.inner;
        let mut settings = inner
            .dialer
            .in_force(inner.connections, inner.deadline.patience());
        settings.insert("http".into(), version.into());
        if matches!(inner.wires, Wires::H2(_)) {
            settings.extend(crate::h2::in_force(inner.library_defaults));
        }
        settings.extend(shared::in_force(inner.kind, inner.batch));
        settings
    }
}

impl RestCaller {
    /// Asks for the catalogue, `GET /v1/catalog`: no order, but the service finds a worker for it as for an order. It is
    /// acknowledged without an answer of its own; the deadline is that of the settings.
    pub async fn catalog(&self) -> Outcome {
        let inner = &self.inner;
        let read = |status: StatusCode, body: &[u8]| match status {
            StatusCode::OK => CallResult::Acknowledged(None),
            other => inner.refusal(other, body),
        };
        let patience = inner.deadline.patience();
        let request = inner.requests.catalog();
        inner.carry(request, patience, None, read).await
    }
}

impl Inner {
    /// Carries a request until its deadline; what its whole answer means is read by `read`.
    async fn carry(
        &self,
        request: Request<Full<Bytes>>,
        patience: Duration,
        deadline_ns: Option<u64>,
        read: impl FnOnce(StatusCode, &[u8]) -> CallResult,
    ) -> Outcome {
        let sent_ns = Cell::new(None);
        let exchange = pin!(self.exchange(request, deadline_ns, &sent_ns));
        let (result, body_in) = match self.deadline.within(patience, exchange).await {
            Some(Ok((status, body))) => (read(status, &body), body.len()),
            Some(Err(failure)) => {
                if sent_ns.get().is_some() {
                    self.meter().unknown(1);
                }
                (CallResult::Failed(failure), 0)
            }
            None => {
                self.meter().unknown(1);
                (CallResult::TimedOut, 0)
            }
        };
        Outcome {
            sent_ns: sent_ns.get(),
            result,
            body_in,
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        self.dialer.meter()
    }

    /// A request with a list of orders.
    pub(super) fn list_request(&self, body: Bytes) -> Request<Full<Bytes>> {
        self.requests.list(body)
    }

    /// Carries a request, the deadline beside it if one is to travel, and brings its whole answer.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        deadline_ns: Option<u64>,
        sent_ns: &Cell<Option<u64>>,
    ) -> Exchanged {
        match &self.wires {
            Wires::H1(lines) => lines.exchange(request, deadline_ns, sent_ns).await,
            Wires::H2(connections) => multiplexed(connections, request, deadline_ns, sent_ns).await,
        }
    }

    fn result(&self, kind: Kind, status: StatusCode, body: &[u8]) -> CallResult {
        if status != StatusCode::OK {
            return self.refusal(status, body);
        }
        match self.format.decode_answer(kind, body) {
            Ok(answer) => CallResult::Acknowledged(Some(answer)),
            Err(error) => net::failed_here("answer", error.to_string()),
        }
    }

    /// The result of an answer that is no success.
    pub(super) fn refusal(&self, status: StatusCode, body: &[u8]) -> CallResult {
        let text = match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => problem.error,
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        match status {
            StatusCode::UNPROCESSABLE_ENTITY => CallResult::Refused(text),
            other => net::failed_there(format!("status-{}", other.as_u16()), text),
        }
    }
}

/// What a call gets back: the whole answer, or why there is none.
pub(super) type Exchanged = Result<(StatusCode, Bytes), Failure>;

/// Carries a request on one of the HTTP/2 connections. If this future is dropped, its stream is reset.
async fn multiplexed(
    connections: &Connections<Full<Bytes>>,
    mut request: Request<Full<Bytes>>,
    deadline_ns: Option<u64>,
    sent_ns: &Cell<Option<u64>>,
) -> Exchanged {
    let mut sender = connections.sender().await?;
    travel::say(request.headers_mut(), deadline_ns);
    sent_ns.set(now());
    let response = sender.send_request(request).await;
    let response = response.map_err(|error| connections.closed(&error))?;
    let (head, mut body) = response.into_parts();
    let mut gather = Gather::default();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame
            .map_err(|error| connections.closed(&error))?
            .into_data()
        {
            gather.add(piece);
        }
    }
    Ok((head.status, gather.whole()))
}

/// Requests with everything that does not change from call to call made once.
#[derive(Debug)]
struct Requests {
    uris: [Uri; 2],
    list: Uri,
    catalog: Uri,
    unstamped: HeaderMap,
    /// With a placeholder where the Stamp goes, so that a clone has room for it.
    stamped: HeaderMap,
}

impl Requests {
    fn new(settings: &Settings, scheme: &str) -> anyhow::Result<Self> {
        let uri = |path| match settings.http {
            // HTTP/1.1 sends the path alone and the authority in Host, HTTP/2 sends both from the URI.
            HttpVersion::H1 => Ok(Uri::from_static(path)),
            HttpVersion::H2 => format!("{scheme}://{}{path}", settings.target).parse(),
        };
        let uris = [uri(path(Kind::Order))?, uri(path(Kind::Blob))?];
        let list = uri(LIST_PATH)?;
        let catalog = uri(CATALOG_PATH)?;
        let mut unstamped = HeaderMap::new();
        if settings.http == HttpVersion::H1 {
            unstamped.insert(HOST, settings.target.parse()?);
        }
        let content_type = HeaderValue::from_static(settings.format.content_type());
        unstamped.insert(CONTENT_TYPE, content_type);
        let mut stamped = unstamped.clone();
        stamped.insert(STAMP, HeaderValue::from_static("placeholder"));
        Ok(Self {
            uris,
            list,
            catalog,
            unstamped,
            stamped,
        })
    }

    /// The Stamps of a list ride beside its orders.
    fn list(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.list.clone();
        *request.headers_mut() = self.unstamped.clone();
        request
    }

    fn catalog(&self) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::default());
        *request.uri_mut() = self.catalog.clone();
        *request.headers_mut() = self.unstamped.clone();
        // It has no body.
        request.headers_mut().remove(CONTENT_TYPE);
        request
    }

    fn request(&self, kind: Kind, body: Bytes, stamp: Option<&Stamp>) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uris[kind as usize].clone();
        *request.headers_mut() = match stamp {
            None => self.unstamped.clone(),
            Some(stamp) => {
                let mut headers = self.stamped.clone();
                headers.insert(STAMP, stamp_value(stamp));
                headers
            }
        };
        request
    }
}

fn stamp_value(stamp: &Stamp) -> HeaderValue {
    let text = stamp.to_text();
    let mut value = HeaderValue::from_bytes(&text).expect("base64url is a header value");
    // HPACK then never indexes it: it differs in every request.
    value.set_sensitive(true);
    value
}

/// Puts an answer's body together; most come in one piece, which is then not copied.
#[derive(Default)]
struct Gather {
    first: Option<Bytes>,
    more: BytesMut,
}

impl Gather {
    fn add(&mut self, piece: Bytes) {
        match self.first.take() {
            None if self.more.is_empty() => self.first = Some(piece),
            None => self.more.extend_from_slice(&piece),
            Some(first) => {
                self.more.extend_from_slice(&first);
                self.more.extend_from_slice(&piece);
            }
        }
    }

    fn whole(self) -> Bytes {
        self.first.unwrap_or_else(|| self.more.freeze())
    }
}

fn now() -> Option<u64> {
    Some(now_ns())
}
