//! The planted slower codec. It burdens the whole process, so it has one of its own, with a single test.

use bench_proto::burden::{Burden, bear, borne, forget, plant};
use bench_proto::{Corpus, Format, PayloadClass};

#[test]
fn a_burden_is_borne_once_per_encoding_and_decoding_of_its_format_and_changes_no_byte() {
    let class = PayloadClass::Order(3);
    let corpus = Corpus::first(class, 7, 50);
    let bodies =
        |format| -> Vec<_> { corpus.messages().iter().map(|m| m.encode(format)).collect() };
    let round_trips = |format: Format| {
        for (message, body) in corpus.messages().iter().zip(bodies(format)) {
            assert_eq!(
                format.decode_request(class.kind(), &body).as_ref(),
                Ok(message)
            );
        }
    };
    let unburdened = bodies(Format::Protobuf);
    assert_eq!(borne(), None, "nothing is planted unless asked for");

    for (burdened, other) in [
        (Format::Protobuf, Format::Json),
        (Format::Json, Format::Protobuf),
    ] {
        plant(Some(Burden {
            format: burdened,
            rounds: 3,
        }));
        round_trips(other);
        assert_eq!(borne(), Some(0), "{other} bears nothing");
        round_trips(burdened);
        assert_eq!(
            borne(),
            Some(100),
            "50 bodies of {burdened}, each encoded and decoded"
        );
        forget();
        bear(burdened);
        assert_eq!(borne(), Some(1));
    }
    plant(Some(Burden {
        format: Format::Protobuf,
        rounds: 1,
    }));
    assert_eq!(bodies(Format::Protobuf), unburdened);
    plant(None);
    round_trips(Format::Protobuf);
    assert_eq!(borne(), None);
}
