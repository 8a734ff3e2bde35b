//! stub
#![allow(missing_docs)]
use crate::clock::Timestamp;
use crate::ids::SessionId;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Revision(pub u64);
impl std::fmt::Display for Revision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch(u128);
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectKey {
    pub kind: Box<str>,
    pub name: Box<str>,
}
#[derive(Debug, Clone)]
pub struct Write {
    pub key: ObjectKey,
    pub body: Option<Arc<str>>,
}
#[derive(Debug, Clone)]
pub struct Change {
    pub revision: Revision,
    pub at: Timestamp,
    pub writes: Vec<Write>,
}
#[derive(Debug, Clone)]
pub struct Object {
    pub key: ObjectKey,
    pub revision: Revision,
    pub body: Arc<str>,
}
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub epoch: Epoch,
    pub revision: Revision,
    pub objects: Vec<Object>,
}
#[derive(Debug)]
pub enum Tail {
    Changes(Vec<Change>),
    Trimmed,
}
#[derive(Debug)]
pub struct Heard {
    pub tail: Tail,
    pub fence: Revision,
}
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("x")]
    X,
}
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("x")]
    Conflict { head: Revision },
    #[error("x")]
    Store(StoreError),
    #[error("x")]
    Unknown(StoreError),
}
pub trait Store: Send + Sync + std::fmt::Debug {
    fn snapshot(&self) -> BoxFuture<'_, Result<Snapshot, StoreError>>;
    fn commit<'a>(&'a self, base: Revision, at: Timestamp, writes: &'a [Write]) -> BoxFuture<'a, Result<Revision, CommitError>>;
    fn poll(&self, session: SessionId, epoch: Epoch, applied: Revision) -> BoxFuture<'_, Result<Heard, StoreError>>;
    fn leave(&self, session: SessionId) -> BoxFuture<'_, Result<(), StoreError>>;
    fn changes(&self, after: Revision, limit: usize) -> BoxFuture<'_, Result<Tail, StoreError>>;
    fn woken(&self) -> watch::Receiver<u64>;
    fn lease(&self) -> Option<Duration>;
}
#[derive(Debug, Clone)]
pub enum StoreUrl {
    Sqlite(PathBuf),
}
impl StoreUrl {
    pub fn parse(_t: &str, f: &Path) -> Result<Self, StoreError> {
        Ok(Self::Sqlite(f.into()))
    }
}
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub url: StoreUrl,
    pub lease: Duration,
}
impl StoreConfig {
    pub fn new(url: StoreUrl) -> Self {
        Self { url, lease: Duration::ZERO }
    }
}
pub async fn open(_: &StoreConfig) -> Result<Arc<dyn Store>, StoreError> {
    Err(StoreError::X)
}
