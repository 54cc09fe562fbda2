//! Waiting against load, as a picture: the policy, round robin with a tick, and the bound.

use std::fmt::Write as _;

use clap::ValueEnum;

use super::policy::Policy;
use super::scenario;
use super::stats::summarise;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 60.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// Loads, as multiples of the scenario's own.
const LOADS: [f64; 9] = [0.70, 0.76, 0.82, 0.88, 0.94, 1.00, 1.06, 1.12, 1.18];

struct Line {
    name: String,
    colour: &'static str,
    dashed: bool,
    points: Vec<(f64, f64)>,
}

/// Simulates the scenario over a range of loads, one seed each, and draws the mean wait of all who
/// arrive.
pub(super) fn plot(name: scenario::Name, policy: Policy, seed: u64, arrivals: u64) -> String {
    let loads: Vec<f64> = LOADS.iter().map(|share| share * name.load()).collect();
    let measured = |policy: Policy, colour: &'static str| Line {
        name: policy
            .to_possible_value()
            .map_or_else(String::new, |v| v.get_name().to_owned()),
        colour,
        dashed: false,
        points: loads
            .iter()
            .map(|load| {
                let runs = super::simulate(&name.at(*load), policy, seed..seed + 1, arrivals);
                (*load, summarise(&runs, |_| true).wait_all_s)
            })
            .collect(),
    };
    let bound = Line {
        name: "bound".to_owned(),
        colour: "#555555",
        dashed: true,
        points: loads
            .iter()
            .map(|load| {
                let scenario = name.at(*load);
                (*load, scenario.bound(None).queue / scenario.mean_per_s())
            })
            .collect(),
    };
    let title = name
        .to_possible_value()
        .map_or_else(String::new, |v| v.get_name().to_owned());
    let other = if policy == Policy::Tick5One {
        Policy::Push
    } else {
        Policy::Tick5One
    };
    draw(
        &title,
        &[
            measured(policy, "#0b6e4f"),
            measured(other, "#b3261e"),
            bound,
        ],
    )
}

fn draw(title: &str, lines: &[Line]) -> String {
    let points = || lines.iter().flat_map(|line| &line.points);
    let low = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
    let high = points().map(|point| point.0).fold(0.0, f64::max);
    let longest_s = points().map(|point| point.1).fold(0.1, f64::max) * 1.05;
    let x = |load: f64| LEFT + (load - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let y = |wait_s: f64| HEIGHT - BOTTOM - wait_s / longest_s * (HEIGHT - TOP - BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>{title}: mean wait against load</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}: mean wait of all who arrive (s) against load</text>\n"
    );
    // Writing to a string does not fail.
    let mut add = |element: String| {
        let _ = writeln!(svg, "{element}");
    };
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let (load, wait_s) = (low + share * (high - low), share * longest_s);
        let (at_x, at_y) = (x(load), y(wait_s));
        add(format!(
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at_y:.1}\" y2=\"{at_y:.1}\" stroke=\"#dddddd\"/>",
            WIDTH - RIGHT
        ));
        add(format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{wait_s:.1}</text>",
            LEFT - 6.0,
            at_y + 4.0
        ));
        add(format!(
            "<text x=\"{at_x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{load:.2}</text>",
            HEIGHT - BOTTOM + 18.0
        ));
    }
    for (row, line) in lines.iter().enumerate() {
        let path: Vec<String> = line
            .points
            .iter()
            .map(|(load, wait_s)| format!("{:.1},{:.1}", x(*load), y(*wait_s)))
            .collect();
        let dash = if line.dashed {
            " stroke-dasharray=\"5 4\""
        } else {
            ""
        };
        let colour = line.colour;
        add(format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            path.join(" ")
        ));
        let at_y = TOP + 14.0 + 18.0 * row as f64;
        add(format!(
            "<line x1=\"{0}\" x2=\"{1}\" y1=\"{at_y}\" y2=\"{at_y}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>",
            LEFT + 12.0,
            LEFT + 40.0
        ));
        add(format!(
            "<text x=\"{}\" y=\"{}\">{}</text>",
            LEFT + 46.0,
            at_y + 4.0,
            line.name
        ));
    }
    svg.push_str("</svg>\n");
    svg
}
