//! The mutants: what `cargo mutants` lists for the modules that decide.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

/// The modules of which no mutant may survive.
const DECIDING: [&str; 5] = ["src/arm/**", "src/delegation/**", "src/pipeline/**", "src/identity/**", "src/rejection.rs"];

/// One change of the program, as a text in place of another.
#[derive(Debug, Clone, Deserialize)]
pub struct Mutant {
    /// Relative to the tree.
    pub file: String,
    pub genre: Genre,
    /// What `cargo mutants` calls it, with the place.
    pub name: String,
    pub replacement: String,
    pub span: Span,
    pub function: Option<Function>,
    /// The name without the place, and which of those that share it: stays while other lines of the file change.
    #[serde(skip)]
    pub key: String,
}

/// Of two in the same place the first stands around the second: a guard around the operator that it consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub enum Genre {
    FnValue,
    MatchArmGuard,
    MatchArm,
    StructField,
    BinaryOperator,
    UnaryOperator,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Function {
    pub return_type: String,
}

#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Span {
    pub start: Place,
    pub end: Place,
}

/// Both begin with one; columns are characters.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl Mutant {
    /// What the iterator yields that it returns in place of a whole body.
    pub fn item(&self) -> Option<&str> {
        let function = self.function.as_ref().filter(|_| self.genre == Genre::FnValue)?;
        function.return_type.split_once("impl Iterator<Item =")?.1.strip_suffix('>')
    }
}

/// All mutants of the tree; a mutant's number is its index.
///
/// # Errors
///
/// `cargo mutants` cannot be started, fails, or prints something else.
pub fn of_the_tree(tree: &Path) -> Result<Vec<Mutant>, String> {
    let mut command = Command::new("cargo");
    command.args(["mutants", "--list", "--json", "--no-config"]).current_dir(tree);
    for module in DECIDING {
        command.args(["--file", module]);
    }
    let output = command.output().map_err(|error| format!("cargo mutants: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo mutants: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let mut mutants: Vec<Mutant> =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo mutants prints something else: {error}"))?;
    let mut seen = HashMap::<String, usize>::new();
    for mutant in &mut mutants {
        let bare = mutant.name.splitn(4, ':').nth(3).unwrap_or(&mutant.name).trim();
        let bare = format!("{}: {bare}", mutant.file);
        let count = seen.entry(bare.clone()).or_default();
        *count += 1;
        mutant.key = if *count == 1 { bare } else { format!("{bare} #{count}") };
    }
    Ok(mutants)
}
