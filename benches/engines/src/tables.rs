//! Results for people and as JSON.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::figures::Figure;
use crate::sizes::{Results, Row};

const BEGIN: &str = "<!-- decisions at scale: begin; written by benches/engines -->";
const END: &str = "<!-- decisions at scale: end -->";

pub fn write(results: &Results, docs: &Path) {
    let text = serde_json::to_string_pretty(&document(results)).unwrap() + "\n";
    fs::write(docs.join("performance/engines.json"), text).unwrap();
    let page_path = docs.join("performance.md");
    let text = fs::read_to_string(&page_path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("docs/performance.md has a mark where the figures begin");
    let (_old, after) = rest.split_once(END).expect("docs/performance.md has a mark where the figures end");
    fs::write(page_path, format!("{before}{BEGIN}\n\n{}\n{END}{after}", page(results))).unwrap();
}

fn document(results: &Results) -> serde_json::Value {
    let row = |row: &Row| {
        json!({
            "engine": row.engine, "grants": row.grants, "decision_ns": row.all.median().json(), "decision_p99_ns": row.all.p99().json(),
            "bytes_per_grant": row.memory,
        })
    };
    let loads = results.loads.iter().map(|load| {
        json!({
            "grants": load.grants, "files": load.files, "bytes": load.bytes, "parse_s": load.parse.json(), "load_s": load.load.json(),
            "reload_s": load.reload.json(), "change_s": load.change.json(), "change_p99_s": load.change_p99,
        })
    });
    json!({
        "measured": measured(results), "decisions": results.rows.iter().map(row).collect::<Vec<_>>(), "loads": loads.collect::<Vec<_>>(),
        "judged": judged(results).into_iter().map(|(what, figure, wanted)| json!({ "what": what, "is": figure, "wanted": wanted })).collect::<Vec<_>>(),
    })
}

fn measured(results: &Results) -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
    };
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor =
        processor.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown").trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let lock = include_str!("../Cargo.lock");
    let locked = |package: &str| {
        let version = lock.split_once(&format!("name = \"{package}\"\nversion = \"")).and_then(|(_, rest)| rest.split('"').next());
        format!("{package} {}", version.unwrap_or_default())
    };
    format!(
        "Measured {} on {cores} cores of {processor}, Linux {}; {} rounds. steward {}; {}; {}.",
        said("date", &["-u", "+%F"]),
        said("uname", &["-r"]),
        results.rounds,
        said("git", &["describe", "--always", "--dirty", "--abbrev=10"]),
        said("rustc", &["--version"]),
        ["cedar-policy", "casbin", "regorus", "toml"].map(locked).join("; "),
    )
}

/// What is wanted: the words, the figure, and the most it may be.
fn judged(results: &Results) -> Vec<(String, f64, f64)> {
    let (ours, peers): (Vec<_>, Vec<_>) = results.rows.iter().partition(|row| row.engine == "steward");
    let [few, .., many] = ours.as_slice() else { return Vec::new() };
    let size = peers.iter().map(|row| row.grants).max().unwrap_or_default();
    let fastest = peers.iter().filter(|row| row.grants == size).min_by(|a, b| a.all.median().median.total_cmp(&b.all.median().median));
    let (short, long) = (few.all.median().median, many.all.p99().median);
    let words = |few_is: &str| format!("p99 of a decision among {} grants, to the {few_is} among {}", many.grants, few.grants);
    let mut list = vec![(words("median"), long / short, 5.0), (words("p99"), long / few.all.p99().median, 5.0)];
    if let Some(fastest) = fastest {
        let (median, p99) = (fastest.all.median().median, fastest.all.p99().median);
        let words = |what: &str| format!("{what} among {} grants, to that of {} among {}", many.grants, fastest.engine, fastest.grants);
        list.push((words("median of a decision"), many.all.median().median / median, 0.05));
        list.push((words("p99 of a decision"), long / p99, 0.05));
    }
    if let Some(load) = results.loads.last() {
        list.push((format!("bytes for each of {} grants", load.grants), many.memory, 200.0));
        list.push((format!("load of {} grants, to parsing their files", load.grants), load.load.median / load.parse.median, 2.0));
        list.push(("one grant changed at run time, to the load".to_owned(), load.change.median / load.load.median, 0.01));
        list.push(("one file changed and all loaded again, to the load".to_owned(), load.reload.median / load.load.median, 0.01));
    }
    list
}

fn ns(figure: Figure) -> String {
    format!("{} ({} – {})", time(figure.median), time(figure.lowest), time(figure.highest))
}

fn time(ns: f64) -> String {
    match ns {
        ns if ns < 10_000.0 => format!("{ns:.0} ns"),
        ns if ns < 10_000_000.0 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

pub fn page(results: &Results) -> String {
    let mut text = format!(
        "{}\n\n| engine | grants | decision, median | 99th percentile | bytes per grant |\n|---|---|---|---|---|\n",
        measured(results)
    );
    for row in &results.rows {
        let Row { engine, grants, all, memory, .. } = row;
        text += &format!("| {engine} | {grants} | {} | {} | {memory:.0} |\n", ns(all.median()), ns(all.p99()));
    }
    text += "\n| steward, by answer | grants | decision, median | 99th percentile |\n|---|---|---|---|\n";
    for row in results.rows.iter().filter(|row| row.engine == "steward") {
        for (answer, turns) in [("allowed", &row.allowed), ("denied, with the reason", &row.denied)] {
            text += &format!("| {answer} | {} | {} | {} |\n", row.grants, ns(turns.median()), ns(turns.p99()));
        }
    }
    text += "\n| grants | files | MiB | parsing | load | load after a change of one file | one grant changed at run time |\n|---|---|---|---|---|---|---|\n";
    for load in &results.loads {
        let s = |figure: Figure| {
            let [median, lowest, highest] = [figure.median, figure.lowest, figure.highest].map(|s| time(s * 1e9));
            format!("{median} ({lowest} – {highest})")
        };
        let mib = load.bytes as f64 / 1_048_576.0;
        text += &format!("| {} | {} | {mib:.1} | {} | {} | {} |", load.grants, load.files, s(load.parse), s(load.load), s(load.reload));
        text += &format!(" {}, p99 {} |\n", time(load.change.median * 1e9), time(load.change_p99 * 1e9));
    }
    text += "\n| what | is | wanted at most |\n|---|---|---|\n";
    for (what, figure, wanted) in judged(results) {
        text += &format!("| {what} | {} | {wanted} |\n", short(figure));
    }
    text
}

fn short(figure: f64) -> String {
    match figure {
        figure if figure >= 100.0 => format!("{figure:.0}"),
        figure if figure >= 0.1 => format!("{figure:.2}"),
        figure if figure >= 0.001 => format!("{figure:.4}"),
        figure => format!("{figure:.1e}"),
    }
}
