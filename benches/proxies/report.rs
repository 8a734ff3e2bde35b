//! Results as JSON, as a table for people, and as a chart.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::chart;
use crate::contenders::Kind;
use crate::figures::{Figure, Row};
use crate::machine::Machine;
use crate::scenario::SCENARIOS;

const BEGIN: &str = "<!-- figures: begin; written by cargo bench --bench proxies -- --write -->";
const END: &str = "<!-- figures: end -->";

#[derive(Debug, Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub rounds: usize,
    pub seconds: u64,
    /// Contenders and scenarios that could not be measured, and why.
    pub errors: Vec<String>,
    pub rows: Vec<Row>,
}

impl Results {
    /// Keeps what an earlier run measured of other scenarios.
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    pub fn replace(&mut self, newer: Vec<Row>) {
        self.rows.retain(|row| !newer.iter().any(|newer| newer.scenario == row.scenario));
        self.rows.extend(newer);
        let place = |row: &Row| SCENARIOS.iter().position(|scenario| scenario.name == row.scenario);
        self.rows.retain(|row| place(row).is_some());
        self.rows.sort_by_key(place);
    }

    /// Writes `results.json` and `cpu.svg` into the folder, and the tables into the page beside it.
    pub fn write(&self, folder: &Path) -> Outcome<()> {
        fs::create_dir_all(folder)?;
        fs::write(folder.join("results.json"), serde_json::to_string_pretty(self)? + "\n")?;
        fs::write(folder.join("cpu.svg"), chart::cpu(&self.rows))?;
        let page = folder.with_extension("md");
        let text = fs::read_to_string(&page)?;
        let (before, rest) = text.split_once(BEGIN).ok_or("docs/performance.md has no mark where figures begin")?;
        let (_old, after) = rest.split_once(END).ok_or("docs/performance.md has no mark where figures end")?;
        fs::write(&page, format!("{before}{BEGIN}\n\n{}\n{END}{after}", self.tables()))?;
        Ok(())
    }

    pub fn tables(&self) -> String {
        let Machine { date, processor, cores, kernel, versions } = &self.machine;
        let mut text = format!(
            "![CPU time per request as multiples of the bare proxy](performance/cpu.svg)\n\n\
             Measured {date} on {cores} cores of {processor}, Linux {kernel}; {} rounds of {} s. {}.\n",
            self.rounds,
            self.seconds,
            versions.join("; ")
        );
        for error in &self.errors {
            text += &format!("\nNot measured: {error}\n");
        }
        for figure in Figure::ALL {
            text += &self.table(figure);
        }
        text
    }

    /// One line for each scenario: the bare proxy's median with its spread, and of the others the ratio to it.
    fn table(&self, figure: Figure) -> String {
        let rows: Vec<&Row> = self.rows.iter().filter(|row| row.figure == figure.name()).collect();
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| rows.iter().any(|row| row.contender == kind.name())).collect();
        if rows.is_empty() {
            return String::new();
        }
        let mut text = format!("\n### {}\n\n|", figure.title());
        for kind in &kinds {
            text += &format!(" | {}", kind.name());
        }
        text += &format!(" |\n|---{}|\n", "|---".repeat(kinds.len()));
        for scenario in SCENARIOS.iter().filter(|scenario| rows.iter().any(|row| row.scenario == scenario.name)) {
            text += &format!("| {}", scenario.name);
            for kind in &kinds {
                let row = rows.iter().find(|row| row.scenario == scenario.name && row.contender == kind.name());
                text += &format!(" | {}", row.map_or_else(|| "–".to_owned(), |row| cell(figure, row)));
            }
            text += " |\n";
        }
        text
    }
}

fn cell(figure: Figure, row: &Row) -> String {
    let spread = if row.turns.len() > 1 {
        format!(" ({} – {})", bare_number(&figure.shown(row.lowest)), figure.shown(row.highest))
    } else {
        String::new()
    };
    match row.ratio {
        Some(ratio) if row.contender != Kind::Bare.name() => format!("**{ratio:.2}** · {}{spread}", figure.shown(row.median)),
        Some(_) | None => format!("{}{spread}", figure.shown(row.median)),
    }
}

fn bare_number(shown: &str) -> &str {
    shown.split([' ', '/']).next().unwrap_or(shown)
}
