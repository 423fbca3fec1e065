//! A report as data (headings, text, tables) and its two renderings. It knows nothing of runs.

use comfy_table::{
    Attribute, Cell as TableCell, CellAlignment, Color, ContentArrangement, Table as TerminalTable,
};
use std::fmt::Write;
use std::io::IsTerminal;

/// How much a cell stands out on a terminal with colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Not at all.
    #[default]
    Plain,
    /// Confirmed.
    Good,
    /// Contradicted.
    Bad,
    /// Undecided, or to be read with care.
    Doubtful,
}

/// One cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self {
            text: text.into(),
            tone: Tone::Plain,
        }
    }
}

/// A table; columns from `numbers_from` on hold figures and are set flush right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) header: Vec<String>,
    pub(super) numbers_from: usize,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// Column heads from literals.
pub(super) fn names<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(String::from).to_vec()
}

/// One piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Heading(String),
    Text(String),
    Items(Vec<String>),
    Table(Table),
    /// A picture by its file; a terminal shows its title alone.
    Picture {
        title: String,
        file: String,
        text: String,
    },
}

/// Headings, text and tables in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    blocks: Vec<Block>,
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) colour: bool,
    /// Columns; none leaves tables as wide as they are.
    pub(super) width: Option<u16>,
}

/// Text is wrapped here where the width is not known.
const PLAIN_WIDTH: usize = 120;

impl Style {
    /// Follows standard output and `NO_COLOR` (any value but an empty one, see no-color.org).
    pub(super) fn detect() -> Self {
        let terminal = std::io::stdout().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colour: terminal && !refused,
            width: terminal.then(|| TerminalTable::new().width()).flatten(),
        }
    }
}

impl Document {
    pub(super) fn heading(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Heading(text.into()));
    }

    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Text(text.into()));
    }

    pub(super) fn items(&mut self, items: Vec<String>) {
        if !items.is_empty() {
            self.blocks.push(Block::Items(items));
        }
    }

    pub(super) fn table(&mut self, table: Table) {
        self.blocks.push(Block::Table(table));
    }

    pub(super) fn picture(&mut self, title: &str, file: String, text: &str) {
        self.blocks.push(Block::Picture {
            title: title.into(),
            file,
            text: text.into(),
        });
    }

    /// Its pieces in order, for another rendering.
    pub(super) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// For a terminal.
    pub(super) fn terminal(&self, style: Style) -> String {
        let width = style.width.map_or(PLAIN_WIDTH, usize::from);
        let mut out = String::new();
        for block in &self.blocks {
            match block {
                Block::Heading(text) if style.colour => writeln!(out, "\n\u{1b}[1m{text}\u{1b}[0m"),
                Block::Heading(text) => writeln!(out, "\n{text}"),
                Block::Text(text) => writeln!(out, "{}", wrap(text, width, "")),
                Block::Items(items) => items
                    .iter()
                    .try_for_each(|item| writeln!(out, "- {}", wrap(item, width, "  "))),
                Block::Table(table) => writeln!(out, "{}", table.terminal(style)),
                Block::Picture { title, .. } => writeln!(out, "{}", wrap(title, width, "")),
            }
            .expect("writing to a string does not fail");
        }
        out
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut out = String::new();
        for (i, block) in self.blocks.iter().enumerate() {
            match block {
                Block::Heading(text) => {
                    writeln!(out, "{} {text}\n", if i == 0 { "#" } else { "##" })
                }
                Block::Text(text) => writeln!(out, "{text}\n"),
                Block::Items(items) => items
                    .iter()
                    .try_for_each(|item| writeln!(out, "- {item}"))
                    .and_then(|()| writeln!(out)),
                Block::Table(table) => writeln!(out, "{}", table.markdown()),
                Block::Picture { title, file, text } => {
                    let alt = title.replace(['[', ']'], "");
                    writeln!(out, "![{alt}]({file})\n\n{text}\n")
                }
            }
            .expect("writing to a string does not fail");
        }
        out
    }
}

impl Table {
    fn terminal(&self, style: Style) -> String {
        let mut table = TerminalTable::new();
        table.load_style(comfy_table::presets::UTF8_BORDERS_ONLY);
        // Whether there are colours is decided here, not by the library's own look at the terminal.
        table.force_no_tty();
        if style.colour {
            table.enforce_styling();
        }
        if let Some(width) = style.width {
            table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width);
        }
        table.set_header(
            self.header
                .iter()
                .map(|name| TableCell::new(name).add_attribute(Attribute::Bold)),
        );
        for row in &self.rows {
            table.add_row(row.iter().map(|cell| match cell.tone {
                Tone::Plain => TableCell::new(&cell.text),
                Tone::Good => TableCell::new(&cell.text).fg(Color::Green),
                Tone::Bad => TableCell::new(&cell.text).fg(Color::Red),
                Tone::Doubtful => TableCell::new(&cell.text).fg(Color::Yellow),
            }));
        }
        for column in table.column_iter_mut() {
            column.set_padding((1, 0));
        }
        if let Some(last) = table.column_iter_mut().last() {
            last.set_padding((1, 1));
        }
        for column in table.column_iter_mut().skip(self.numbers_from) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table.trim_fmt()
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        // A bar inside a cell would end it.
        let escaped = |text: &str| text.replace('|', "\\|").replace('\n', " ");
        let mut out = line(self.header.iter().map(|name| escaped(name)).collect());
        out += &line(
            (0..self.header.len())
                .map(|i| if i < self.numbers_from { "---" } else { "---:" }.into())
                .collect(),
        );
        for row in &self.rows {
            out += &line(row.iter().map(|cell| escaped(&cell.text)).collect());
        }
        out
    }
}

/// Breaks between words; following lines begin with `indent`.
fn wrap(text: &str, width: usize, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let room = line.chars().count() + 1 + word.chars().count() + 2 <= width;
        if !line.trim().is_empty() && !room {
            lines.push(std::mem::replace(&mut line, indent.to_string()));
        } else if !line.is_empty() && line != indent {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_between_words_and_none_is_lost() {
        let text = "one two three four five six seven eight nine ten";
        let wrapped = wrap(text, 20, "  ");
        assert!(
            wrapped.lines().count() > 2 && wrapped.lines().all(|line| line.chars().count() <= 20),
            "{wrapped}"
        );
        assert_eq!(
            wrapped.split_whitespace().collect::<Vec<_>>(),
            text.split_whitespace().collect::<Vec<_>>()
        );
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("  ")));
    }

    #[test]
    fn colours_appear_only_where_they_are_wanted() {
        let mut document = Document::default();
        document.heading("title");
        let row = vec![Cell {
            text: "refuted".into(),
            tone: Tone::Bad,
        }];
        document.table(Table {
            header: names(["verdict"]),
            numbers_from: 1,
            rows: vec![row],
        });
        let with = |colour| {
            document.terminal(Style {
                colour,
                width: None,
            })
        };
        assert!(with(true).contains("\u{1b}["));
        assert!(!with(false).contains('\u{1b}'));
    }

    #[test]
    fn a_bar_in_a_cell_does_not_end_it_in_markdown() {
        let table = Table {
            header: names(["a"]),
            numbers_from: 1,
            rows: vec![vec!["x|y".into()]],
        };
        assert!(table.markdown().ends_with("| x\\|y |\n"));
    }
}
