//! Changes that are tried on a copy of the state and made nowhere: whether a template would be refused is known before it is deployed.

use std::sync::Arc;

use tokio::sync::Mutex;

use super::OwnError;
use crate::clock::Timestamp;
use crate::directory::Directory;
use crate::state::{ChangeError, Changed};
use crate::store::{Change, Revision, Write};

/// The state as the changes tried so far would leave it.
#[derive(Debug)]
pub struct Rehearsal(Mutex<Arc<Directory>>);

impl Rehearsal {
    pub(super) fn new(directory: &Arc<Directory>) -> Self {
        Self(Mutex::new(Arc::clone(directory)))
    }

    /// The state so far.
    pub async fn directory(&self) -> Arc<Directory> {
        Arc::clone(&*self.0.lock().await)
    }

    /// Tries a change. What was written is there for the changes after it.
    pub(super) async fn change<T>(
        &self,
        at: Timestamp,
        plan: impl FnOnce(&Arc<Directory>) -> Result<(Vec<Write>, T), OwnError>,
    ) -> Result<Changed<T>, OwnError> {
        let mut directory = self.0.lock().await;
        let (writes, value) = plan(&directory)?;
        let revision = Revision(directory.registry().revision().0 + 1);
        let next = directory.apply(&Change { revision, at, writes });
        *directory = Arc::new(next.map_err(|error| ChangeError::<OwnError>::Store(error.into()))?);
        Ok(Changed { revision, value })
    }
}
