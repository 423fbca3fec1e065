//! The page: one file with its pictures and colours inside, readable without network or script, on paper and on a phone.

mod dots;
#[cfg(test)]
mod tests;
mod verdicts;

use super::cells::{self, Ran};
use super::charts::{Chart, Picture, css};
use super::document::{Block, Document, Tone};
use super::places::Places;
use super::{figures, interventions, manifest, sections};
use crate::claims::ratios::failed_aa;
use crate::results::Run;
use askama::Template;
use dots::Strip;
use verdicts::{Judged, Missing};

#[derive(Template)]
#[template(path = "report.html")]
struct Page {
    title: String,
    colours: String,
    /// What was run, where and with what, escaped.
    head: Vec<String>,
    judged: Vec<Judged>,
    missing: Vec<Missing>,
    failed_aa: Vec<String>,
    skipped: Vec<String>,
    reading: Vec<String>,
    pictures: Vec<Drawn>,
    left_out: Vec<String>,
    figures: Vec<Piece>,
    cells: Vec<CellCard>,
    manifest: Vec<(String, String)>,
}

/// A picture on the page; `svg` is drawn by us and escaped.
struct Drawn {
    name: &'static str,
    title: String,
    text: String,
    svg: String,
}

/// A piece of a document; strings are escaped, but for tables' cells.
enum Piece {
    Heading(String),
    Text(String),
    Items(Vec<String>),
    Table {
        header: Vec<Head>,
        rows: Vec<Vec<Field>>,
    },
}

struct Head {
    text: String,
    number: bool,
}

struct Field {
    html: String,
    number: bool,
    class: &'static str,
}

/// One cell of the run.
struct CellCard {
    anchor: String,
    id: String,
    experiments: String,
    settings: Vec<(String, String)>,
    validity: String,
    reasons: Vec<String>,
    strip: Strip,
    in_force: Vec<(String, String)>,
}

/// The whole page.
pub(super) fn page(run: &Run, pictures: &[Picture]) -> String {
    let cells = cells::ran(run);
    let places = Places::of(cells.iter().map(Ran::id));
    let mut head = Document::default();
    sections::head(&mut head, run);
    let mut document = Document::default();
    figures(&mut document, run);
    interventions::told(&mut document, run);
    sections::validity(&mut document, run);
    let (judged, missing) = verdicts::of(run, &cells, &places);
    let page = Page {
        title: "Hopbench: REST, gRPC, a queue or a stream?".into(),
        colours: css(":root"),
        head: head.blocks().iter().filter_map(text).collect(),
        judged,
        missing,
        failed_aa: failed_aa(&run.ratios).iter().map(|s| rich(s)).collect(),
        skipped: run
            .skipped
            .iter()
            .map(|s| rich(&format!("{}: {}", s.transport, s.reason)))
            .collect(),
        reading: sections::reading().iter().map(|s| rich(s)).collect(),
        pictures: pictures.iter().filter_map(drawn).collect(),
        left_out: pictures.iter().filter_map(left_out).collect(),
        figures: document.blocks().iter().filter_map(piece).collect(),
        cells: cells.iter().map(|ran| card(ran, &places)).collect(),
        manifest: manifest::rows(run),
    };
    page.render()
        .expect("a page of strings renders into a string")
}

fn drawn(picture: &Picture) -> Option<Drawn> {
    match picture {
        Picture::Drawn(chart) => Some(Drawn {
            name: chart.name,
            title: chart.title.clone(),
            text: rich(&chart.text),
            svg: Chart::inline(chart),
        }),
        Picture::LeftOut { .. } => None,
    }
}

fn left_out(picture: &Picture) -> Option<String> {
    match picture {
        Picture::Drawn(_) => None,
        Picture::LeftOut { name, why } => Some(rich(&format!("No `{name}`: {why}."))),
    }
}

fn text(block: &Block) -> Option<String> {
    match block {
        Block::Text(text) => Some(rich(text)),
        _ => None,
    }
}

fn piece(block: &Block) -> Option<Piece> {
    Some(match block {
        Block::Heading(text) => Piece::Heading(rich(text)),
        Block::Text(text) => Piece::Text(rich(text)),
        Block::Items(items) => Piece::Items(items.iter().map(|item| rich(item)).collect()),
        Block::Table(table) => Piece::Table {
            header: table
                .header
                .iter()
                .enumerate()
                .map(|(i, text)| Head {
                    text: text.trim().into(),
                    number: i >= table.numbers_from,
                })
                .collect(),
            rows: table
                .rows
                .iter()
                .map(|row| {
                    let field = |(i, cell): (usize, &super::document::Cell)| Field {
                        html: rich(&cell.text),
                        number: i >= table.numbers_from,
                        class: tone(cell.tone),
                    };
                    row.iter().enumerate().map(field).collect()
                })
                .collect(),
        },
        Block::Picture { .. } => return None,
    })
}

fn tone(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "",
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Doubtful => "doubt",
    }
}

fn card(ran: &Ran<'_>, places: &Places) -> CellCard {
    let in_force = ran.trials.first().map(|t| t.in_force.clone());
    CellCard {
        anchor: places.anchor(&ran.cell.id).unwrap_or_default().into(),
        id: ran.cell.id.clone(),
        experiments: ran.experiments.join(", "),
        settings: cells::settings(ran.cell),
        validity: ran.validity(),
        reasons: ran.reasons().iter().map(|s| rich(s)).collect(),
        strip: Strip::of_cell(ran),
        in_force: in_force.into_iter().flatten().collect(),
    }
}

/// Escapes a text for HTML and sets what stands in backticks as code.
pub(super) fn rich(text: &str) -> String {
    let mut out = String::new();
    for (i, span) in text.split('`').enumerate() {
        let escaped = askama::filters::escape(span, askama::filters::Html)
            .map_or_else(|_| String::new(), |escaped| escaped.to_string());
        if i % 2 == 1 {
            out.push_str(&format!("<code>{escaped}</code>"));
        } else {
            out.push_str(&escaped);
        }
    }
    out
}
