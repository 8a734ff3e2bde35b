//! What happened to each mutant, and what is said of all.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::list::Mutant;

/// By the mutants' keys.
pub type Outcomes = BTreeMap<String, Outcome>;

/// What happened to a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// By this test.
    Caught(String),
    TimedOut,
    Survived,
    /// No test comes by it.
    Unreached,
    /// The change is no program.
    Unviable,
}

impl Outcome {
    /// Whether there is nothing left to find out.
    pub fn is_settled(&self) -> bool {
        matches!(self, Self::Caught(_) | Self::TimedOut | Self::Unviable)
    }
}

/// Prints the totals; whether none survived that is not known to be equivalent.
///
/// # Errors
///
/// `tests/mutants/equivalent.txt` is not readable.
pub fn report(root: &Path, mutants: &[Mutant], outcomes: &Outcomes) -> Result<bool, String> {
    let known = equivalents(root)?;
    let (mut caught, mut timed_out, mut unviable, mut equivalent, mut survived) = (0, 0, 0, 0, 0);
    for mutant in mutants {
        match outcomes.get(&mutant.key) {
            Some(Outcome::Caught(_)) => caught += 1,
            Some(Outcome::TimedOut) => timed_out += 1,
            Some(Outcome::Unviable) => unviable += 1,
            Some(Outcome::Survived | Outcome::Unreached) if known.contains_key(&mutant.key) => equivalent += 1,
            other => {
                println!("{}: {} ({other:?})", mutant.name, mutant.key);
                survived += 1;
            }
        }
    }
    let stale = stale(&known, outcomes);
    println!(
        "{} mutants: {caught} caught, {timed_out} by their time, {unviable} cannot be built, {equivalent} equivalent, {survived} survived",
        mutants.len()
    );
    Ok(survived == 0 && stale == 0)
}

/// How many are said to be equivalent and are not there any more, or were caught.
fn stale(known: &HashMap<String, String>, outcomes: &Outcomes) -> usize {
    let is_stale = |key: &&String| !matches!(outcomes.get(*key), Some(Outcome::Survived | Outcome::Unreached));
    known.keys().filter(is_stale).inspect(|key| println!("tests/mutants/equivalent.txt: take out: {key}")).count()
}

/// `tests/mutants/equivalent.txt`: keys of mutants that change nothing that anybody could see, and why.
fn equivalents(root: &Path) -> Result<HashMap<String, String>, String> {
    let path = root.join("tests/mutants/equivalent.txt");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut known = HashMap::new();
    let mut key = None;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match (line.strip_prefix("    "), key.take()) {
            (Some(why), Some(key)) => drop(known.insert(key, why.to_owned())),
            (None, None) => key = Some(line.to_owned()),
            _ => return Err(format!("{}: a mutant and, indented by four, its reason are wanted: {line}", path.display())),
        }
    }
    Ok(known)
}
