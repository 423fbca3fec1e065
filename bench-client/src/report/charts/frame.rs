//! What the chart library leaves out of an SVG: a `viewBox`, so that it scales; `title` and `desc`, so that it can be
//! read aloud; and, for a file of its own, the colours of light and dark.

use super::Chart;
use super::style;

/// Room at the right, pixels.
const EDGE: f64 = 16.0;

/// Inside a page: as wide as its frame, in the page's colours.
pub(super) fn inline(svg: &str, chart: &Chart) -> String {
    framed(svg, chart, "", false)
}

/// A file of its own.
pub(super) fn standalone(svg: &str, chart: &Chart) -> String {
    let style = format!("<style>{}</style>", style::css(":root"));
    framed(svg, chart, &style, true)
}

fn framed(svg: &str, chart: &Chart, style: &str, sized: bool) -> String {
    let (head, body) = svg.split_once('>').unwrap_or((svg, ""));
    let (width, height) = (attribute(head, "width"), attribute(head, "height"));
    let name = chart.name;
    // The last label of a log axis reaches beyond the library's own edge.
    let wide = width.parse::<f64>().unwrap_or_default() + EDGE;
    let size = if sized {
        format!(" width=\"{wide}\" height=\"{height}\"")
    } else {
        String::new()
    };
    let rest: String = head
        .strip_prefix("<svg xmlns=\"http://www.w3.org/2000/svg\"")
        .unwrap_or_default()
        .replacen(&format!(" width=\"{width}\""), "", 1)
        .replacen(&format!(" height=\"{height}\""), "", 1);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide} {height}\"{size} role=\"img\" \
         aria-labelledby=\"{name}-title {name}-desc\"{rest}><title id=\"{name}-title\">{}</title>\
         <desc id=\"{name}-desc\">{}</desc>{style}{body}",
        escape(&chart.title),
        escape(&chart.text),
        // On one page with other charts, a clip must not be another's.
        body = body.replace("kuva-clip-", &format!("{name}-clip-")),
    )
}

fn attribute<'a>(head: &'a str, name: &str) -> &'a str {
    head.split_once(&format!(" {name}=\""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(value, _)| value)
}

fn escape(text: &str) -> String {
    askama::filters::escape(text, askama::filters::Html)
        .map_or_else(|_| String::new(), |escaped| escaped.to_string())
}
