//! `docs/faults.md`: what is done to a gateway, and what the run saw that was last put there.

use std::fmt::Write as _;

use steward::clock::Clock;

use crate::run::Row;

const PAGE: &str = "docs/faults.md";
const BEGIN: &str = "<!-- faults: begin; written by STEWARD_BLESS=1 cargo test --test faults -->";
const END: &str = "<!-- faults: end -->";
/// Columns that do not differ from run to run.
const STABLE: usize = 2;

/// A row of the table.
pub fn line(row: &Row) -> String {
    let Row { fault, meanwhile, wrong, refused, acknowledged, lost, recovery, observed } = row;
    let recovery = recovery.as_millis();
    format!(
        "| {} | {} | {meanwhile} | {wrong} of {refused} | {lost} of {acknowledged} | {recovery} ms | {observed} |",
        fault.name, fault.what
    )
}

/// Writes the table when that is wanted; holds what does not change against the one that is there.
pub fn hold(rows: &[Row]) {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (table, after) = rest.split_once(END).unwrap();
    if std::env::var_os("STEWARD_BLESS").is_some() {
        return std::fs::write(PAGE, format!("{before}{BEGIN}\n\n{}\n{END}{after}", written(rows))).unwrap();
    }
    let kept: Vec<String> = table.lines().filter(|line| line.starts_with("| ")).skip(1).map(stable).collect();
    let now: Vec<String> = rows.iter().map(|row| stable(&line(row))).collect();
    assert_eq!(kept, now, "{PAGE} lists other faults; STEWARD_BLESS=1 writes it anew");
}

fn stable(line: &str) -> String {
    line.split(" | ").take(STABLE).collect::<Vec<_>>().join(" | ")
}

fn written(rows: &[Row]) -> String {
    let date = Clock::system().now().strftime("%Y-%m-%d").to_string();
    let mut text = format!("Run {date}.\n\n");
    text.push_str(
        "| fault | what was done | permitted requests meanwhile | wrongly allowed | writes lost | recovery | seen |\n|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        writeln!(text, "{}", line(row)).unwrap();
    }
    text
}
