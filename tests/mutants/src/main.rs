//! Mutation testing of the modules that decide: `docs/mutants.md`.

mod build;
mod instrument;
mod judge;
mod list;
mod outcome;
mod suite;
mod tree;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use build::Known;
use instrument::Left;
use judge::{Judge, Thoroughness};
use list::Mutant;
use outcome::{Outcome, Outcomes};
use suite::Suites;
use tree::Tree;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether no mutant survives.
fn run(arguments: &[String]) -> Result<bool, String> {
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let tree = Tree::new(&root)?;
    let kept = tree.kept();
    let mutants = list::of_the_tree(&root)?;
    let (mut left, known) = (Left::default(), kept.join("known.json"));
    let built = build::settle(&tree, &mutants, read(&known), &mut left)?;
    write(&known, &Known::new(&mutants, &left, &built))?;
    println!("{} mutants: {} cannot be built, {} need a build of their own", mutants.len(), built.unviable.len(), built.alone.len());

    let mut outcomes: Outcomes = read(&kept.join("outcomes.json"));
    let asked = Asked::of(arguments);
    let wanted: Vec<usize> = (0..mutants.len()).filter(|number| asked.wants(&mutants[*number], &outcomes)).collect();
    outcomes.retain(|key, _| mutants.iter().any(|mutant| mutant.key == *key));
    outcomes.extend(built.unviable.iter().map(|number| (mutants[*number].key.clone(), Outcome::Unviable)));

    let (apart, together): (Vec<usize>, Vec<usize>) =
        wanted.into_iter().filter(|number| !built.unviable.contains(number)).partition(|number| built.alone.contains(number));
    let suites = Suites::new(build::tests(&tree, &build::SUITES)?, &tree.folder);
    let judge = Judge { mutants: &mutants, kept, thoroughness: asked.thoroughness };
    let outcomes = judge.all(&suites, &together, outcomes)?;
    let outcomes = if asked.thoroughness == Thoroughness::Quick { outcomes } else { judge.each_alone(&tree, &left, &apart, outcomes)? };
    outcome::report(&root, &mutants, &outcomes)
}

/// What the command line asks for.
struct Asked<'a> {
    thoroughness: Thoroughness,
    only_open: bool,
    words: &'a [String],
}

impl<'a> Asked<'a> {
    fn of(arguments: &'a [String]) -> Self {
        let mut asked = Self { thoroughness: Thoroughness::Full, only_open: false, words: arguments };
        while let Some((first, rest)) = asked.words.split_first() {
            match first.as_str() {
                "quick" => asked.thoroughness = Thoroughness::Quick,
                "open" => asked.only_open = true,
                _ => break,
            }
            asked.words = rest;
        }
        asked
    }

    fn wants(&self, mutant: &Mutant, before: &Outcomes) -> bool {
        let is_open = !before.get(&mutant.key).is_some_and(Outcome::is_settled);
        (is_open || !self.only_open) && (self.words.is_empty() || self.words.iter().any(|word| mutant.name.contains(word)))
    }
}

/// What a file holds, or nothing.
fn read<T: for<'a> Deserialize<'a> + Default>(path: &Path) -> T {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), String> {
    let bytes = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
