//! The pictures of a run, drawn from results alone: each states its finding as a title, with units and intervals, and
//! is left out with a sentence where the run does not hold what it shows.

mod ablation;
mod bytes;
mod cpu;
mod crossover;
mod forest;
mod frame;
mod ladder;
mod percentiles;
mod pick;
pub(super) mod projection;
mod style;
#[cfg(test)]
mod tests;
mod theory;
mod timeline;

pub(super) use style::css;

use crate::results::Run;
use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;

/// Draws a picture, under a title if one is given.
type Draw = Box<dyn Fn(Option<&str>) -> Scene>;

/// One picture.
pub(super) struct Chart {
    /// Its file under `charts/`, without the ending.
    pub(super) name: &'static str,
    /// The finding, as a sentence.
    pub(super) title: String,
    /// What is drawn, in which units, with which intervals, of which cells.
    pub(super) text: String,
    draw: Draw,
}

/// A picture, or why there is none.
pub(super) enum Picture {
    Drawn(Chart),
    LeftOut { name: &'static str, why: String },
}

impl Picture {
    fn drawn(
        name: &'static str,
        title: impl Into<String>,
        text: impl Into<String>,
        draw: impl Fn(Option<&str>) -> Scene + 'static,
    ) -> Self {
        Self::Drawn(Chart {
            name,
            title: title.into(),
            text: text.into(),
            draw: Box::new(draw),
        })
    }

    fn left_out(name: &'static str, why: impl Into<String>) -> Self {
        Self::LeftOut {
            name,
            why: why.into(),
        }
    }
}

/// All of them, in the order in which a reader needs them.
pub(super) fn all(run: &Run) -> Vec<Picture> {
    let mut pictures = forest::pictures(run);
    pictures.extend([
        percentiles::picture(run),
        ladder::picture(run),
        bytes::picture(run),
        cpu::picture(run),
        timeline::picture(run),
        crossover::picture(run),
        ablation::picture(run),
    ]);
    pictures
}

impl Chart {
    /// Its file, below the run's folder.
    pub(super) fn path(&self) -> String {
        format!("charts/{}.svg", self.name)
    }

    /// For a page that has the title and the colours: it grows with its frame.
    pub(super) fn inline(&self) -> String {
        frame::inline(&self.svg(None), self)
    }

    /// As a file of its own, with title and colours.
    pub(super) fn file(&self) -> String {
        frame::standalone(&self.svg(Some(&self.title)), self)
    }

    fn svg(&self, title: Option<&str>) -> String {
        SvgBackend::new().render_scene(&(self.draw)(title))
    }
}
