//! Tables and their versions. Each step is a transaction of its own, under a lock that only one gateway of a fleet gets.

use tokio_postgres::{Client, Error, GenericClient, IsolationLevel};

use super::super::error::StoreError;
use super::failure::failed;
use crate::ids::Epoch;

/// The schema that holds our tables, in whatever database.
pub(super) const SCHEMA: &str = "steward";
/// Names the lock: the letters `Stwd` and a number.
const MIGRATION_LOCK: i64 = 0x5374_7764_0000_0001;

/// Forward only, and never changed once released: the step at index n leads to version n + 1.
const MIGRATIONS: [&str; 1] = [include_str!("0001.sql")];

fn known() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// Refuses a schema that this program does not know; an older one is fine, it is about to be migrated.
pub(super) async fn check(name: &str, client: &Client) -> Result<u32, StoreError> {
    let found = version(client).await.map_err(|cause| failed(name, cause))?;
    let found = u32::try_from(found).unwrap_or(u32::MAX);
    if found > known() {
        return Err(StoreError::Newer { store: name.into(), found, known: known() });
    }
    Ok(found)
}

async fn version(client: &impl GenericClient) -> Result<i32, Error> {
    if !exists(client, "SELECT FROM pg_tables WHERE schemaname = $1 AND tablename = 'schema_version'").await? {
        return Ok(0);
    }
    client.query_one(&format!("SELECT version FROM {SCHEMA}.schema_version"), &[]).await?.try_get(0)
}

/// By the tables of the catalogue: its functions answer from a cache that may not know yet what was committed while a lock was waited for.
async fn exists(client: &impl GenericClient, sql: &str) -> Result<bool, Error> {
    client.query_one(&format!("SELECT EXISTS ({sql})"), &[&SCHEMA]).await?.try_get(0)
}

/// Whether there are steps to take.
pub(super) async fn is_older(name: &str, client: &Client) -> Result<bool, StoreError> {
    Ok(check(name, client).await? < known())
}

/// Refuses a schema that would have to be migrated first.
pub(super) async fn check_current(name: &str, client: &Client) -> Result<(), StoreError> {
    match check(name, client).await? {
        found if found < known() => Err(StoreError::Older { store: name.into(), found, known: known() }),
        _current => Ok(()),
    }
}

/// Brings the schema up to date.
pub(super) async fn migrate(name: &str, client: &mut Client) -> Result<(), StoreError> {
    while is_older(name, client).await? {
        utf8(name, client).await?;
        step(client).await.map_err(|cause| failed(name, cause))?;
    }
    Ok(())
}

async fn utf8(name: &str, client: &Client) -> Result<(), StoreError> {
    let encoding = client.query_one("SELECT current_setting('server_encoding')", &[]).await.and_then(|row| row.try_get::<_, String>(0));
    match encoding.map_err(|cause| failed(name, cause))? {
        encoding if encoding == "UTF8" => Ok(()),
        encoding => {
            let cause = format!("its encoding is {encoding}; make the database with `ENCODING 'UTF8' TEMPLATE template0`").into();
            Err(StoreError::Failed { store: name.into(), cause })
        }
    }
}

/// The next step, unless another gateway was faster.
async fn step(client: &mut Client) -> Result<(), Error> {
    let transaction = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await?;
    let found = version(&transaction).await?;
    let Some(sql) = usize::try_from(found).ok().and_then(|found| MIGRATIONS.get(found)) else {
        return Ok(());
    };
    // `IF NOT EXISTS` would ask for the right to make one where an operator has made it for us.
    if !exists(&transaction, "SELECT FROM pg_namespace WHERE nspname = $1").await? {
        transaction.batch_execute(&format!("CREATE SCHEMA {SCHEMA}")).await?;
    }
    transaction.batch_execute(sql).await?;
    transaction.execute("UPDATE schema_version SET version = $1", &[&found.saturating_add(1)]).await?;
    let begin = "INSERT INTO counter (one, epoch, revision) VALUES (1, $1, 0) ON CONFLICT DO NOTHING";
    transaction.execute(begin, &[&Epoch::random().to_string()]).await?;
    transaction.commit().await
}
