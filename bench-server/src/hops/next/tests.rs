use super::*;
use crate::hops::breaker::Trip;
use std::time::Duration;

fn read(text: &str) -> Next {
    text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
}

#[test]
fn a_hop_is_awaited_and_unguarded_unless_it_is_said_otherwise() {
    for (text, transport, way, format, connections) in [
        (
            "a=tcp:h:1",
            Transport::Tcp,
            Way::Awaited,
            Format::Protobuf,
            64,
        ),
        (
            "a=rest:h:1",
            Transport::Rest,
            Way::Awaited,
            Format::Json,
            64,
        ),
        (
            "a=rest:h:1,http=h2",
            Transport::Rest,
            Way::Awaited,
            Format::Json,
            1,
        ),
        (
            "a=grpc:[::1]:1",
            Transport::Grpc,
            Way::Awaited,
            Format::Protobuf,
            1,
        ),
        (
            "a=queue:amqp://u:p@h:1/%2f",
            Transport::Queue,
            Way::Reply(ReplyVia::Direct),
            Format::Protobuf,
            1,
        ),
        (
            "a=stream:h:1,i:2",
            Transport::Stream,
            Way::Reply(ReplyVia::Topic),
            Format::Protobuf,
            1,
        ),
    ] {
        let next = read(text);
        assert_eq!((next.transport, next.way), (transport, way), "{text}");
        assert_eq!(
            (next.format, next.connections),
            (format, connections),
            "{text}"
        );
        assert_eq!((next.name.as_str(), next.scope.as_str()), ("a", "orders"));
        assert!(next.deadline_travels);
        assert_eq!(next.guards, Guards::default(), "{text}");
    }
}

#[test]
fn every_option_is_read() {
    let next = read(
        "inventory=queue:amqp://u:p@h:1/%2f,reply=queue,scope=stock,format=json,connections=3,timeout=500ms,retries=3,backoff=10ms..1s,budget=12.5%,breaker=50%/20/1s,slow-after=100ms,bulkhead=8,no-deadline",
    );
    assert_eq!(
        read("a=rest:h:1,slow-after=1s,breaker=50%/20/1s").guards,
        read("a=rest:h:1,breaker=50%/20/1s,slow-after=1s").guards
    );
    assert_eq!(next.name, "inventory");
    assert_eq!(next.target, "amqp://u:p@h:1/%2f");
    assert_eq!(next.way, Way::Reply(ReplyVia::Queue));
    assert_eq!((next.scope.as_str(), next.format), ("stock", Format::Json));
    assert_eq!((next.connections, next.deadline_travels), (3, false));
    let ms = Duration::from_millis;
    assert_eq!(
        next.guards,
        Guards {
            timeout: Some(ms(500)),
            retries: 3,
            backoff: Some((ms(10), ms(1_000))),
            budget: Some(12.5),
            breaker: Some(Trip {
                percent: 50.0,
                window: 20,
                open: ms(1_000),
            }),
            slow_after: Some(ms(100)),
            bulkhead: Some(8),
        }
    );
    assert_eq!(read("a=stream:h:1,publish").way, Way::Published);
    let many = read("a=queue:amqp://h,publish,fanout,scope=x");
    assert!(many.fanout && !read("a=stream:h:1,publish").fanout);
    assert_eq!(many.in_force()["hop.way"], "published to every reader");
    let several = read("a=stream:h:1,i:2,j:3,scope=x,publish");
    assert_eq!(several.target, "h:1,i:2,j:3");
}

#[test]
fn what_can_not_be_meant_is_refused_with_what_to_write() {
    for (text, says) in [
        ("", "NAME=TRANSPORT:TARGET"),
        ("inventory", "NAME=TRANSPORT:TARGET"),
        ("a=rest", "NAME=TRANSPORT:TARGET"),
        ("=rest:h:1", "1 to 40 letters"),
        ("a b=rest:h:1", "1 to 40 letters"),
        ("a=soap:h:1", "not a transport"),
        ("a=rest:h", "host:port"),
        ("a=rest:h:0", "host:port"),
        ("a=grpc::1", "host:port"),
        ("a=queue:http://u:secret@h", "amqp://"),
        ("a=queue:amqp://u:secret,x@h:1", "none of these"),
        ("a=stream:localhost", "expected brokers"),
        ("a=rest:h:1,", "expected the options"),
        ("a=rest:h:1,patience=1s", "got `patience`"),
        ("a=rest:h:1,publish", "for queue and stream"),
        ("a=grpc:h:1,reply=direct", "for queue and stream"),
        ("a=tcp:h:1,scope=x", "for queue and stream"),
        ("a=rest:h:1,fanout", "for queue and stream"),
        ("a=stream:h:1,publish=yes", "takes no value"),
        ("a=stream:h:1,publish,fanout=yes", "takes no value"),
        ("a=stream:h:1,fanout", "give `publish` with it"),
        ("a=stream:h:1,publish,reply=topic", "one of them"),
        ("a=stream:h:1,reply=direct", "reply=topic"),
        ("a=queue:amqp://h,reply=topic", "reply=direct"),
        ("a=queue:amqp://h,reply=pigeon", "no way for a reply"),
        ("a=stream:h:1,scope=a/b", "letters, digits"),
        ("a=rest:h:1,format=xml", "json or protobuf"),
        ("a=grpc:h:1,format=json", "protobuf"),
        ("a=rest:h:1,http=h3", "h1 or h2"),
        ("a=grpc:h:1,http=h2", "for rest"),
        ("a=rest:h:1,connections=0", "from 1 to 10000"),
        ("a=rest:h:1,timeout", "needs a value"),
        ("a=rest:h:1,timeout=0", "above 0"),
        ("a=rest:h:1,timeout=soon", "expected a duration"),
        ("a=rest:h:1,timeout=90m", "at most"),
        ("a=rest:h:1,timeout=1s,timeout=2s", "comes twice"),
        ("a=rest:h:1,retries=0", "from 1 to 100"),
        ("a=rest:h:1,retries=many", "from 1 to 100"),
        ("a=rest:h:1,backoff=10ms..1s", "retries=3"),
        ("a=rest:h:1,retries=1,backoff=10ms", "10ms..1s"),
        ("a=rest:h:1,retries=1,backoff=2s..1s", "not to be longer"),
        ("a=rest:h:1,budget=10%", "retries=3"),
        ("a=rest:h:1,retries=1,budget=10", "such as 10%"),
        ("a=rest:h:1,retries=1,budget=101%", "up to 100%"),
        ("a=rest:h:1,breaker=50%", "50%/20/1s"),
        ("a=rest:h:1,breaker=0%/20/1s", "such as 10%"),
        ("a=rest:h:1,breaker=50%/0/1s", "from 1 to 10000"),
        ("a=rest:h:1,breaker=50%/20/0", "above 0"),
        ("a=rest:h:1,breaker=50%/20/1s,slow-after=0", "above 0"),
        ("a=rest:h:1,breaker=50%/20/1s,slow-after", "needs a value"),
        ("a=rest:h:1,slow-after=100ms", "breaker=50%/20/1s"),
        ("a=rest:h:1,bulkhead=0", "from 1 to 1000000"),
    ] {
        let why = text.parse::<Next>().expect_err(text);
        assert!(why.contains(says), "{text}: {why}");
        assert!(!why.contains("secret"), "{why}");
    }
}

#[test]
fn hops_are_kept_in_order_and_their_names_are_their_own() {
    let texts = ["b=tcp:h:1", "a=tcp:h:2"].map(String::from);
    let names: Vec<_> = read_all(&texts)
        .unwrap()
        .into_iter()
        .map(|next| next.name)
        .collect();
    assert_eq!(names, ["b", "a"]);
    let texts = ["a=tcp:h:1", "a=rest:h:2"].map(String::from);
    assert!(read_all(&texts).unwrap_err().contains("named `a`"));
}

#[test]
fn what_is_in_force_and_what_is_debugged_hold_no_password() {
    let next =
        read("a=queue:amqp://u:secret@h:1,timeout=1500us,breaker=7.5%/100/2s,slow-after=250ms");
    let in_force = next.in_force();
    assert_eq!(in_force["guard.timeout"], "1500us");
    assert_eq!(in_force["guard.breaker"], "7.5%/100/2s");
    assert_eq!(in_force["guard.slow_after"], "250ms");
    let unbounded = read("a=rest:h:1,breaker=50%/20/1s").in_force();
    assert_eq!(unbounded["guard.slow_after"], "none");
    assert_eq!(in_force["hop.way"], "awaited, reply by direct");
    assert_eq!(in_force["guard.bulkhead"], "none");
    assert!(!format!("{in_force:?} {next:?}").contains("secret"));
}
