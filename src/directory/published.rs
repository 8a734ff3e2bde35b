//! The one place that the snapshot in use is read from and replaced in.

use std::sync::Arc;

use tokio::sync::watch;

use super::Directory;

/// Attempts without holding anybody up; the one after that holds readers up for as long as it takes.
const OPTIMISTIC_MAX: usize = 8;

/// The snapshot in use. Clones share it.
#[derive(Debug, Clone)]
pub struct Published(Arc<watch::Sender<Arc<Directory>>>);

impl Published {
    /// Begins with this one.
    #[must_use]
    pub fn new(first: Directory) -> Self {
        Self(Arc::new(watch::Sender::new(Arc::new(first))))
    }

    /// The snapshot in use, and the ones to come.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Arc<Directory>> {
        self.0.subscribe()
    }

    /// The snapshot in use.
    #[must_use]
    pub fn current(&self) -> Arc<Directory> {
        Arc::clone(&self.0.borrow())
    }

    /// Replaces the snapshot by what `make` makes of it.
    pub fn update(&self, mut make: impl FnMut(&Directory) -> Directory) {
        let made: Result<(), std::convert::Infallible> = self.try_update(|current| Ok(Some(make(current))));
        match made {
            Ok(()) => {}
            Err(never) => match never {},
        }
    }

    /// The same for a step that may fail, or find nothing to do. What `make` makes is made again when somebody else replaced the
    /// snapshot meanwhile, so it must depend on its argument only.
    ///
    /// # Errors
    /// Those of `make`; the snapshot stays.
    pub fn try_update<E>(&self, mut make: impl FnMut(&Directory) -> Result<Option<Directory>, E>) -> Result<(), E> {
        for _ in 0..OPTIMISTIC_MAX {
            let before = self.current();
            let Some(next) = make(&before)?.map(Arc::new) else { return Ok(()) };
            let replaced = self.0.send_if_modified(|current| {
                let unchanged = Arc::ptr_eq(current, &before);
                if unchanged {
                    *current = Arc::clone(&next);
                }
                unchanged
            });
            if replaced {
                return Ok(());
            }
        }
        let mut outcome = Ok(());
        self.0.send_if_modified(|current| match make(current) {
            Ok(Some(next)) => {
                *current = Arc::new(next);
                true
            }
            Ok(None) => false,
            Err(error) => {
                outcome = Err(error);
                false
            }
        });
        outcome
    }
}
