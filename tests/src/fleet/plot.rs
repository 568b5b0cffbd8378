//! Curves that count up over time, as an SVG of their own.

use std::fmt::Write as _;

use super::report::ratio;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 48.0;
const TOP: f64 = 64.0;
/// Points of one curve: more are not seen.
const POINTS: usize = 200;

/// When each of so many was there, in seconds.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    pub(super) colour: &'a str,
    pub(super) at: &'a [f64],
    pub(super) all: usize,
}

/// The picture: shares of all over seconds.
pub(super) fn svg(title: &str, curves: &[Curve<'_>]) -> String {
    let longest =
        curves.iter().filter_map(|curve| curve.at.last()).fold(1.0_f64, |one, other| one.max(*other));
    let (width, height) = (LEFT + WIDTH + 24.0, TOP + HEIGHT + 40.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{title}</text>\n"
    );
    for part in 0..=4 {
        let share = ratio(part, 4);
        let (x, y) = (LEFT + WIDTH * share, TOP + HEIGHT * (1.0 - share));
        let (percent, seconds, below) = (share * 100.0, longest * share, TOP + HEIGHT + 18.0);
        let (right, label_y) = (LEFT + WIDTH, y + 4.0);
        // Writing into a String does not fail.
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y:.1}H{right}\" stroke=\"#dddddd\"/>\
             <text x=\"{:.1}\" y=\"{label_y:.1}\" text-anchor=\"end\">{percent:.0} %</text>\
             <text x=\"{x:.1}\" y=\"{below}\" text-anchor=\"middle\">{seconds:.0} s</text>",
            LEFT - 6.0
        );
    }
    let mut x = LEFT;
    for curve in curves {
        let _ = writeln!(
            text,
            "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <path d=\"M{x} 40h16\" stroke=\"{colour}\" stroke-width=\"3\"/><text x=\"{}\" y=\"44\">{}</text>",
            path(curve, longest),
            x + 22.0,
            curve.name,
            colour = curve.colour
        );
        x += 220.0;
    }
    text + "</svg>\n"
}

fn path(curve: &Curve<'_>, longest: f64) -> String {
    let mut path = format!("M{LEFT} {}", TOP + HEIGHT);
    let step = (curve.at.len() / POINTS).max(1);
    let last = curve.at.len().saturating_sub(1);
    for (index, seconds) in curve.at.iter().enumerate() {
        if index % step == 0 || index == last {
            let (x, y) =
                (LEFT + WIDTH * seconds / longest, TOP + HEIGHT * (1.0 - ratio(index + 1, curve.all)));
            let _ = write!(path, "L{x:.1} {y:.1}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_ends_where_all_are_there() {
        let at = [1.0, 2.0, 4.0, 8.0];
        let text = svg("four", &[Curve { name: "all", colour: "red", at: &at, all: 4 }]);
        assert!(text.contains(&format!("L{:.1} {:.1}\"", LEFT + WIDTH, TOP)), "{text}");
        assert!(text.contains("8 s</text>"), "{text}");
    }
}
