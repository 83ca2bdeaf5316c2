//! What all benches share: cases that are run in turns, and one table of what they took.
//!
//! An absolute time says more about the machine and its neighbours than about the code. So every case that is compared
//! runs in the same process, in turns (A B C, B C A, …), and each round gives one ratio; a figure is the median of
//! these, with the smallest and the largest beside it.
#![allow(dead_code, reason = "each bench uses its part of it")]

pub(crate) mod engine;
pub(crate) mod repo;
pub(crate) mod swarm;

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

/// One thing that is measured.
pub(crate) struct Case<'a> {
    name: &'static str,
    baseline: &'static [&'static str],
    run: Box<dyn FnMut() -> Vec<f64> + 'a>,
    rounds: Vec<f64>,
    all: Vec<f64>,
}

impl<'a> Case<'a> {
    /// `run` does one round and gives the seconds that each unit took (one value or many). The case is compared with
    /// the cases named in `baseline`.
    pub(crate) fn new(
        name: &'static str,
        baseline: &'static [&'static str],
        run: impl FnMut() -> Vec<f64> + 'a,
    ) -> Case<'a> {
        Case { name, baseline, run: Box::new(run), rounds: Vec::new(), all: Vec::new() }
    }
}

/// A group of cases that are measured in turns; `unit` is what one value is about.
pub(crate) struct Group<'a> {
    /// Its heading.
    pub(crate) title: &'static str,
    /// What one value is about: `event`, `ticket`.
    pub(crate) unit: &'static str,
    /// Rounds that count; one more is done before them and thrown away.
    pub(crate) rounds: usize,
    /// What is compared.
    pub(crate) cases: Vec<Case<'a>>,
}

impl Group<'_> {
    /// Runs all cases in turns and prints the table. The answer is the median of each.
    pub(crate) fn measure(mut self) -> BTreeMap<&'static str, f64> {
        let count = self.cases.len();
        for round in 0..=self.rounds {
            for turn in 0..count {
                let case = &mut self.cases[(round + turn) % count];
                let values = (case.run)();
                if round > 0 {
                    case.rounds.push(values.iter().sum::<f64>() / values.len() as f64);
                    case.all.extend(values);
                }
            }
        }
        self.print();
        self.cases.iter().map(|case| (case.name, quantile(&sorted(&case.all), 0.5))).collect()
    }

    fn print(&self) {
        let per = format!("per {}", self.unit);
        let rate = format!("{}/s", self.unit);
        let heads = ["case", &per, "p99", "min", "max", &rate, "against", "speed", "min", "max"];
        let mut rows: Vec<Vec<String>> = vec![heads.iter().map(|h| (*h).to_owned()).collect()];
        for case in &self.cases {
            let all = sorted(&case.all);
            let middle = quantile(&all, 0.5);
            let times = [middle, quantile(&all, 0.99), quantile(&all, 0.0), quantile(&all, 1.0)].map(time);
            let mut row = vec![case.name.to_owned()];
            row.extend(times);
            row.push(thousands(1.0 / middle));
            let ratios: Vec<_> = case.baseline.iter().map(|name| (*name, self.ratios(case, name))).collect();
            if ratios.is_empty() {
                row.extend(["–", "", "", ""].map(str::to_owned));
                rows.push(row);
                continue;
            }
            for (i, (name, ratios)) in ratios.iter().enumerate() {
                let mut line = if i == 0 { row.clone() } else { vec![String::new(); row.len()] };
                line.push((*name).to_owned());
                line.push(format!("**{:.2}**", quantile(ratios, 0.5)));
                line.push(format!("{:.2}", quantile(ratios, 0.0)));
                line.push(format!("{:.2}", quantile(ratios, 1.0)));
                rows.push(line);
            }
        }
        println!("\n### {} ({} rounds in turns)\n", self.title, self.rounds);
        table(&rows);
    }

    /// How fast a case is against another, round by round: 2 = twice as fast, 0.5 = half as fast.
    fn ratios(&self, case: &Case<'_>, name: &str) -> Vec<f64> {
        let other = self.cases.iter().find(|c| c.name == name).unwrap();
        sorted(&other.rounds.iter().zip(&case.rounds).map(|(base, own)| base / own).collect::<Vec<_>>())
    }
}

/// Whether this process was started by `cargo bench`. Under `cargo test --benches` there is nothing to do.
pub(crate) fn is_bench() -> bool {
    std::env::args().any(|a| a == "--bench")
}

/// Whether a part of a bench is to be measured: all are, unless some are named (`cargo bench --bench X -- PART`).
pub(crate) fn is_wanted(part: &str) -> bool {
    let named: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    named.is_empty() || named.iter().any(|name| name == part)
}

/// A temporary folder on the disk of the build, not in a memory file system, where syncing costs nothing.
pub(crate) fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

/// Seconds that something took.
pub(crate) fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Does something `count` times and gives the seconds of each.
pub(crate) fn each(count: usize, mut work: impl FnMut()) -> Vec<f64> {
    (0..count).map(|_| seconds(&mut work)).collect()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

/// The value below which a share of the sorted values lies; the middle of the two nearest for the median.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    let at = share * last as f64;
    if share == 0.5 {
        return f64::midpoint(sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    }
    sorted[(at.ceil() as usize).min(last)]
}

fn time(seconds: f64) -> String {
    let time = Duration::from_secs_f64(seconds);
    match time.as_nanos() {
        0..10_000 => format!("{} ns", time.as_nanos()),
        10_000..10_000_000 => format!("{:.0} µs", seconds * 1e6),
        10_000_000..10_000_000_000 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

fn thousands(value: f64) -> String {
    let digits = if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut text = String::new();
    for (i, c) in digits.char_indices() {
        if i > 0 && i < whole && (whole - i).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(c);
    }
    text
}

/// Prints rows as a Markdown table whose columns line up; the first row is the head.
fn table(rows: &[Vec<String>]) {
    let columns = rows[0].len();
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let is_text = |c: usize| c == 0 || rows[0][c] == "against";
    for (i, row) in rows.iter().enumerate() {
        let cells = row.iter().enumerate().map(|(c, cell)| {
            let room = widths[c] - cell.chars().count();
            let space = " ".repeat(room);
            if is_text(c) { format!(" {cell}{space} ") } else { format!(" {space}{cell} ") }
        });
        println!("|{}|", cells.collect::<Vec<_>>().join("|"));
        if i == 0 {
            let rule = |c: usize| {
                let line = "-".repeat(widths[c]);
                if is_text(c) { format!(" {line} ") } else { format!(" {line}:") }
            };
            println!("|{}|", (0..columns).map(rule).collect::<Vec<_>>().join("|"));
        }
    }
}
