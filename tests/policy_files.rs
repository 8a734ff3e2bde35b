//! Policy files as people write them, good and bad, with what `steward check` prints about them.
//!
//! Each folder of `tests/policy_files` is a set with its `expected.txt`. When a text was changed on purpose, copy the new
//! one from where the failing test says it put it, and read the difference.

#![expect(clippy::unwrap_used, reason = "this whole file is tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use steward::cli::check::{self, EXIT_INVALID, EXIT_VALID, Format};
use steward::cli::schema;
use steward::clock::Timestamp;
use steward::policy::diagnostics::Style;
use steward::policy::{self, LoadOptions};

const FOLDER: &str = "tests/policy_files";
const SCHEMA: &str = "docs/schema/policy.schema.json";

fn now() -> Timestamp {
    "2026-11-20T14:00:00Z".parse().unwrap()
}

fn checked(folder: &Path, format: Format) -> (u8, String) {
    let mut out = Vec::new();
    let code = check::run(&[folder.to_owned()], format, now(), &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

fn cases() -> Vec<PathBuf> {
    let mut cases: Vec<_> = fs::read_dir(FOLDER).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

#[test]
fn every_set_gets_the_expected_diagnostics() {
    let mut differing = Vec::new();
    for case in cases() {
        let (_, printed) = checked(&case, Format::Text(Style::default()));
        if fs::read_to_string(case.join("expected.txt")).unwrap_or_default() != printed {
            let name = case.file_name().unwrap().to_str().unwrap();
            let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.txt"));
            fs::write(&actual, &printed).unwrap();
            differing.push(format!("{} differs; now it is {}:\n{printed}", case.join("expected.txt").display(), actual.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[test]
fn only_sets_without_errors_exit_with_zero() {
    for case in cases() {
        let (code, printed) = checked(&case, Format::Text(Style::default()));
        let expected = if printed.contains("no errors") { EXIT_VALID } else { EXIT_INVALID };
        assert_eq!(code, expected, "{}", case.display());
    }
}

#[test]
fn every_code_stands_in_an_expected_text() {
    let expected: String = cases().iter().map(|case| fs::read_to_string(case.join("expected.txt")).unwrap()).collect();
    let codes = codes_of(Path::new("src/policy"));
    assert!(codes.len() > 30, "{codes:?}");
    // What depends on the file system or on limits is tested beside its code.
    let elsewhere = ["file.size", "file.unreadable", "folder.depth", "folder.empty", "folder.files", "folder.unreadable", "issuer.demo"];
    let missing: Vec<_> =
        codes.iter().filter(|code| !elsewhere.contains(&code.as_str()) && !expected.contains(&format!("[{code}]"))).collect();
    assert!(missing.is_empty(), "no set shows {missing:?}");
}

/// The texts of the form `"word.word"` that stand as codes in the sources.
fn codes_of(folder: &Path) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            codes.extend(codes_of(&path));
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let production = text.split("#[cfg(test)]").next().unwrap();
        for start in ["Diagnostic::error(\"", "Diagnostic::warning(\"", "code: \"", "=> (\""] {
            let texts = production.split(start).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
            codes.extend(texts.filter(|text| text.contains('.')));
        }
    }
    codes
}

#[test]
fn programs_get_the_same_as_people() {
    let (code, printed) = checked(&Path::new(FOLDER).join("roles"), Format::Json);
    let report: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(code, EXIT_INVALID);
    assert_eq!(report["schema"], "steward.check/1");
    let list = report["diagnostics"].as_array().unwrap();
    assert_eq!(report["errors"], list.len());
    let unknown = list.iter().find(|item| item["code"] == "role.unknown").unwrap();
    assert_eq!(unknown["at"]["file"], "tests/policy_files/roles/delegation.toml");
    assert_eq!(unknown["suggestion"]["replacement"], "\"Virtual Machine Contributor\"");
    assert!(unknown["at"]["line"].as_u64().unwrap() > 1);
}

#[test]
fn colours_are_used_only_where_they_are_asked_for() {
    let folder = Path::new(FOLDER).join("roles");
    let printed = |color| checked(&folder, Format::Text(Style { color, ascii: true })).1;
    assert!(printed(true).contains("\u{1b}["));
    assert!(!printed(false).contains('\u{1b}'));
    assert!(printed(false).is_ascii());
}

#[test]
fn only_a_process_with_a_demo_issuer_takes_the_demo_policies() {
    let options = LoadOptions::new(now());
    let refused = policy::load(Path::new("policies"), &options).unwrap_err();
    assert_eq!(refused.list().iter().map(|item| item.code).collect::<Vec<_>>(), ["issuer.demo"]);
    let options = options.with_demo_issuer("https://localhost:8445");
    assert_eq!(policy::load(Path::new("policies"), &options).unwrap().warnings.warnings(), 0);
}

#[test]
fn the_committed_schema_is_that_of_the_types() {
    let mut printed = Vec::new();
    schema::run(&mut printed).unwrap();
    if fs::read(SCHEMA).unwrap_or_default() != printed {
        let actual = Path::new(env!("CARGO_TARGET_TMPDIR")).join("policy.schema.json");
        fs::write(&actual, &printed).unwrap();
        panic!("{SCHEMA} differs; now it is {}", actual.display());
    }
}

#[test]
fn every_example_of_the_manual_is_a_valid_set() {
    let manual = fs::read_to_string("docs/policies.md").unwrap();
    let examples: Vec<_> = manual.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let names: Vec<_> = (0..examples.len()).map(|index| format!("example-{index:02}.toml")).collect();
    let texts: Vec<_> = names.iter().map(String::as_str).zip(examples.iter().copied()).collect();
    let options = LoadOptions::new(now()).with_demo_issuer("https://localhost");
    let loaded = policy::load_texts(Path::new("manual"), &texts, &options);
    let printed = loaded.map(|loaded| loaded.warnings).unwrap_or_else(|diagnostics| diagnostics).render(Style::default());
    assert_eq!(examples.len(), 11);
    assert!(printed.ends_with("no errors\n"), "{printed}");
}
