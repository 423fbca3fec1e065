//! The page as its reader's tools meet it: parsed strictly, every verdict on it, every link with a target, nothing that
//! runs or is fetched.

use super::*;
use crate::claims::fixture::planted;
use crate::claims::{CLAIMS, conclude};
use crate::report::charts;
use crate::results::{Skipped, State};
use roxmltree::{Document as Xml, Node, ParsingOptions};
use std::collections::BTreeSet;

/// The planted run with everything that could break a page.
fn hostile() -> Run {
    let mut run = planted();
    run.skipped.push(Skipped {
        transport: "stream".into(),
        reason: "planted <script>alert(1)</script> & \"quotes\"".into(),
    });
    run.trials[0].validity.state = State::Suspect;
    run.trials[0].validity.reasons = vec!["planted: 1 < 2 & `code`".into()];
    let mut again = run.trials[1].clone();
    again.attempt = 1;
    run.trials.push(again);
    run.manifest.settings.insert("a<b".into(), "c>d".into());
    conclude(&mut run);
    run
}

fn html(run: &Run) -> String {
    page(run, &charts::all(run))
}

fn parse(text: &str) -> Xml<'_> {
    let options = ParsingOptions {
        allow_dtd: true,
        ..ParsingOptions::default()
    };
    Xml::parse_with_options(text, options).expect("the page is well-formed")
}

fn named<'a>(xml: &'a Xml<'_>, tag: &'a str) -> impl Iterator<Item = Node<'a, 'a>> {
    xml.descendants()
        .filter(move |n| n.tag_name().name() == tag)
}

#[test]
fn every_claim_is_on_the_page_and_every_judged_one_has_its_row_and_its_section() {
    let run = hostile();
    let text = html(&run);
    let xml = parse(&text);
    assert!(CLAIMS.iter().all(|claim| text.contains(claim.id)));
    let judged = run
        .verdicts
        .iter()
        .filter(|row| row.verdict != crate::results::Verdict::NotMeasured);
    let mut n = 0;
    for row in judged {
        n += 1;
        let id = format!("claim-{}", row.claim);
        let section = xml
            .descendants()
            .find(|node| node.attribute("id") == Some(&id))
            .unwrap_or_else(|| panic!("{id}"));
        let words: String = section.descendants().filter_map(|n| n.text()).collect();
        assert!(words.contains(&row.verdict.to_string()), "{id}: {words}");
        for part in &row.parts {
            assert!(words.contains(&part.name), "{id}: {}", part.name);
        }
        assert!(words.contains("seed 1"), "{id}: {words}");
    }
    assert!(n > 3);
    let first = named(&xml, "table").next().unwrap();
    assert_eq!(first.attribute("class"), Some("verdicts"));
}

#[test]
fn every_link_has_its_target_and_every_name_is_given_once() {
    let run = hostile();
    let text = html(&run);
    let xml = parse(&text);
    let names: Vec<&str> = xml
        .descendants()
        .filter_map(|n| n.attribute("id"))
        .collect();
    let unique: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len());
    let links: Vec<&str> = named(&xml, "a")
        .filter_map(|a| a.attribute("href"))
        .collect();
    assert!(links.len() > 20, "{}", links.len());
    for link in links {
        let target = link.strip_prefix('#').expect("links stay on the page");
        assert!(unique.contains(target), "{link}");
    }
    for ran in cells::ran(&run) {
        assert!(text.contains(&ran.cell.id), "{}", ran.cell.id);
    }
}

#[test]
fn nothing_runs_and_nothing_is_fetched() {
    let run = hostile();
    let text = html(&run);
    let xml = parse(&text);
    for tag in ["script", "link", "iframe", "img", "object", "embed", "form"] {
        assert_eq!(named(&xml, tag).count(), 0, "{tag}");
    }
    for attribute in xml.descendants().flat_map(|n| n.attributes()) {
        let (name, value) = (attribute.name(), attribute.value());
        assert!(!name.starts_with("on"), "{name}");
        assert!(
            !value.contains("://") && !value.contains("javascript:"),
            "{name}={value}"
        );
    }
    let styles: String = named(&xml, "style").filter_map(|s| s.text()).collect();
    assert!(!styles.contains("url(") && !styles.contains("@import"));
}

#[test]
fn every_picture_scales_and_can_be_read_aloud() {
    let run = hostile();
    let text = html(&run);
    let xml = parse(&text);
    let mut drawn = 0;
    for svg in named(&xml, "svg") {
        drawn += 1;
        assert!(
            svg.attribute("viewBox")
                .is_some_and(|b| b.split(' ').count() == 4)
        );
        let text = |tag| {
            svg.children()
                .find(|n| n.tag_name().name() == tag)
                .and_then(|n| n.text())
                .unwrap_or_default()
        };
        assert!(text("title").len() > 20 && text("desc").len() > 40);
    }
    assert!(drawn >= 4, "{drawn}");
    // What is not drawn is said.
    for picture in charts::all(&run) {
        if let Picture::LeftOut { name, .. } = picture {
            assert!(text.contains(&format!("No <code>{name}</code>:")), "{name}");
        }
    }
}

#[test]
fn what_others_wrote_is_escaped() {
    let text = html(&hostile());
    assert!(text.contains("&#60;script&#62;alert(1)"), "escaped");
    assert!(text.contains("1 &#60; 2 &#38;") || text.contains("1 &lt; 2 &amp;"));
    assert_eq!(rich("a `b<c` d & e"), "a <code>b&#60;c</code> d &#38; e");
}

#[test]
fn an_empty_run_has_a_page_too() {
    let mut run = Run::default();
    conclude(&mut run);
    let text = html(&run);
    parse(&text);
    assert!(text.contains("No claim was measured by this run."));
}

#[test]
fn the_page_of_a_small_run() {
    let mut run = planted();
    run.trials
        .retain(|t| t.experiment == "capacity" && t.block < 2 && t.cell.payload == "O3");
    conclude(&mut run);
    run.verdicts.retain(|row| row.claim.starts_with("grpc-thr"));
    let text = html(&run);
    // The stylesheet and the drawings have tests of their own.
    let (head, body) = text.split_once("</style>").unwrap();
    assert!(head.contains("<style>"));
    let mut rest = body;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once("<svg ") {
        out += before;
        out += "<svg/>";
        rest = after.split_once("</svg>").unwrap().1;
    }
    insta::assert_snapshot!(out + rest);
}
