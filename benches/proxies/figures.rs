//! What is measured: figures, each of one contender in one scenario, once for every turn.

use std::collections::BTreeMap;

use crate::contenders::Kind;
use crate::scenario::Scenario;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Figure {
    CpuUs,
    PerSecond,
    P50Ms,
    P99Ms,
    MibPerSecond,
    MemoryIdle,
    MemoryPerConnection,
    MemoryLoaded,
    MemoryGrowth,
    Instructions,
}

impl Figure {
    pub const ALL: [Self; 10] = [
        Self::CpuUs,
        Self::PerSecond,
        Self::P50Ms,
        Self::P99Ms,
        Self::MibPerSecond,
        Self::MemoryIdle,
        Self::MemoryPerConnection,
        Self::MemoryLoaded,
        Self::MemoryGrowth,
        Self::Instructions,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::CpuUs => "cpu_us",
            Self::PerSecond => "per_second",
            Self::P50Ms => "p50_ms",
            Self::P99Ms => "p99_ms",
            Self::MibPerSecond => "mib_per_second",
            Self::MemoryIdle => "memory_idle_bytes",
            Self::MemoryPerConnection => "memory_per_connection_bytes",
            Self::MemoryLoaded => "memory_loaded_bytes",
            Self::MemoryGrowth => "memory_growth_bytes",
            Self::Instructions => "instructions",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::CpuUs => "CPU time per request",
            Self::PerSecond => "Throughput",
            Self::P50Ms => "Latency at a quarter of the bare proxy's capacity, median",
            Self::P99Ms => "Latency at a quarter of the bare proxy's capacity, 99th percentile",
            Self::MibPerSecond => "One large body after the other on one connection",
            Self::MemoryIdle => "Memory without connections",
            Self::MemoryPerConnection => "Memory for each idle connection",
            Self::MemoryLoaded => "Memory under load",
            Self::MemoryGrowth => "Growth of memory under load",
            Self::Instructions => "Instructions per request in user space",
        }
    }

    /// With its unit.
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::CpuUs => format!("{value:.1} µs"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::P50Ms | Self::P99Ms => format!("{value:.2} ms"),
            Self::MibPerSecond => format!("{value:.0} MiB/s"),
            Self::MemoryIdle | Self::MemoryLoaded | Self::MemoryGrowth => format!("{:.1} MiB", value / 1_048_576.0),
            Self::MemoryPerConnection => format!("{:.1} KiB", value / 1024.0),
            Self::Instructions => format!("{:.1} k", value / 1e3),
        }
    }
}

/// What one turn, or one look, came to.
pub type Turn = Vec<(Figure, f64)>;

/// All turns of a contender in a scenario.
#[derive(Debug, Clone, Default)]
pub struct Turns(pub BTreeMap<Figure, Vec<f64>>);

impl Turns {
    pub fn add(&mut self, turn: Turn) {
        for (figure, value) in turn {
            self.0.entry(figure).or_default().push(value);
        }
    }
}

/// One line of the results.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Row {
    pub scenario: String,
    pub contender: String,
    pub figure: String,
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
    /// Median to the median of the bare proxy.
    pub ratio: Option<f64>,
    pub turns: Vec<f64>,
}

/// The rows of a scenario.
pub fn rows(scenario: &Scenario, measured: &[(Kind, Turns)]) -> Vec<Row> {
    let yardstick = |figure| measured.iter().find(|(kind, _)| *kind == Kind::Bare).and_then(|(_, turns)| median(turns.0.get(&figure)?));
    let mut rows = Vec::new();
    for (kind, turns) in measured {
        for (figure, turns) in &turns.0 {
            let Some(median) = median(turns) else { continue };
            rows.push(Row {
                scenario: scenario.name.to_owned(),
                contender: kind.name().to_owned(),
                figure: figure.name().to_owned(),
                median,
                lowest: turns.iter().copied().fold(f64::INFINITY, f64::min),
                highest: turns.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                ratio: yardstick(*figure).map(|yardstick| median / yardstick).filter(|ratio| ratio.is_finite()),
                turns: turns.clone(),
            });
        }
    }
    rows
}

/// Of an even number the mean of the two in the middle.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = *sorted.get((sorted.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}
