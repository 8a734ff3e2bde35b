//! Builds the copy, and finds out which mutants cannot be built.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::instrument::Left;
use crate::list::Mutant;
use crate::tree::{Ranges, Tree};

/// More rounds than these mean that something else is wrong.
const ROUNDS_MAX: usize = 40;

/// The tests that judge; those left out are about storage, load, fleets, kills and time.
pub const SUITES: [&str; 17] = [
    "conformance",
    "decision_twin",
    "delegation_model",
    "errors_table",
    "fabric",
    "fuzz_corpus",
    "gateway",
    "issuer",
    "judged_received",
    "offer_rules",
    "policy_files",
    "request_actions",
    "resource_manager",
    "sign_up",
    "template",
    "threats",
    "tokens",
];

/// What the library's own tests are called.
pub const LIBRARY: &str = "lib";

/// What cannot be built, by keys: found out once, for it takes minutes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Known {
    unviable: HashSet<String>,
    alone: HashSet<String>,
    functions: HashSet<String>,
}

impl Known {
    pub fn new(mutants: &[Mutant], left: &Left, built: &Built) -> Self {
        let keys = |numbers: &HashSet<usize>| {
            numbers.iter().filter(|number| left.mutants.contains(number)).map(|number| mutants[*number].key.clone()).collect()
        };
        Self { unviable: keys(&built.unviable), alone: keys(&built.alone), functions: left.functions.clone() }
    }

    fn begin(self, mutants: &[Mutant], left: &mut Left) -> Built {
        let numbers = |keys: &HashSet<String>| {
            mutants.iter().enumerate().filter(|(_, mutant)| keys.contains(&mutant.key)).map(|(number, _)| number).collect()
        };
        let built = Built { unviable: numbers(&self.unviable), alone: numbers(&self.alone) };
        left.mutants = built.unviable.union(&built.alone).copied().collect();
        left.functions = self.functions;
        built
    }
}

/// What can be built.
#[derive(Debug)]
pub struct Built {
    /// Do not compile as a change of the program, so nobody could make them.
    pub unviable: HashSet<usize>,
    /// Stand where the program is computed while it is built: each needs a build of its own.
    pub alone: HashSet<usize>,
}

/// Writes and checks until what is left compiles.
///
/// # Errors
///
/// What does not compile is no mutant, or the tree cannot be written.
pub fn settle(tree: &Tree, mutants: &[Mutant], known: Known, left: &mut Left) -> Result<Built, String> {
    let mut built = known.begin(mutants, left);
    for round in 1..=ROUNDS_MAX {
        let written = tree.write(mutants, left)?;
        let errors = check(tree)?;
        println!("round {round}: {} errors", errors.len());
        if errors.is_empty() {
            built.unviable.extend(&written.no_place);
            built.alone.extend(&written.alone);
            return Ok(built);
        }
        let known = left.mutants.len() + left.functions.len();
        // One mutant may be the cause of several errors, some of them elsewhere.
        let not_understood: Vec<String> = errors.iter().filter_map(|error| learn(error, &written.ranges, left, &mut built).err()).collect();
        if left.mutants.len() + left.functions.len() == known {
            return Err(not_understood.first().cloned().unwrap_or_else(|| format!("nothing is learned from these: {errors:#?}")));
        }
    }
    Err("what does not compile does not become less".to_owned())
}

/// An error of the compiler.
#[derive(Debug)]
struct Error {
    code: String,
    text: String,
    /// Files, beginnings and ends in bytes; the first is what it is about.
    places: Vec<(String, usize, usize)>,
}

fn learn(error: &Error, ranges: &Ranges, left: &mut Left, built: &mut Built) -> Result<(), String> {
    let not_const = error.code == "E0015";
    for (file, start, end) in &error.places {
        let within = ranges.get(file).into_iter().flatten().filter(|(_, range)| range.start <= *start && *end <= range.end);
        // The innermost.
        if let Some((number, _)) = within.min_by_key(|(_, range)| range.len()) {
            left.mutants.insert(*number);
            if not_const {
                built.alone.insert(*number)
            } else {
                built.unviable.insert(*number)
            };
            return Ok(());
        }
    }
    if !not_const {
        return Err(format!("this is no mutant's fault: {error:#?}"));
    }
    // "cannot call non-const method `<path>::name` in …": the function stays as it was; or a place stands in a constant.
    let called = error.text.split('`').nth(1).unwrap_or_default();
    let bare = if called.ends_with('>') { called.rsplit_once("::<").map_or(called, |(name, _)| name) } else { called };
    let name = bare.rsplit("::").next().unwrap_or_default();
    if name == "on" {
        return in_a_constant(error, ranges, left, built);
    }
    left.functions.insert(name.to_owned());
    Ok(())
}

/// The question itself stands where nothing can be asked: right before the text of its mutant.
fn in_a_constant(error: &Error, ranges: &Ranges, left: &mut Left, built: &mut Built) -> Result<(), String> {
    for (file, _, end) in &error.places {
        let behind = ranges.get(file).into_iter().flatten().filter(|(_, range)| *end <= range.start);
        if let Some((number, _)) = behind.min_by_key(|(_, range)| range.start) {
            left.mutants.insert(*number);
            built.alone.insert(*number);
            return Ok(());
        }
    }
    Err(format!("no mutant stands here: {error:#?}"))
}

fn cargo(tree: &Tree, arguments: &[&str]) -> Result<Vec<Value>, String> {
    let output = Command::new("cargo")
        .args(arguments)
        .args(["--quiet", "--locked", "--message-format=json"])
        .env("CARGO_TARGET_DIR", tree.kept().join("build"))
        .current_dir(&tree.folder)
        .stderr(Stdio::null())
        .output()
        .map_err(|error| format!("cargo: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}

fn check(tree: &Tree) -> Result<Vec<Error>, String> {
    let messages = cargo(tree, &["check", "--lib"])?;
    let of_the_compiler = messages.iter().filter_map(|message| message.get("message")).filter(|message| message["level"] == "error");
    Ok(of_the_compiler.filter(|message| !message["spans"].as_array().is_none_or(Vec::is_empty)).map(error_of).collect())
}

fn error_of(message: &Value) -> Error {
    let mut spans: Vec<&Value> = message["spans"].as_array().into_iter().flatten().collect();
    spans.sort_by_key(|span| span["is_primary"] != true);
    let place = |span: &&Value| {
        let offset = |name: &str| span[name].as_u64().and_then(|at| usize::try_from(at).ok());
        Some((span["file_name"].as_str()?.to_owned(), offset("byte_start")?, offset("byte_end")?))
    };
    Error {
        code: message["code"]["code"].as_str().unwrap_or_default().to_owned(),
        text: message["rendered"].as_str().unwrap_or_default().to_owned(),
        places: spans.iter().filter_map(place).collect(),
    }
}

/// The programs of the tests: their suite and their file.
///
/// # Errors
///
/// They do not build.
pub fn tests(tree: &Tree, suites: &[&str]) -> Result<Vec<(String, PathBuf)>, String> {
    let mut arguments = vec!["test", "--no-run", "--lib"];
    for suite in suites {
        arguments.extend(["--test", suite]);
    }
    let messages = cargo(tree, &arguments)?;
    let mut programs = BTreeMap::new();
    for message in &messages {
        if message["message"]["level"] == "error" {
            return Err(message["message"]["rendered"].as_str().unwrap_or_default().to_owned());
        }
        if let (true, Some(program)) = (message["profile"]["test"] == true, message["executable"].as_str()) {
            let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
            let name = if kind == "lib" { LIBRARY } else { message["target"]["name"].as_str().unwrap_or_default() };
            programs.insert(name.to_owned(), Path::new(program).to_path_buf());
        }
    }
    if programs.len() != suites.len() + 1 {
        return Err(format!("of {} suites these were built: {:?}", suites.len() + 1, programs.keys()));
    }
    Ok(programs.into_iter().collect())
}
