use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use tokio::task::JoinHandle;

use super::*;

const WAIT_MAX: Duration = Duration::from_secs(30);

/// A running watcher over a folder of its own.
struct Running {
    folder: PathBuf,
    handle: PolicyHandle,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn tenant(name: &str) -> String {
    format!("[[tenant]]\nkey = \"t\"\nid = \"00000001-0000-4000-8000-000000000000\"\nname = \"{name}\"\n")
}

fn new_folder() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("steward-watch-{}", uuid::Uuid::new_v4()));
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn run(folder: PathBuf) -> Running {
    let clock = Clock::system();
    let options = LoadOptions::new(clock.now());
    let (mut watcher, handle) = Watcher::start(PolicySource::Folder(folder.clone()), options, clock).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move { watcher.run(async { drop(stopped.await) }).await });
    Running { folder, handle, stop, task }
}

impl Running {
    fn name(&self) -> String {
        self.handle.directory().borrow().tenants().next().unwrap().name.to_string()
    }

    async fn until(&self, describe: &str, reached: impl FnMut(&LoadStatus) -> bool) -> LoadStatus {
        let mut status = self.handle.status();
        let waited = time::timeout(WAIT_MAX, status.wait_for(reached)).await;
        waited.unwrap_or_else(|_| panic!("not seen: {describe}")).unwrap().clone()
    }

    async fn end(self) {
        drop(self.stop);
        self.task.await.unwrap();
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn replace(folder: &Path, text: &str) {
    fs::write(folder.join(".new"), text).unwrap();
    fs::rename(folder.join(".new"), folder.join("tenants.toml")).unwrap();
}

#[tokio::test]
async fn a_file_renamed_over_the_old_one_is_taken_up() {
    let folder = new_folder();
    replace(&folder, &tenant("before"));
    let running = run(folder);
    assert_eq!((running.name(), running.handle.status().borrow().revision), ("before".to_owned(), 1));
    replace(&running.folder, &tenant("after"));
    let status = running.until("revision 2", |status| status.revision == 2).await;
    assert_eq!((running.name(), status.outcome, status.applied), ("after".to_owned(), LoadOutcome::Applied, 2));
    running.end().await;
}

#[tokio::test]
async fn a_swapped_kubernetes_link_is_taken_up() {
    let folder = new_folder();
    for (version, name) in [("..1", "before"), ("..2", "after")] {
        fs::create_dir(folder.join(version)).unwrap();
        fs::write(folder.join(version).join("tenants.toml"), tenant(name)).unwrap();
    }
    symlink("..1", folder.join("..data")).unwrap();
    symlink("..data/tenants.toml", folder.join("tenants.toml")).unwrap();
    let running = run(folder);
    assert_eq!(running.name(), "before");
    symlink("..2", running.folder.join("..data_tmp")).unwrap();
    fs::rename(running.folder.join("..data_tmp"), running.folder.join("..data")).unwrap();
    running.until("revision 2", |status| status.revision == 2).await;
    assert_eq!(running.name(), "after");
    running.end().await;
}

#[tokio::test]
async fn a_replaced_folder_is_found_by_looking() {
    let folder = new_folder();
    replace(&folder, &tenant("before"));
    let running = run(folder);
    let other = new_folder();
    replace(&other, &tenant("after"));
    fs::rename(&running.folder, other.with_extension("old")).unwrap();
    fs::rename(&other, &running.folder).unwrap();
    running.until("the other folder", |status| status.revision == 2).await;
    assert_eq!(running.name(), "after");
    replace(&running.folder, &tenant("later"));
    running.until("a change of the other folder", |status| status.revision == 3).await;
    fs::remove_dir_all(other.with_extension("old")).unwrap();
    running.end().await;
}

#[tokio::test]
async fn a_broken_set_keeps_the_snapshot_and_says_what_is_wrong() {
    let folder = new_folder();
    replace(&folder, &tenant("before"));
    let running = run(folder);
    replace(&running.folder, "[[tennant]]\n");
    let status = running.until("a refused set", |status| status.outcome == LoadOutcome::Refused).await;
    assert_eq!((running.name(), status.revision, status.refused), ("before".to_owned(), 1, 1));
    let failure = status.failure.unwrap();
    assert!(failure.contains("error[table.unknown]") && failure.contains("tenants.toml:1:3"), "{failure}");
    replace(&running.folder, &tenant("repaired"));
    let status = running.until("the repaired set", |status| status.outcome == LoadOutcome::Applied).await;
    assert_eq!((running.name(), status.revision, status.failure), ("repaired".to_owned(), 2, None));
    running.end().await;
}

#[tokio::test]
async fn a_requested_reload_answers_with_its_outcome() {
    let folder = new_folder();
    replace(&folder, &tenant("before"));
    let running = run(folder);
    let unchanged = running.handle.reload().await.unwrap();
    assert_eq!((unchanged.outcome, unchanged.revision), (LoadOutcome::Unchanged, 1));
    replace(&running.folder, &tenant("after"));
    let changed = running.handle.reload().await.unwrap();
    assert_eq!((running.name(), changed.revision), ("after".to_owned(), 2));
    let handle = running.handle.clone();
    running.end().await;
    assert_eq!(handle.reload().await.unwrap_err(), Stopped);
}

#[test]
fn a_process_does_not_start_without_policies() {
    let folder = new_folder();
    let clock = Clock::system();
    let options = LoadOptions::new(clock.now());
    let refused = Watcher::start(PolicySource::Folder(folder.clone()), options, clock).unwrap_err();
    assert_eq!(refused.list().first().unwrap().code, "folder.empty");
    fs::remove_dir_all(folder).unwrap();
}
