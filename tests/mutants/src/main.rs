//! Mutation testing of the modules that decide: `docs/mutants.md`.

mod build;
mod instrument;
mod list;
mod suite;
mod tree;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use instrument::Left;
use list::Mutant;
use suite::{Ran, Reach, Suites, Test, Worker};
use tree::Tree;

/// Tried first: the tests that come by the fewest mutants know most about one.
const FIRST: usize = 8;

/// What happened to a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Outcome {
    Caught(String),
    TimedOut,
    Survived,
    /// No test comes by it.
    Unreached,
    Unviable,
}

type Outcomes = BTreeMap<String, Outcome>;

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

fn run(arguments: &[String]) -> Result<bool, String> {
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let kept = root.join("target/mutants");
    let mutants = list::of_the_tree(&root)?;
    println!("{} mutants", mutants.len());
    let tree = Tree::new(&root);
    let mut left = Left::default();
    let built = build::settle(&tree, &mutants, read(&kept.join("known.json")), &mut left)?;
    write(&kept.join("known.json"), &build::Known::new(&mutants, &left, &built))?;
    println!("{} cannot be built, {} need a build of their own", built.unviable.len(), built.alone.len());
    let before: Outcomes = read(&kept.join("outcomes.json"));
    let wanted = wanted(&mutants, arguments, &before);
    let suites = Suites::new(build::tests(&tree, &build::SUITES)?, &tree.folder);
    let reaches = reaches(&suites, &mutants, &kept)?;
    let switched: Vec<usize> = wanted.iter().copied().filter(|number| !built.alone.contains(number) && !built.unviable.contains(number)).collect();
    let mut outcomes = before;
    outcomes.retain(|key, _| mutants.iter().any(|mutant| mutant.key == *key));
    outcomes.extend(built.unviable.iter().filter(|number| !built.alone.contains(number)).map(|number| (mutants[*number].key.clone(), Outcome::Unviable)));
    let shared = Mutex::new(outcomes);
    judge_all((&suites, &kept), &mutants, &switched, &reaches, |key, outcome| {
        let mut outcomes = shared.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.insert(key.to_owned(), outcome);
        write(&kept.join("outcomes.json"), &*outcomes)
    })?;
    let mut outcomes = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let apart: Vec<usize> = wanted.iter().copied().filter(|number| built.alone.contains(number)).collect();
    for (done, number) in apart.iter().enumerate() {
        let outcome = alone(&tree, &mutants, &left, *number)?;
        println!("apart {} of {}: {}: {outcome:?}", done + 1, apart.len(), mutants[*number].name);
        outcomes.insert(mutants[*number].key.clone(), outcome);
        write(&kept.join("outcomes.json"), &outcomes)?;
    }
    report(&root, &mutants, &outcomes)
}

/// All; those that were not caught when they were last looked at; or those whose names have a word in them.
fn wanted(mutants: &[Mutant], arguments: &[String], before: &Outcomes) -> Vec<usize> {
    let open = |mutant: &Mutant| !matches!(before.get(&mutant.key), Some(Outcome::Caught(_) | Outcome::TimedOut | Outcome::Unviable));
    let is_wanted = |mutant: &Mutant| match arguments {
        [] => true,
        [word, rest @ ..] if word == "open" => open(mutant) && (rest.is_empty() || rest.iter().any(|word| mutant.name.contains(word))),
        words => words.iter().any(|word| mutant.name.contains(word)),
    };
    mutants.iter().enumerate().filter(|(_, mutant)| is_wanted(mutant)).map(|(number, _)| number).collect()
}

/// Runs every test of which it is not known what it comes by.
fn reaches(suites: &Suites, mutants: &[Mutant], kept: &Path) -> Result<Vec<(Test, Reach)>, String> {
    let path = kept.join("reach.json");
    let known: Vec<(Test, Reach)> = read(&path);
    let all = suites.tests()?;
    let known: HashMap<Test, Reach> = known.into_iter().filter(|(test, _)| all.contains(test)).collect();
    let missing: Vec<&Test> = all.iter().filter(|test| !known.contains_key(*test)).collect();
    println!("{} tests, of which {} are new", all.len(), missing.len());
    let found = Mutex::new(known);
    in_parallel(missing.len(), |worker, index| {
        let test = missing[index];
        let Some((took, numbers)) = suites.reach(&Worker::new(kept, worker), test) else {
            println!("{}: {} fails by itself and judges nothing", test.suite, test.name);
            return Ok(());
        };
        let keys = numbers.into_iter().filter_map(|number| mutants.get(number)).map(|mutant| mutant.key.clone()).collect();
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(test.clone(), Reach { millis, mutants: keys });
        Ok(())
    })?;
    let found: Vec<(Test, Reach)> = found.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    write(&path, &found)?;
    Ok(found)
}

fn judge_all(
    (suites, kept): (&Suites, &Path),
    mutants: &[Mutant],
    wanted: &[usize],
    reaches: &[(Test, Reach)],
    keep: impl Fn(&str, Outcome) -> Result<(), String> + Sync,
) -> Result<(), String> {
    let done = AtomicUsize::new(0);
    in_parallel(wanted.len(), |worker, index| {
        let number = wanted[index];
        let mutant = &mutants[number];
        let outcome = judge(suites, &Worker::new(kept, worker), (mutant, number), reaches);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        match &outcome {
            Outcome::Survived | Outcome::Unreached => println!("{done} of {}: {}: {outcome:?}", wanted.len(), mutant.name),
            _ if done % 100 == 0 => println!("{done} of {}", wanted.len()),
            _ => {}
        }
        keep(&mutant.key, outcome)
    })
}

fn judge(suites: &Suites, worker: &Worker, (mutant, number): (&Mutant, usize), reaches: &[(Test, Reach)]) -> Outcome {
    let mut tests: Vec<(&Test, &Reach)> =
        reaches.iter().filter(|(_, reach)| reach.mutants.contains(&mutant.key)).map(|(test, reach)| (test, reach)).collect();
    if tests.is_empty() {
        return Outcome::Unreached;
    }
    tests.sort_by_key(|(_, reach)| (reach.millis > 1_000, reach.mutants.len(), reach.millis));
    let (first, rest) = tests.split_at(tests.len().min(FIRST));
    for tests in [first, rest] {
        match suites.judge(worker, tests.iter().copied(), number) {
            Ran::Passed => {}
            Ran::Failed(by) => return Outcome::Caught(by),
            Ran::TimedOut => return Outcome::TimedOut,
        }
    }
    Outcome::Survived
}

/// A mutant that only a build of its own can have: the library's tests first, for the others take longer to build than to run.
fn alone(tree: &Tree, mutants: &[Mutant], left: &Left, number: usize) -> Result<Outcome, String> {
    let left = Left { mutants: left.mutants.clone(), functions: left.functions.clone(), real: Some(number) };
    tree.write(mutants, &left)?;
    for suites in [&[], build::SUITES.as_slice()] {
        let Ok(programs) = build::tests(tree, suites) else { return Ok(Outcome::Unviable) };
        let suites = Suites::new(programs, &tree.folder);
        let all: Vec<(Test, Reach)> =
            suites.tests()?.into_iter().map(|test| (test, Reach { millis: 2_000, mutants: HashSet::new() })).collect();
        match suites.judge(&Worker::new(&tree.folder.with_file_name("alone"), 0), all.iter().map(|(test, reach)| (test, reach)), number) {
            Ran::Passed => {}
            Ran::Failed(by) => return Ok(Outcome::Caught(by)),
            Ran::TimedOut => return Ok(Outcome::TimedOut),
        }
    }
    Ok(Outcome::Survived)
}

fn in_parallel(count: usize, work: impl Fn(usize, usize) -> Result<(), String> + Sync) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|worker| {
                let (next, work) = (&next, &work);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        if index >= count {
                            return Ok(());
                        }
                        work(worker, index)?;
                    }
                })
            })
            .collect();
        handles.into_iter().try_for_each(|handle| handle.join().unwrap_or_else(|_| Err("a worker panicked".to_owned())))
    })
}

/// `tests/mutants/equivalent.txt`: keys of mutants that change nothing that anybody could see, and why.
fn equivalents(root: &Path) -> Result<HashMap<String, String>, String> {
    let path = root.join("tests/mutants/equivalent.txt");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut known = HashMap::new();
    let mut key = None;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        match (line.strip_prefix("    "), key.take()) {
            (Some(why), Some(key)) => known.insert(key, why.to_owned()),
            (None, None) => {
                key = Some(line.to_owned());
                None
            }
            _ => return Err(format!("{}: a mutant and, indented by four, its reason are wanted: {line}", path.display())),
        };
    }
    Ok(known)
}

/// Prints the totals; whether none survived that is not known to be equivalent.
fn report(root: &Path, mutants: &[Mutant], outcomes: &Outcomes) -> Result<bool, String> {
    let known = equivalents(root)?;
    let (mut caught, mut timed_out, mut unviable, mut equivalent, mut survived) = (0, 0, 0, 0, Vec::new());
    for mutant in mutants {
        match outcomes.get(&mutant.key) {
            Some(Outcome::Caught(_)) => caught += 1,
            Some(Outcome::TimedOut) => timed_out += 1,
            Some(Outcome::Unviable) => unviable += 1,
            Some(Outcome::Survived | Outcome::Unreached) if known.contains_key(&mutant.key) => equivalent += 1,
            Some(Outcome::Survived | Outcome::Unreached) | None => survived.push(mutant),
        }
    }
    for mutant in &survived {
        println!("survived: {}", mutant.key);
    }
    let mut sound = survived.is_empty();
    for key in known.keys() {
        let outcome = mutants.iter().any(|mutant| mutant.key == *key).then(|| outcomes.get(key)).flatten();
        if !matches!(outcome, Some(Outcome::Survived | Outcome::Unreached)) {
            println!("tests/mutants/equivalent.txt: \"{key}\" does not survive ({outcome:?}): take it out");
            sound = false;
        }
    }
    println!(
        "{} mutants: {caught} caught, {timed_out} by their time, {unviable} cannot be built, {equivalent} equivalent, {} survived",
        mutants.len(),
        survived.len()
    );
    Ok(sound)
}

fn read<T: for<'a> Deserialize<'a> + Default>(path: &Path) -> T {
    fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), String> {
    let bytes = serde_json::to_vec(value).map_err(|error| error.to_string())?;
    fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}
