//! Figures, and how they come from turns.

use std::time::{Duration, Instant};

/// The median of several turns, and the lowest and the highest.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Figure {
    pub fn of(mut turns: Vec<f64>) -> Self {
        turns.sort_by(f64::total_cmp);
        Self { median: turns[turns.len() / 2], lowest: turns[0], highest: turns[turns.len() - 1] }
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "median": self.median, "lowest": self.lowest, "highest": self.highest })
    }
}

/// Decisions of one contender, in nanoseconds for each turn.
#[derive(Debug, Default)]
pub struct Turns {
    median: Vec<f64>,
    p99: Vec<f64>,
}

impl Turns {
    /// One turn: each question once, timed by itself, less what it takes to read the clock. It is made ready before, as a request's is by then.
    pub fn take<Q>(&mut self, questions: usize, time_max: Duration, ready: impl Fn(usize) -> Q, mut ask: impl FnMut(&Q)) {
        let clock = clock();
        let began = Instant::now();
        let mut took = Vec::with_capacity(questions);
        for question in 0..questions {
            let made = ready(question);
            let before = Instant::now();
            ask(&made);
            took.push(before.elapsed().as_nanos() as f64 - clock);
            if question % 64 == 0 && began.elapsed() > time_max {
                break;
            }
        }
        took.sort_by(f64::total_cmp);
        self.median.push(took[took.len() / 2]);
        self.p99.push(took[took.len() * 99 / 100]);
    }

    pub fn median(&self) -> Figure {
        Figure::of(self.median.clone())
    }

    pub fn p99(&self) -> Figure {
        Figure::of(self.p99.clone())
    }
}

/// What reading the clock twice takes, in nanoseconds.
fn clock() -> f64 {
    let mut took: Vec<_> = (0..1001).map(|_| Instant::now().elapsed().as_nanos()).collect();
    took.sort_unstable();
    took[500] as f64
}

/// Seconds that something takes.
pub fn seconds<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = Instant::now();
    let made = std::hint::black_box(work());
    (made, before.elapsed().as_secs_f64())
}
