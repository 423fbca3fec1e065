//! The manifest as a table: where, when and with what the run was made, all that is known of it.

use super::document::{Cell, Document, Table, names};
use crate::results::Run;

/// Names and values, in groups: the run, the machine, brokers, libraries, settings.
pub(super) fn rows(run: &Run) -> Vec<(String, String)> {
    let m = &run.manifest;
    let yes_no = |value: bool| if value { "yes" } else { "no" }.to_string();
    let mut rows: Vec<(String, String)> = [
        ("start", m.time.clone()),
        ("version", m.version.clone()),
        ("commit", m.commit.clone().unwrap_or("unknown".into())),
        (
            "changed since the commit",
            m.dirty.map_or("unknown".into(), yes_no),
        ),
        ("suite", m.suite.clone()),
        ("blocks", m.blocks.to_string()),
        ("seed of plan, arrivals and corpora", m.seed.to_string()),
        ("placement", m.placement.clone()),
        ("network", m.network.clone()),
        ("nothing else ran (said by the user)", yes_no(m.exclusive)),
        ("schema of the results", run.schema.clone()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into();
    for (group, map) in [
        ("machine", &m.machine),
        ("broker", &m.brokers),
        ("library", &m.libraries),
        ("setting", &m.settings),
    ] {
        rows.extend(
            map.iter()
                .map(|(name, value)| (format!("{group}: {name}"), value.clone())),
        );
    }
    rows
}

/// All of it, for Markdown.
pub(super) fn table(document: &mut Document, run: &Run) {
    document.heading("Manifest");
    let row = |(name, value): (String, String)| vec![Cell::from(name), Cell::from(value)];
    document.table(Table {
        header: names(["what", "value"]),
        numbers_from: 2,
        rows: rows(run).into_iter().map(row).collect(),
    });
}
