//! Where a test keeps its store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use steward::store::{Store, StoreConfig, StoreError, StoreUrl};

/// A store that nobody else uses, removed in the end.
pub struct Place {
    folder: PathBuf,
}

impl Place {
    pub fn sqlite() -> Self {
        let folder = std::env::temp_dir().join(format!("steward-store-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of an embedded store.
    pub fn file(&self) -> PathBuf {
        self.folder.join("state.db")
    }

    pub fn config(&self) -> StoreConfig {
        StoreConfig::new(StoreUrl::Sqlite(self.file()))
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.unwrap()
    }

    pub async fn try_open(&self) -> Result<Arc<dyn Store>, StoreError> {
        steward::store::open(&self.config()).await
    }

    /// The store as another gateway sees it; an embedded one has but one.
    pub async fn open_again(&self, first: &Arc<dyn Store>) -> Arc<dyn Store> {
        Arc::clone(first)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// How long a test waits for what has to happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Asks until the answer is there.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> impl Future<Output = T> {
    let asked = async move {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let what = format!("{what} did not happen (asked at {})", std::panic::Location::caller());
    async move { tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_late| panic!("{what}")) }
}
