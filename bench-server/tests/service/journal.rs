//! The journal: what was answered is in it, what was torn is not, and a killed service loses nothing that it answered.

use crate::common::{Orders, Program, http, origin, place, reset, service_with};
use bench_proto::{Durability, Format, Message, Receipt, Stamp};
use bench_server::journal::{self, Journal};
use bench_transport::{Origin, Reply, Service};
use std::collections::HashSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

fn order_ids(folder: &Path) -> Vec<String> {
    let entries = journal::read(&folder.join(journal::FILE)).unwrap();
    let id = |entry: &journal::Entry| {
        let receipt: Receipt = Format::Protobuf.decode(&entry.answer).unwrap();
        receipt.order_id
    };
    entries.iter().map(id).collect()
}

#[tokio::test]
async fn every_answered_order_is_journalled_with_its_identity_and_no_refused_one_is() {
    for durability in [Durability::Process, Durability::Power] {
        let folder = tempfile::tempdir().unwrap();
        let service = service_with("", |options| {
            options.durability = durability;
            options.journal = folder.path().join("made on the way");
        });
        service.reset(&reset(), None);
        place(&service, 20).await;
        let Message::Order(mut order) = Orders::new().next(20) else {
            panic!("an order was expected");
        };
        order.items.clear();
        let refused = service.handle(Message::Order(order), origin(20)).await;
        assert!(matches!(refused, Reply::Refused(_)));
        let unstamped = service
            .handle(Orders::new().next(21), Origin::default())
            .await;
        assert!(matches!(unstamped, Reply::Done(_)));
        let entries = journal::read(Path::new(&service.journal())).unwrap();
        let sequences: Vec<_> = entries
            .iter()
            .map(|entry| entry.stamp.map(|stamp| stamp.sequence))
            .collect();
        let expected: Vec<_> = (0..20).map(Some).chain([None]).collect();
        assert_eq!(sequences, expected);
    }
}

#[tokio::test]
async fn one_flush_releases_all_appends_that_wait_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let service = service_with("", |options| {
        options.durability = Durability::Power;
        options.journal = folder.path().into();
    });
    let mut orders = Orders::new();
    let tasks: Vec<_> = (0..200)
        .map(|sequence| tokio::spawn(service.handle(orders.next(sequence), origin(sequence))))
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), Reply::Done(_)));
    }
    assert_eq!(order_ids(folder.path()).len(), 200);
}

#[test]
fn the_classes_without_a_journal_open_none() {
    let folder = tempfile::tempdir().unwrap();
    for durability in [Durability::None, Durability::Memory] {
        assert!(Journal::open(folder.path(), durability).unwrap().is_none());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_torn_last_entry_is_cut_off_and_the_journal_goes_on_behind_the_whole_ones() {
    let stamp = Stamp {
        run: 1,
        producer: 2,
        sequence: 3,
        planned_ns: 4,
    };
    let whole = {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), Durability::Process)
            .unwrap()
            .unwrap();
        journal.append(Some(&stamp), b"answer").unwrap();
        std::fs::read(journal.path()).unwrap()
    };
    for torn in 0..whole.len() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(journal::FILE);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(&whole).unwrap();
        file.write_all(&whole[..torn]).unwrap();
        assert_eq!(
            journal::read(&path).unwrap().len(),
            1,
            "torn after {torn} bytes"
        );
        let journal = Journal::open(folder.path(), Durability::Process)
            .unwrap()
            .unwrap();
        journal.append(None, b"next").unwrap();
        let entries = journal::read(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].stamp, Some(stamp));
        assert_eq!(
            (entries[1].stamp, &entries[1].answer[..]),
            (None, &b"next"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_has_journalled_every_order_that_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().to_str().unwrap();
    let flags = [
        "--rest",
        "127.0.0.1:0",
        "--durability",
        "process",
        "--journal",
        journal,
    ];
    let mut program = Program::start(&flags);
    let acknowledged = Arc::new(Mutex::new(HashSet::new()));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (address, acknowledged) = (program.rest().to_owned(), acknowledged.clone());
            tokio::spawn(async move {
                let mut orders = Orders::new();
                for sequence in 0.. {
                    let Message::Order(order) = orders.next(client << 32 | sequence) else {
                        panic!("an order was expected");
                    };
                    let body = Format::Json.encode(&order);
                    let headers = [("content-type", "application/json".to_owned())];
                    let (status, _) = http(&address, "POST", "/v1/orders", &headers, body).await;
                    assert_eq!(status, 200);
                    acknowledged.lock().unwrap().insert(order.order_id);
                }
            })
        })
        .collect();
    while acknowledged.lock().unwrap().len() < 400 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    for client in clients {
        // Each ends at the connection that the kill cut.
        assert!(client.await.is_err());
    }
    let journalled: HashSet<String> = order_ids(folder.path()).into_iter().collect();
    let lost: Vec<_> = acknowledged
        .lock()
        .unwrap()
        .difference(&journalled)
        .cloned()
        .collect();
    assert!(
        lost.is_empty(),
        "acknowledged, but not journalled: {lost:?}"
    );
    // Four were in service at most, so no more than four can be there that nobody was told about.
    assert!(journalled.len() <= acknowledged.lock().unwrap().len() + 4);
}
