//! The page of threats: one row and one section for each, made from what its test observed.
//!
//! Each test compares its own part of the page and writes it when it is blessed, so one test can be blessed alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

const PAGE: &str = "docs/threats.md";

const PREFACE: &str = "# Threats

The gateway is hardened against whoever can open a connection to it: strangers, callers with valid tokens of any tenant that try to reach
what they were not granted, and clients that break the rules of HTTP or TLS. It is hardened against a backend whose answers are broken or
would send a client elsewhere, and against key sets of issuers that are broken or absent. It is not hardened against who can change its
configuration, policies, store or certificates, nor against the issuer that a tenant trusts, which can name anybody of that tenant; what
else is not promised is said in [SECURITY.md](../SECURITY.md).
";

const HEAD: &str = "| | forms | test | observed, in short |\n|---|---|---|---|\n";

const BELOW: &str = "
The test of a threat sends the attack in many forms to a running gateway, over TLS, and says for each form what has to come of it and what
the backend may receive. What was observed is written here by the same run:

    STEWARD_BLESS=1 cargo test --test threats

Without that variable the tests compare it with this page. An answer is its status, the code that management tools know, and the
[reason](errors.md); a stranger is told no reason. In the table above it is its status alone, also of sound forms and of those that lose
what is wrong with them on the way. Each threat has a section below: the attack, what has to hold, and every form with what came of it.
";

/// A threat and the test that makes it. `threats!` is the only maker, so the name is that of a test.
#[derive(Debug, Clone, Copy)]
pub struct Threat {
    pub test: &'static str,
    pub attack: &'static str,
    pub holds: &'static str,
}

impl Threat {
    /// `T02`, from `t02_…`.
    pub fn id(&self) -> String {
        let (number, _sentence) = self.test.split_once('_').expect("a test is named by its number and a sentence");
        number.to_ascii_uppercase()
    }
}

/// `t02_sentence = function, "attack", "what has to hold";` makes a test of each, and the list `THREATS` of the module. The function is
/// async and gives what it observed as [`Forms`].
macro_rules! threats {
    ($($test:ident = $observe:path, $attack:literal, $holds:literal;)*) => {
        pub const THREATS: &[$crate::table::Threat] =
            &[$($crate::table::Threat { test: stringify!($test), attack: $attack, holds: $holds }),*];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let threat = $crate::table::Threat { test: stringify!($test), attack: $attack, holds: $holds };
                $crate::table::check(&threat, &$observe().await);
            }
        )*
    };
}
pub(crate) use threats;

/// What the forms of an attack were answered, in the order they were tried.
#[derive(Debug, Default)]
pub struct Forms {
    seen: Vec<(String, String)>,
    wrong: Vec<String>,
}

impl Forms {
    /// Takes down what was observed; it has to begin with `expected`: whole words, or with `4xx` any status of that class. Neither text may
    /// hold what differs between runs.
    pub fn saw(&mut self, form: &str, observed: &str, expected: &str) {
        let (start, is_whole) = expected.strip_suffix("xx").map_or((expected, true), |class| (class, false));
        let rest = observed.strip_prefix(start);
        if !rest.is_some_and(|rest| !is_whole || rest.is_empty() || rest.starts_with([' ', ';', ':', ','])) {
            self.wrong.push(format!("{form}: {observed}; expected: {expected}"));
        }
        self.seen.push((form.to_owned(), observed.to_owned()));
    }

    /// Takes down that something else holds or not.
    pub fn holds(&mut self, form: &str, holds: bool, what: &str) {
        if !holds {
            self.wrong.push(format!("{form}: not so: {what}"));
        }
    }

    /// What was observed, each read like this, and how often; the most frequent first.
    fn counts<'f>(&'f self, read: impl Fn(&'f str) -> &'f str) -> Vec<(&'f str, usize)> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, answer) in &self.seen {
            *counts.entry(read(answer)).or_default() += 1;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(answer, count)| (std::cmp::Reverse(*count), *answer));
        counts
    }

    /// `14 × A · 2 × B`.
    fn summary(&self) -> String {
        self.counts(|answer| answer).iter().map(|(answer, count)| format!("{count} × {}", cell(answer))).collect::<Vec<_>>().join(" · ")
    }

    /// The same of statuses alone, and only the most frequent ones.
    fn short(&self) -> String {
        const SHOWN: usize = 4;
        let counts = self.counts(in_short);
        let rest: usize = counts.iter().skip(SHOWN).map(|(_, count)| count).sum();
        let shown = counts.iter().take(SHOWN).map(|(answer, count)| format!("{count} × {}", cell(answer)));
        shown.chain((rest > 0).then(|| format!("{rest} × other"))).collect::<Vec<_>>().join(", ")
    }
}

/// The status of an answer, or what else it begins with.
fn in_short(observed: &str) -> &str {
    let has_status = observed.len() >= 3 && observed.bytes().take(3).all(|byte| byte.is_ascii_digit());
    let beginning = if has_status { observed.get(..3) } else { observed.split([',', ';', '(']).next() };
    let beginning = beginning.unwrap_or(observed);
    if beginning.starts_with("alert ") { "alert" } else { beginning }
}

/// The same text within one cell of a table.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('<', "&lt;").replace('`', "'")
}

/// A threat's part of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    row: String,
    section: String,
}

impl Part {
    fn of(threat: &Threat, forms: &Forms) -> Self {
        let Threat { test, attack, holds } = threat;
        let id = threat.id();
        let row = format!("| [{id}](#{}) | {} | `{test}` | {} |\n", id.to_ascii_lowercase(), forms.seen.len(), forms.short());
        let observed = forms.summary();
        let mut section = format!(
            "## {id}\n\nAttack: {attack}.\n\nWhat has to hold: {holds}.\n\nObserved: {observed}.\n\n| form | observed |\n|---|---|\n"
        );
        for (form, answer) in &forms.seen {
            writeln!(section, "| {} | {} |", cell(form), cell(answer)).unwrap();
        }
        Self { row, section }
    }

    fn forms(&self) -> usize {
        self.section.lines().skip_while(|line| !line.starts_with("|---")).skip(1).count()
    }
}

/// The page's parts by the ids of their threats.
fn read(page: &str) -> BTreeMap<String, Part> {
    let (table, sections) = page.split_once("\n## ").unwrap_or((page, ""));
    let rows = table.lines().filter_map(|line| Some((line.strip_prefix("| [")?.split_once(']')?.0, line)));
    let section = |id: &str| sections.split("\n## ").find(|section| section.starts_with(id)).unwrap_or_default().trim_end();
    rows.map(|(id, row)| (id.to_owned(), Part { row: format!("{row}\n"), section: format!("## {}\n", section(id)) })).collect()
}

fn render(parts: &BTreeMap<String, Part>) -> String {
    let forms: usize = parts.values().map(Part::forms).sum();
    let rows: String = parts.values().map(|part| part.row.as_str()).collect();
    let sections: String = parts.values().map(|part| format!("\n{}", part.section)).collect();
    format!("{PREFACE}\n{} threats, {forms} forms.\n\n{HEAD}{rows}{BELOW}{sections}", parts.len())
}

/// Hands the page to one test after the other, and writes what it makes of it when the run is to be blessed.
fn with_page(change: impl FnOnce(&mut BTreeMap<String, Part>)) -> (String, String) {
    #[expect(clippy::disallowed_types, reason = "tests of this target run in threads and write one page")]
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let committed = std::fs::read_to_string(PAGE).unwrap_or_default();
    let mut parts = read(&committed);
    change(&mut parts);
    let made = render(&parts);
    if std::env::var_os("STEWARD_BLESS").is_some() {
        std::fs::write(PAGE, &made).unwrap();
        return (made.clone(), made);
    }
    (committed, made)
}

/// Fails if a form was answered otherwise than it has to be, or otherwise than the page says.
#[track_caller]
pub fn check(threat: &Threat, forms: &Forms) {
    let id = threat.id();
    assert!(forms.wrong.is_empty(), "{id}:\n{}", forms.wrong.join("\n"));
    assert!(!forms.seen.is_empty(), "{id}: nothing was tried");
    let now = Part::of(threat, forms);
    let mut before = None;
    let (_page, _made) = with_page(|parts| before = parts.insert(id.clone(), now.clone()));
    if std::env::var_os("STEWARD_BLESS").is_none() {
        let before = before.map(|part| part.row + &part.section).unwrap_or_default();
        assert_same(&before, &(now.row + &now.section));
    }
}

#[track_caller]
fn assert_same(committed: &str, made: &str) {
    let first = made.lines().zip(committed.lines().chain(std::iter::repeat("(nothing)"))).find(|(now, before)| now != before);
    if let Some((now, before)) = first {
        panic!("{PAGE} differs; STEWARD_BLESS=1 writes it anew\n before: {before}\n now:    {now}");
    }
    assert_eq!(committed, made, "{PAGE} differs; STEWARD_BLESS=1 writes it anew");
}

#[test]
fn every_threat_has_one_test_and_one_row() {
    let mut ids: Vec<String> = crate::THREATS.iter().copied().flatten().map(Threat::id).collect();
    ids.sort();
    let all: Vec<String> = (1..=29).map(|number| format!("T{number:02}")).collect();
    assert_eq!(ids, all);
    let (committed, made) = with_page(|parts| parts.retain(|id, _| ids.contains(id)));
    assert_same(&committed, &made);
    for id in &ids {
        // While a page is blessed, the rows come with the tests.
        let has_row = std::env::var_os("STEWARD_BLESS").is_some() || committed.contains(&format!("\n| [{id}](#"));
        assert!(has_row, "{id} has no row");
    }
}

/// Test functions below a folder, in Rust and of the client journeys in Python.
fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "py") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(
                text.lines().filter_map(|line| line.strip_prefix("def test_")?.split_once('(')).map(|(name, _)| format!("test_{name}")),
            );
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text.lines().zip(text.lines().skip(1)).filter(|(mark, _)| mark.contains("test") || mark.contains("expect("));
            found.extend(lines.filter_map(|(_, line)| line.split_once("fn ")?.1.split_once('(')).map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_test_that_a_promise_names_is_there() {
    let mut there: BTreeSet<String> = crate::THREATS.iter().copied().flatten().map(|threat| threat.test.to_owned()).collect();
    ["src", "tests"].iter().for_each(|folder| tests_in(Path::new(folder), &mut there));
    let promises = include_str!("../../SECURITY.md").split("## What is promised").nth(1).unwrap().split("\n## ").next().unwrap();
    let is_name =
        |text: &&str| text.len() > 20 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let named: Vec<&str> = promises.split('`').skip(1).step_by(2).filter(is_name).collect();
    assert!(named.len() >= 20, "{named:?}");
    let gone: Vec<&&str> = named.iter().filter(|name| !there.contains(**name)).collect();
    assert!(gone.is_empty(), "no such tests: {gone:?}");
    for promise in promises.split("\n- ").skip(1) {
        assert!(named.iter().any(|name| promise.contains(name)), "a promise without a test: {promise}");
    }
}
