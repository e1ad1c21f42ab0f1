//! Curves as SVG: both axes logarithmic, a line a series, readable on light and dark pages. Draws; knows nothing of what it draws.

use std::fmt::Write as _;

/// A drawing.
#[derive(Debug)]
pub struct Plot<'a> {
    /// Above it.
    pub title: &'a str,
    /// Below the horizontal axis.
    pub x: &'a str,
    /// Beside the vertical axis, with the unit.
    pub y: &'a str,
    /// The lines.
    pub series: Vec<Series<'a>>,
}

/// A line through points, which are positive.
#[derive(Debug)]
pub struct Series<'a> {
    /// Beside its last point.
    pub name: &'a str,
    /// In order of x.
    pub points: Vec<(f64, f64)>,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 96.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 46.0;
/// Both themes have enough contrast with these.
const COLOURS: [&str; 4] = ["#2f7ed8", "#d9822b", "#2e9e6b", "#a45fc4"];

/// Text and lines follow the reader's theme, also where the file is shown as a picture.
const STYLE: &str = "svg { color: #24292f; font: 12px system-ui, sans-serif; } text { fill: currentColor; } \
    .grid { stroke: currentColor; stroke-opacity: 0.18; } .line { fill: none; stroke-width: 2; } .title { font-weight: 600; font-size: 13px; } \
    @media (prefers-color-scheme: dark) { svg { color: #e6edf3; } }";

/// Draws. `None` where there are no points to draw.
pub fn svg(plot: &Plot<'_>) -> Option<String> {
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let (x, y) = (Axis::of(points().map(|point| point.0))?, Axis::of(points().map(|point| point.1))?);
    let across = |value: f64| LEFT + x.place(value) * (WIDTH - LEFT - RIGHT);
    let down = |value: f64| HEIGHT - BOTTOM - y.place(value) * (HEIGHT - TOP - BOTTOM);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n\
         <title>{title}</title>\n<style>{STYLE}</style>\n<text class=\"title\" x=\"{LEFT}\" y=\"18\">{title}</text>\n",
        title = escaped(plot.title),
    );
    let (left, right, top, bottom) = (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM);
    // Writing to a String cannot fail.
    for tick in x.ticks() {
        let at = across(tick);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{at:.1} {top}V{bottom}\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            short(tick)
        );
    }
    for tick in y.ticks() {
        let at = down(tick);
        let _ = writeln!(out, "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>");
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 6.0,
            at + 4.0,
            short(tick)
        );
    }
    let middle = (left + right) / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"{middle}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        HEIGHT - 10.0,
        escaped(plot.x)
    );
    let beside = (top + bottom) / 2.0;
    let _ = writeln!(
        out,
        "<text x=\"14\" y=\"{beside}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {beside})\">{}</text>",
        escaped(plot.y)
    );
    for (series, colour) in plot.series.iter().zip(COLOURS.iter().cycle()) {
        let path: Vec<String> =
            series.points.iter().map(|&(a, b)| format!("{:.1} {:.1}", across(a), down(b))).collect();
        let _ = writeln!(out, "<path class=\"line\" stroke=\"{colour}\" d=\"M{}\"/>", path.join("L"));
        for &(a, b) in &series.points {
            let _ = writeln!(out, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\" fill=\"{colour}\"/>", across(a), down(b));
        }
        if let Some(&(a, b)) = series.points.last() {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" style=\"fill:{colour}\">{}</text>",
                across(a) + 8.0,
                down(b) + 4.0,
                escaped(series.name)
            );
        }
    }
    out.push_str("</svg>\n");
    Some(out)
}

/// A logarithmic axis between powers of ten, or, for figures within one power, between 1, 2 and 5 of them.
#[derive(Debug)]
struct Axis {
    least: f64,
    most: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, 0.0f64);
        for value in values.filter(|value| *value > 0.0 && value.is_finite()) {
            (least, most) = (least.min(value), most.max(value));
        }
        if most == 0.0 {
            return None;
        }
        let steps = || (-30..=30).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)));
        let least = steps().rfind(|step| *step <= least * 1.000_001)?;
        let most = steps().find(|step| *step >= most * 0.999_999 && *step > least)?;
        Some(Self { least, most })
    }

    /// Between 0 and 1.
    fn place(&self, value: f64) -> f64 {
        (value.max(self.least) / self.least).ln() / (self.most / self.least).ln()
    }

    fn ticks(&self) -> Vec<f64> {
        let decades = (self.most / self.least).log10();
        let steps: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (-30..=30).flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|tick| *tick >= self.least * 0.999_999 && *tick <= self.most * 1.000_001).collect()
    }
}

/// `20k`, `1M`, `0.5`.
fn short(value: f64) -> String {
    let (scaled, unit) = match value {
        value if value >= 1e6 => (value / 1e6, "M"),
        value if value >= 1e4 => (value / 1e3, "k"),
        value => (value, ""),
    };
    let digits = if scaled >= 1.0 { 0 } else { 2 };
    format!("{scaled:.digits$}{unit}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[f64]) -> (f64, f64) {
        let axis = Axis::of(values.iter().copied()).unwrap();
        (axis.least, axis.most)
    }

    #[test]
    fn axes_end_at_round_numbers_around_the_figures() {
        assert_eq!(axis(&[130.0, 900_000.0]), (100.0, 1e6));
        assert_eq!(axis(&[480.0, 520.0]), (200.0, 1000.0));
        assert_eq!(axis(&[7.0]), (5.0, 10.0));
        assert_eq!(axis(&[10.0]), (10.0, 20.0));
        assert!(Axis::of([0.0, f64::NAN].into_iter()).is_none());
    }

    #[test]
    fn a_place_is_between_the_ends() {
        let axis = Axis { least: 10.0, most: 1000.0 };
        assert_eq!((axis.place(10.0), axis.place(1000.0)), (0.0, 1.0));
        assert!((axis.place(100.0) - 0.5).abs() < 1e-9);
        assert_eq!(axis.place(0.0), 0.0, "what is not positive is at the end");
    }

    #[test]
    fn a_drawing_has_its_lines_and_says_whose_they_are() {
        let series = Series { name: "a < b", points: vec![(10.0, 500.0), (100.0, 600.0)] };
        let plot = Plot { title: "T", x: "objects", y: "ns", series: vec![series] };
        let text = svg(&plot).unwrap();
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert!(text.contains("a &lt; b") && text.matches("<circle").count() == 2, "{text}");
        assert_eq!(svg(&Plot { series: vec![], ..plot }), None);
    }

    #[test]
    fn numbers_on_axes_are_short() {
        assert_eq!([0.5, 2.0, 5000.0, 20_000.0, 1e6].map(short), ["0.50", "2", "5000", "20k", "1M"]);
    }
}
