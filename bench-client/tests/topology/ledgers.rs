//! Every ledger of a topology, joined; and what cannot be one.

use super::*;

#[test]
fn every_ledger_of_three_services_is_joined_and_each_order_reaches_each_of_them_once() {
    let brokers: &[&str] = if without_brokers() {
        &[]
    } else {
        &["queue", "stream"]
    };
    let folder = tempfile::tempdir().unwrap();
    let schema = Command::cargo_bin("bench-client")
        .unwrap()
        .args(["schema", "--trial"])
        .output()
        .unwrap()
        .stdout;
    let validator = jsonschema::validator_for(&serde_json::from_slice(&schema).unwrap()).unwrap();
    for broker in brokers {
        let trial = load(
            &shop(folder.path(), broker, "1ms"),
            &[
                "--count",
                "400",
                "--in-flight",
                "8",
                "--warmup",
                "100ms",
                "--durability",
                "process",
            ],
        );
        let problems: Vec<String> = validator
            .iter_errors(&trial)
            .map(|e| e.to_string())
            .collect();
        assert!(problems.is_empty(), "{broker}: {problems:?}");
        let hops = list(&trial["hops"]);
        let names: Vec<&str> = hops
            .iter()
            .map(|hop| hop["service"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["front", "stock", "mailer"], "{broker}");
        for hop in hops {
            let ledger = &hop["ledger"];
            for (name, expected) in [
                ("attempted", 400),
                ("acknowledged", 400),
                ("delivered", 400),
                ("lost", 0),
                ("duplicated", 0),
                ("unexpected", 0),
            ] {
                assert_eq!(ledger[name], expected, "{broker} {name}: {hop}");
            }
            assert_eq!(hop["completed"], 400, "{broker}: {hop}");
            assert_eq!(hop["completion_ns"]["count"], 400, "{broker}");
            assert_eq!(hop["effects"]["applied"], 400, "{broker}");
        }
        for callee in ["stock", "mailer"] {
            let calls = &hops[0]["calls"][callee];
            assert_eq!(
                (&calls["calls"], &calls["succeeded"]),
                (&400.into(), &400.into()),
                "{calls}"
            );
            let hop = hops.iter().find(|hop| hop["service"] == callee).unwrap();
            let sent = &hop["from"]["front"];
            assert_eq!(
                (&sent["lost"], &sent["unknown_to_caller"]),
                (&0.into(), &0.into()),
                "{sent}"
            );
        }
        assert_eq!(list(&trial["reached"]).len(), 1, "{}", trial["reached"]);
        assert_eq!(reached(&trial, &["front", "stock", "mailer"]), 400);
        let diagram = trial["topology"].as_str().unwrap();
        assert!(diagram.contains("grpc → stock (1ms)"), "{diagram}");
        assert_eq!(trial["cell"]["factors"]["topology"], "shop");
        assert_eq!(trial["in_force"]["hop.stock.service.slowness"], "1ms");
        let said = reasons(&trial);
        // On a busy machine a handler may miss its plan.
        for words in ["never delivered", "nobody attempted", "do not balance"] {
            assert!(!said.contains(words), "{said}");
        }
    }
}

#[test]
fn what_the_stock_fails_the_user_fails_and_nobody_is_mailed() {
    if without_brokers() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let trial = load(
        &shop(folder.path(), "queue", "1ms fail=10%"),
        &[
            "--count",
            "1000",
            "--in-flight",
            "8",
            "--warmup",
            "0s",
            "--durability",
            "process",
        ],
    );
    let failed = count(&trial["ledger"]["failed"]);
    assert!((50..150).contains(&failed), "a tenth of 1,000: {failed}");
    assert_eq!(
        reached(&trial, &["front", "stock"]),
        failed,
        "{}",
        trial["reached"]
    );
    assert_eq!(
        reached(&trial, &["front", "stock", "mailer"]),
        1_000 - failed
    );
    let calls = &trial["hops"][0]["calls"]["stock"];
    assert_eq!(count(&calls["succeeded"]), 1_000 - failed, "{calls}");
    assert_eq!(calls["calls"], 1_000);
    assert!(
        trial["overloaded"].is_null(),
        "what failed waits nowhere: {}",
        trial["overloaded"]
    );
    let said = reasons(&trial);
    assert!(
        !said.contains("lost") && !said.contains("never delivered"),
        "{said}"
    );
}

#[test]
fn services_of_one_seed_fail_by_themselves_and_not_in_step() {
    let folder = tempfile::tempdir().unwrap();
    let topology = serde_json::json!({
        "name": "both-fail",
        "services": [
            {"name": "front", "slow": "none fail=20%"},
            {"name": "stock", "slow": "none fail=20%"},
        ],
        "edges": [{"from": "front", "to": "stock", "transport": "rest"}],
    });
    let file = folder.path().join("both.json");
    std::fs::write(&file, topology.to_string()).unwrap();
    let trial = load(
        &file,
        &["--count", "2000", "--in-flight", "8", "--warmup", "0s"],
    );
    // In step it would be 20 %, by themselves it is 36 %; far from both lies 28 %.
    let failed = count(&trial["ledger"]["failed"]);
    assert!((560..900).contains(&failed), "{failed} of 2000");
}

#[test]
fn completions_that_a_service_keeps_to_itself_make_the_trial_invalid() {
    let folder = tempfile::tempdir().unwrap();
    let trial = load(
        &pair(folder.path(), "none"),
        &[
            "--count",
            "1000",
            "--in-flight",
            "4",
            "--warmup",
            "0s",
            "--grace",
            "1s",
            "--plant",
            "drop=1/10",
        ],
    );
    assert_eq!(trial["validity"]["state"], "INVALID");
    let sent = &trial["hops"][1]["from"]["front"];
    assert_eq!(sent["lost"], 100, "{sent}");
    let said = reasons(&trial);
    assert!(
        said.contains("'stock': 100 of 1000 calls that went well for 'front' were never delivered"),
        "{said}"
    );
}

#[test]
fn topologies_and_schedules_that_cannot_run_are_refused_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], file: &Path, words: &str| {
        Command::cargo_bin("bench-client")
            .unwrap()
            .timeout(Duration::from_secs(60))
            .args(["load", "--transport", "rest", "--topology"])
            .arg(file)
            .args(arguments)
            .assert()
            .code(2)
            .stdout("")
            .stderr(predicate::str::contains(words));
    };
    let nowhere = folder.path().join("nowhere.json");
    refused(&[], &nowhere, "cannot be read");
    let pair = pair(folder.path(), "1ms");
    refused(
        &["--fault", "at 1s kill mailer"],
        &pair,
        "expected front, stock, rabbitmq or kafka",
    );
    refused(&["--fault", "at 1s start stock"], &pair, "'stock' runs");
    refused(
        &["--fault", "at 1s pause kafka"],
        &pair,
        "no order of this trial goes over",
    );
    refused(&["--slow", "5ms"], &pair, "cannot be used with");
    let write = |text: &str| {
        let file = folder.path().join("other.json");
        std::fs::write(&file, text).unwrap();
        file
    };
    refused(&[], &write("{}"), "expected a topology such as");
    let circle = r#"{"name": "circle", "services": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
        "edges": [{"from": "a", "to": "b", "transport": "rest"}, {"from": "b", "to": "c", "transport": "rest"},
                  {"from": "c", "to": "b", "transport": "rest"}]}"#;
    refused(&[], &write(circle), "in a circle among b, c");
}
