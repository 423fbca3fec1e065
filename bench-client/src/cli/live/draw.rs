//! Draws a view: a pure function of it, so that a test can look at the picture.

use super::view::{Point, Stage, View, p99};
use crate::load::Glance;
use crate::report::histogram;
use crate::units;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Sparkline};
use std::time::Duration;

/// Colours that colour-blind readers tell apart (Okabe and Ito).
const BLUE: Color = Color::Rgb(86, 180, 233);
const ORANGE: Color = Color::Rgb(230, 159, 0);
const RED: Color = Color::Rgb(213, 94, 0);

/// Below this only the figures are shown: there is no room for pictures.
const SMALLEST: (u16, u16) = (60, 18);

/// Characters that a bar of the histogram has beside it: its latency and its share.
const BESIDE_BAR: usize = 18;

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let area = frame.area();
    let [title, progress, figures, pictures, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(5),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Line::styled(view.title.as_str(), bold), title);
    draw_progress(frame, view, progress);
    frame.render_widget(Paragraph::new(lines(view)), figures);
    if area.width >= SMALLEST.0 && area.height >= SMALLEST.1 {
        draw_pictures(frame, view, pictures);
    }
    let hint = match view.ending {
        true => "ending; what is open is awaited (q once more gives it up)",
        false => "q or Ctrl-C ends the window now and prints the summary",
    };
    let dim = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(Line::styled(hint, dim), keys);
}

fn tint(view: &View, colour: Color) -> Style {
    match view.colour {
        true => Style::new().fg(colour),
        false => Style::new(),
    }
}

fn draw_progress(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let (ratio, label) = match view.stage() {
        Stage::Starting(age) => (0.0, format!("starting and warming up, {}", seconds(age))),
        Stage::Measuring(done, Some(left)) => (done, format!("{} left", seconds(left))),
        Stage::Measuring(done, None) => (done, "measuring".to_string()),
        Stage::Draining => (
            1.0,
            "the window is over; what is open is awaited".to_string(),
        ),
    };
    let gauge = Gauge::default()
        .ratio(ratio)
        .label(label)
        .use_unicode(true)
        .gauge_style(tint(view, BLUE));
    frame.render_widget(gauge, area);
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

/// The figures in words.
fn lines(view: &View) -> Vec<Line<'static>> {
    let Some(now) = view.now() else {
        return Vec::new();
    };
    let lately = view.lately();
    let time = |ns: Option<u64>| ns.map_or("–".to_string(), |ns| units::show_ns(ns as f64));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let figure = |name: &str, value: String| {
        [
            Span::raw(format!("{name} ")),
            Span::styled(format!("{value:<10}"), bold),
        ]
    };
    let spans = [
        figure("rate", format!("{:.0}/s", view.rate())),
        figure("in flight", now.in_flight.to_string()),
        figure("p50", time(lately.quantile(0.5))),
        figure("p99", time(p99(&lately))),
    ];
    let mut first: Vec<Span<'static>> = spans.into_iter().flatten().collect();
    first.push(Span::raw("accept, of the last 2 s"));
    vec![
        Line::default(),
        Line::from(first),
        errors(view, now),
        Line::from(format!(
            "ledger so far: {} attempted, {} acknowledged, {} open; deliveries are balanced at the end",
            now.planned, now.acknowledged, now.in_flight
        )),
    ]
}

fn errors(view: &View, now: &Glance) -> Line<'static> {
    let ended = now.acknowledged + now.errors();
    let share = now.errors() as f64 * 100.0 / ended.max(1) as f64;
    let text = format!(
        "errors: {} refused, {} failed, {} timed out ({share:.2} % of what ended)",
        now.refused, now.failed, now.timed_out
    );
    match now.errors() {
        0 => Line::from(text),
        _ => Line::styled(text, tint(view, RED).add_modifier(Modifier::BOLD)),
    }
}

fn draw_pictures(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let [left, right] =
        Layout::horizontal([Constraint::Min(30), Constraint::Length(38)]).areas(area);
    let [over_time, rate] =
        Layout::vertical([Constraint::Min(6), Constraint::Length(5)]).areas(left);
    draw_latency(frame, view, over_time);
    draw_rate(frame, view, rate);
    draw_histogram(frame, view, right);
}

/// p50 and p99 over time, on a log scale: a tail of 20 ms must not press a median of 100 µs onto the floor.
fn draw_latency(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let block = Block::bordered().title(" accept p50 and p99 over time ");
    let series = |read: fn(&Point) -> Option<u64>| -> Vec<(f64, f64)> {
        view.points()
            .filter_map(|point| {
                let log = (read(point)?.max(1) as f64).log10();
                Some((point.at.as_secs_f64(), log))
            })
            .collect()
    };
    let (p50, p99) = (series(|point| point.p50), series(|point| point.p99));
    let mut times = view.points().map(|point| point.at.as_secs_f64());
    let (Some(first), last) = (times.next(), times.next_back()) else {
        frame.render_widget(block, area);
        return;
    };
    let last = last.unwrap_or(first).max(first + 1.0);
    let both = || p50.iter().chain(&p99).map(|(_, log)| *log);
    let low = both().fold(f64::INFINITY, f64::min);
    let high = both().fold(f64::NEG_INFINITY, f64::max);
    // A fifth of a decade of air on either side, and never a range of nothing.
    let [low, high] = match low.is_finite() {
        true => [low - 0.2, high + 0.2],
        false => [3.0, 9.0],
    };
    let label = |log: f64| units::show_ns(10f64.powf(log));
    let datasets = [("p50", &p50, BLUE), ("p99", &p99, ORANGE)].map(|(name, data, colour)| {
        Dataset::default()
            .name(name)
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(tint(view, colour))
            .data(data)
    });
    let chart = Chart::new(datasets.into())
        .block(block)
        .x_axis(
            Axis::default()
                .bounds([first, last])
                .labels([format!("{first:.0} s"), format!("{last:.0} s")]),
        )
        .y_axis(Axis::default().bounds([low, high]).labels([
            label(low),
            label((low + high) / 2.0),
            label(high),
        ]));
    frame.render_widget(chart, area);
}

fn draw_rate(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let columns = usize::from(area.width.saturating_sub(2));
    let skipped = view.points().len().saturating_sub(columns);
    let rates: Vec<u64> = view
        .points()
        .skip(skipped)
        .map(|point| point.rate.round() as u64)
        .collect();
    let most = rates.iter().max().copied().unwrap_or(0);
    let spark = Sparkline::default()
        .block(Block::bordered().title(format!(" acknowledged per second, at most {most} ")))
        .style(tint(view, BLUE))
        .data(rates);
    frame.render_widget(spark, area);
}

/// Accept latency of the whole window, a bar per line.
fn draw_histogram(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let block = Block::bordered().title(" accept latency, whole window ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let Some(now) = view.now() else {
        return;
    };
    let room = usize::from(inner.width).saturating_sub(BESIDE_BAR);
    let style = tint(view, BLUE);
    let lines: Vec<Line<'static>> = histogram::lines(&now.accept, usize::from(inner.height), room)
        .into_iter()
        .map(|line| {
            let beside = format!("{:>8} {:>8} ", line.from, line.share);
            Line::from(vec![Span::raw(beside), Span::styled(line.bar, style)])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::glance;
    use super::*;
    use crate::load::Stop;
    use bench_stats::{Spectrum, histogram as fine};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn picture(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        terminal.backend().to_string()
    }

    fn view() -> View {
        let stop = Stop::after(Duration::from_secs(10));
        View::new("rest carries O3 as json, 400/s".into(), stop, false)
    }

    /// Four seconds: the first half answers in about 1 ms, the second in 8, with a tail of 100 ms; some refused.
    fn measuring() -> View {
        let mut view = view();
        let mut samples = fine::new();
        for quarter in 1..=16 {
            let ns = if quarter <= 8 { 1_000_000 } else { 8_000_000 };
            for i in 0..96 {
                samples.record(ns + i * ns / 96).unwrap();
            }
            samples.record_n(100_000_000, 4).unwrap();
            view.observe(Glance {
                accept: Spectrum::of(&samples),
                refused: quarter / 4,
                ..glance(quarter, quarter * 100, 1)
            });
        }
        view
    }

    #[test]
    fn while_it_measures_figures_latency_over_time_rate_and_histogram_are_seen() {
        let shown = picture(&measuring(), 110, 30);
        let words = [
            "rest carries O3",
            "6.0 s left",
            "rate 400/s",
            "4 refused",
            "1602 attempted",
            "accept p50 and p99 over time",
            "acknowledged per second",
            "accept latency, whole window",
            "█",
        ];
        for word in words {
            assert!(shown.contains(word), "{word}: {shown}");
        }
    }

    #[test]
    fn before_the_window_it_says_that_it_warms_up() {
        let mut view = view();
        view.age = Duration::from_millis(1_300);
        let shown = picture(&view, 80, 20);
        assert!(shown.contains("warming up, 1.3 s"), "{shown}");
    }

    #[test]
    fn on_a_small_terminal_the_figures_alone_are_left() {
        let mut view = measuring();
        view.ending = true;
        let shown = picture(&view, 70, 10);
        assert!(
            shown.contains("1600 acknowledged") && shown.contains("once more"),
            "{shown}"
        );
        assert!(!shown.contains("whole window"), "{shown}");
    }

    #[test]
    fn no_size_of_a_terminal_is_too_small_to_draw_on() {
        let views = [view(), measuring()];
        for (width, height) in [(1, 1), (5, 3), (60, 18), (61, 40), (300, 18), (20, 100)] {
            for view in &views {
                let lines = picture(view, width, height).lines().count();
                assert_eq!(lines, usize::from(height));
            }
        }
    }

    #[test]
    fn colours_appear_only_where_they_are_wanted() {
        let is_coloured = |colour| {
            let mut view = measuring();
            view.colour = colour;
            let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
            terminal.draw(|frame| draw(frame, &view)).unwrap();
            let cells = &terminal.backend().buffer().content;
            cells.iter().any(|cell| cell.fg != Color::Reset)
        };
        assert!(is_coloured(true) && !is_coloured(false));
    }
}
