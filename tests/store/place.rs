//! Where a test keeps its store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use steward::store::{Store, StoreConfig, StoreError, StoreUrl};

use crate::postgres::Cluster;

/// A store that nobody else uses, removed in the end.
pub struct Place {
    folder: PathBuf,
    database: Option<(String, Arc<Cluster>)>,
}

impl Place {
    pub fn sqlite() -> Self {
        Self::with(None)
    }

    pub async fn postgres() -> Self {
        let cluster = Cluster::shared().await;
        Self::with(Some((cluster.database(), cluster)))
    }

    /// An empty one of the same kind.
    pub async fn another(&self) -> Self {
        match self.database {
            Some(_) => Self::postgres().await,
            None => Self::sqlite(),
        }
    }

    fn with(database: Option<(String, Arc<Cluster>)>) -> Self {
        let folder = std::env::temp_dir().join(format!("steward-store-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&folder).unwrap();
        Self { folder, database }
    }

    /// A folder for whatever a test writes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of an embedded store.
    pub fn file(&self) -> PathBuf {
        self.folder.join("state.db")
    }

    pub fn config(&self) -> StoreConfig {
        StoreConfig::new(match &self.database {
            Some((url, _cluster)) => url.parse().unwrap(),
            None => StoreUrl::Sqlite(self.file()),
        })
    }

    pub async fn open(&self) -> Arc<dyn Store> {
        self.try_open().await.unwrap()
    }

    pub async fn try_open(&self) -> Result<Arc<dyn Store>, StoreError> {
        steward::store::open(&self.config()).await
    }

    /// The store as another gateway sees it; an embedded one has but one.
    pub async fn open_again(&self, first: &Arc<dyn Store>) -> Arc<dyn Store> {
        match self.database {
            Some(_) => self.open().await,
            None => Arc::clone(first),
        }
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
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_late| panic!("{what} did not happen"))
}
