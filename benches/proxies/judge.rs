//! What has to hold: ratios of medians of one run, and an absolute bound where there is nothing to compare with.

use crate::contenders::Kind;
use crate::figures::{Figure, Row};

/// One requirement of Steward.
pub struct Rule {
    /// The number in "Must show" of the issue that asked for it.
    number: u8,
    scenario: &'static str,
    figure: Figure,
    bound: Bound,
}

enum Bound {
    /// At most so many times what the other one has.
    AtMost(f64, Kind),
    AtLeast(f64, Kind),
    /// Bytes.
    Within(f64),
}

const fn at_most(number: u8, scenario: &'static str, figure: Figure, times: f64, other: Kind) -> Rule {
    Rule { number, scenario, figure, bound: Bound::AtMost(times, other) }
}

const fn at_least(number: u8, scenario: &'static str, figure: Figure, times: f64, other: Kind) -> Rule {
    Rule { number, scenario, figure, bound: Bound::AtLeast(times, other) }
}

const fn within(number: u8, scenario: &'static str, figure: Figure, mib: f64) -> Rule {
    Rule { number, scenario, figure, bound: Bound::Within(mib * 1_048_576.0) }
}

const RULES: &[Rule] = &[
    at_most(1, "h1-c64", Figure::CpuUs, 1.20, Kind::Bare),
    at_most(1, "h1-tls-c64", Figure::CpuUs, 1.20, Kind::Bare),
    at_most(1, "h2-tls-16x4", Figure::CpuUs, 1.25, Kind::Bare),
    at_most(1, "h1-c64-1000-tokens", Figure::CpuUs, 1.25, Kind::Bare),
    at_most(2, "h1-c64-fresh-tokens", Figure::CpuUs, 1.10, Kind::Verify),
    at_most(3, "h1-c64", Figure::CpuUs, 0.35, Kind::Haproxy),
    at_most(3, "h1-c64", Figure::CpuUs, 0.15, Kind::Envoy),
    at_most(4, "latency-h1-c64", Figure::P50Ms, 1.10, Kind::Bare),
    at_most(4, "latency-h1-c64", Figure::P99Ms, 1.20, Kind::Bare),
    // The bare proxy is asked for what is allowed: `Scenario::asked_of`.
    at_most(5, "h1-c64-denied-role", Figure::CpuUs, 1.00, Kind::Bare),
    at_most(7, "idle-h1", Figure::MemoryIdle, 2.00, Kind::Bare),
    at_most(7, "idle-h1-tls", Figure::MemoryPerConnection, 1.30, Kind::Bare),
    within(7, "soak", Figure::MemoryGrowth, 8.0),
    at_least(8, "h1-download-64m", Figure::MibPerSecond, 0.95, Kind::Bare),
    at_least(8, "h1-upload-64m", Figure::MibPerSecond, 0.95, Kind::Bare),
    within(8, "h1-download-64m", Figure::MemoryGrowth, 4.0),
    within(8, "h1-upload-64m", Figure::MemoryGrowth, 4.0),
];

/// What does not hold, one line for each; a figure that is missing does not hold.
pub fn failures(rows: &[Row]) -> Vec<String> {
    RULES.iter().filter_map(|rule| rule.failure(rows)).collect()
}

impl Rule {
    fn failure(&self, rows: &[Row]) -> Option<String> {
        let what = format!("{}. {}, {}", self.number, self.scenario, self.figure.name());
        let median = |kind: Kind| {
            let is_it = |row: &&Row| row.scenario == self.scenario && row.contender == kind.name() && row.figure == self.figure.name();
            rows.iter().find(is_it).map(|row| row.median)
        };
        let Some(own) = median(Kind::Steward) else { return Some(format!("{what}: not measured")) };
        let compared = |other: Kind| median(other).map(|other| own / other);
        match self.bound {
            Bound::Within(most) if own <= most => None,
            Bound::Within(most) => Some(format!("{what}: {}, allowed {}", self.figure.shown(own), self.figure.shown(most))),
            Bound::AtMost(times, other) => match compared(other) {
                Some(ratio) if ratio <= times => None,
                Some(ratio) => Some(format!("{what}: {ratio:.2} of {}, allowed {times:.2}", other.name())),
                None => Some(format!("{what}: {} not measured", other.name())),
            },
            Bound::AtLeast(times, other) => match compared(other) {
                Some(ratio) if ratio >= times => None,
                Some(ratio) => Some(format!("{what}: {ratio:.2} of {}, wanted {times:.2}", other.name())),
                None => Some(format!("{what}: {} not measured", other.name())),
            },
        }
    }
}
