//! `bench growth`: how cost grows with objects, tags, purge records, routes, workers and nodes, as curves in docs/growth.
//!
//! The core's part is measured by its example `growth`, without an Envoy: nanoseconds of a decision. `envoys` measures what takes a real one.

mod envoys;
mod plot;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::frame::Effort;
use crate::{Verdict, cargo, paths, process};
use plot::{Plot, Series};

/// One point of a curve.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Point {
    /// What grows.
    axis: String,
    /// What is measured.
    figure: String,
    /// How much there is of what grows.
    x: u64,
    /// The median.
    value: f64,
}

/// A curve's drawing: file, title, axis and figures, labels.
struct Drawing {
    file: &'static str,
    title: &'static str,
    axis: &'static str,
    /// Figure and its name in the drawing.
    figures: &'static [(&'static str, &'static str)],
    x: &'static str,
    y: &'static str,
}

const DRAWINGS: &[Drawing] = &[
    Drawing {
        file: "objects-hit.svg",
        title: "A hit in the core, by objects in memory",
        axis: "objects",
        figures: &[("hit", "hit")],
        x: "objects of 1 KB",
        y: "ns",
    },
    Drawing {
        file: "objects-memory.svg",
        title: "Memory of an object of 1 KB, in the core",
        axis: "objects",
        figures: &[("resident", "resident"), ("counted", "counted")],
        x: "objects",
        y: "bytes",
    },
    Drawing {
        file: "tags-object.svg",
        title: "A hit in the core, by the object's tags",
        axis: "tags of an object",
        figures: &[("hit", "hit")],
        x: "tags",
        y: "ns",
    },
    Drawing {
        file: "tags-all.svg",
        title: "A hit and a purge in the core, by tags in use",
        axis: "tags in all",
        figures: &[("hit", "hit"), ("purge", "purge")],
        x: "different tags of 10,000 objects",
        y: "ns",
    },
    Drawing {
        file: "purges.svg",
        title: "A hit in the core, by records in the purge log",
        axis: "purge records",
        figures: &[("hit", "hit")],
        x: "records",
        y: "ns",
    },
    Drawing {
        file: "routes.svg",
        title: "A hit in the core, by routes of the policy",
        axis: "routes",
        figures: &[("hit", "hit")],
        x: "routes",
        y: "ns",
    },
    Drawing {
        file: "routes-read.svg",
        title: "Reading a policy, by its routes",
        axis: "routes",
        figures: &[("read", "read")],
        x: "routes",
        y: "ms",
    },
    Drawing {
        file: "envoy-objects.svg",
        title: "A hit in Envoy, by objects in the worker's memory",
        axis: "envoy objects",
        figures: &[("hit", "CPU")],
        x: "objects of 1 KB",
        y: "us of Envoy's CPU",
    },
    Drawing {
        file: "envoy-memory.svg",
        title: "Memory of an object of 1 KB, in Envoy",
        axis: "envoy objects",
        figures: &[("resident", "resident")],
        x: "objects",
        y: "bytes",
    },
    Drawing {
        file: "workers.svg",
        title: "A hit in Envoy, by workers on one core",
        axis: "workers",
        figures: &[("hit", "CPU")],
        x: "workers",
        y: "us of Envoy's CPU",
    },
    Drawing {
        file: "workers-memory.svg",
        title: "Envoy's memory with Larder, by workers",
        axis: "workers",
        figures: &[("resident", "resident")],
        x: "workers",
        y: "MB",
    },
    Drawing {
        file: "nodes.svg",
        title: "A hit in the cluster, by nodes",
        axis: "nodes",
        figures: &[("hit", "CPU")],
        x: "nodes",
        y: "us of Envoy's CPU",
    },
];

/// Measures, prints a line a point, draws into docs/growth (a quick run: into the target folder), and writes JSON where it is wanted.
pub fn run(effort: Effort, json: Option<&Path>) -> Result<Verdict> {
    let quick = effort.seconds * effort.rounds < 6;
    let mut points = of_core(if quick { 10_000 } else { 1_000_000 })?;
    points.extend(envoys::measure(effort, if quick { 1000 } else { 100_000 })?);
    for Point { axis, figure, x, value } in &points {
        println!("{axis:<20}{figure:<10}{x:>9}{value:>14.1}");
    }
    let folder = if quick { paths::scratch("bench-growth").join("curves") } else { paths::root().join("docs/growth") };
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    draw(&points, &folder)?;
    if let Some(path) = json {
        let lines: Vec<String> = points.iter().map(serde_json::to_string).collect::<serde_json::Result<_>>()?;
        let text = format!("[\n{}\n]\n", lines.join(",\n"));
        if path == Path::new("-") {
            print!("{text}");
        } else {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(Verdict::Good)
}

fn of_core(objects: u64) -> Result<Vec<Point>> {
    let log = paths::scratch("growth-core.log");
    let mut command = cargo::cargo();
    command.args(["run", "--quiet", "--locked", "--release", "--package", "larder-core", "--example", "growth", "--"]);
    eprintln!("... the core, up to {objects} objects");
    let (status, text) = process::capture(command.arg(objects.to_string()), &log)?;
    ensure!(status.success(), "the example growth failed ({status}). {}", process::tail(&log));
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("no point: {line}"))).collect()
}

fn draw(points: &[Point], folder: &Path) -> Result<()> {
    for drawing in DRAWINGS {
        let series = drawing.figures.iter().map(|(figure, name)| {
            let those = points.iter().filter(|point| point.axis == drawing.axis && point.figure == *figure);
            Series { name, points: those.map(|point| (point.x as f64, point.value)).collect() }
        });
        let series = series.filter(|series| !series.points.is_empty()).collect();
        let plot = Plot { title: drawing.title, x: drawing.x, y: drawing.y, series };
        let Some(text) = plot::svg(&plot) else { continue };
        let path = folder.join(drawing.file);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    eprintln!("curves are in {}", folder.display());
    Ok(())
}
