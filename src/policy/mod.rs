//! Policy files to a directory snapshot, or to a list of diagnostics.
//!
//! A folder of TOML files is one set: read, parsed and compiled as a whole or not at all. This module never decides a
//! request and never changes a snapshot that is in use; [`watch`] puts a new one in its place.

pub mod diagnostics;
pub mod file;
pub mod source;
pub mod watch;

mod compile;
mod embedded;
mod parse;

use std::path::Path;

use crate::clock::Timestamp;
use crate::directory::Directory;

pub use self::diagnostics::{Diagnostic, Diagnostics};
pub use self::embedded::embedded;
use self::source::SourceSet;

/// What a policy set depends on beyond its files.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Base URL of the demo issuer of this process, which `kind = "demo"` stands for.
    pub demo_issuer: Option<String>,
    /// Hosts of the management plane; no data-plane rule may cover one of them.
    pub management_hosts: Vec<String>,
    /// The present time; what ends before it is worth a warning.
    pub now: Timestamp,
    /// The number that the snapshot gets.
    pub revision: u64,
}

impl LoadOptions {
    /// For the first snapshot of a process without a demo issuer, serving the public management host only.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { demo_issuer: None, management_hosts: vec!["management.azure.com".to_owned()], now, revision: 1 }
    }

    /// The same with a demo issuer at this base URL.
    #[must_use]
    pub fn with_demo_issuer(self, base: &str) -> Self {
        Self { demo_issuer: Some(base.to_owned()), ..self }
    }
}

/// A set that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The snapshot: what the files declare and nothing else.
    pub directory: Directory,
    /// Warnings, and the counts for a summary.
    pub warnings: Diagnostics,
}

/// Loads all policy files below a folder.
///
/// # Errors
/// With everything that is wrong in any of the files, when anything is.
pub fn load(folder: &Path, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let (sources, problems) = SourceSet::read(folder);
    compile_set(&sources, problems, options)
}

/// Loads a set from memory, such as the [embedded](embedded()) demo policies.
///
/// # Errors
/// The same as [`load`].
pub fn load_texts(folder: &Path, texts: &[(&str, &str)], options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    compile_set(&SourceSet::from_texts(folder, texts), Vec::new(), options)
}

fn compile_set(sources: &SourceSet, problems: Vec<Diagnostic>, options: &LoadOptions) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Diagnostics::new(sources.clone());
    if sources.files().is_empty() && problems.is_empty() {
        let message = format!("there are no policy files (*.toml) in `{}`", sources.folder().display());
        diagnostics.push(Diagnostic::error("folder.empty", message));
    }
    let mut parsed = parse::Parsed::default();
    if !problems.is_empty() {
        parsed.lost_a_file();
    }
    problems.into_iter().for_each(|problem| diagnostics.push(problem));
    for (index, file) in sources.files().iter().enumerate() {
        parsed.read(index, file, &mut diagnostics);
    }
    let declared = compile::compile(&parsed, options, &mut diagnostics);
    diagnostics.sort();
    match declared {
        Some(declared) => Ok(Loaded { directory: Directory::new(declared), warnings: diagnostics }),
        None => Err(diagnostics),
    }
}
