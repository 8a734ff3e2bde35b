//! The deployments that this gateway carries out at the moment: how many there may be, and how they end with it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::DeploymentError;
use crate::clock::Timestamp;
use crate::directory::entity::Deployment;
use crate::https::{Drained, Stop};
use crate::identity::Owner;
use crate::ids::OperationId;
use crate::shares::Taken;

/// Deployments that a gateway carries out at once. Each holds its expanded template in memory.
const AT_ONCE_MAX: usize = 64;
/// Those of them whose callers are of one tenant; fewer where others leave less than twice as many.
const OF_A_TENANT_MAX: usize = 16;
/// How long deployments that have to stop may take to end what they are at, and to have that kept.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// The deployments of a gateway that are under way.
#[derive(Debug, Default)]
pub struct Deployments {
    taken: watch::Sender<Taken>,
    is_stopped: watch::Sender<bool>,
    shown: watch::Sender<HashMap<OperationId, watch::Receiver<Deployment>>>,
}

/// A deployment that counts as long as this is there.
#[derive(Debug)]
pub(super) struct Turn {
    all: Arc<Deployments>,
    owner: Owner,
}

/// A deployment whose progress is known here as long as this is there.
#[derive(Debug)]
pub(super) struct Shown {
    all: Arc<Deployments>,
    operation: OperationId,
}

impl Deployments {
    /// Lets everybody who asks here know what becomes of a deployment.
    pub(super) fn show(self: &Arc<Self>, progress: &watch::Sender<Deployment>) -> Shown {
        let (operation, receiver) = (progress.borrow().operation, progress.subscribe());
        self.shown.send_modify(|shown| drop(shown.insert(operation, receiver)));
        Shown { all: Arc::clone(self), operation }
    }

    /// What a deployment that is carried out here has come to.
    pub(super) fn progress(&self, operation: OperationId) -> Option<watch::Receiver<Deployment>> {
        self.shown.borrow().get(&operation).cloned()
    }

    /// Counts one more deployment of this one's tenant.
    pub(super) fn take(self: &Arc<Self>, owner: Owner) -> Result<Turn, DeploymentError> {
        if self.is_stopped() {
            return Err(DeploymentError::Stopping);
        }
        let mut full = None;
        let _is_taken = self.taken.send_if_modified(|taken| {
            let max = taken.most(owner, AT_ONCE_MAX).min(OF_A_TENANT_MAX);
            full = match taken.of(owner) {
                of_tenant if of_tenant < max => None,
                0 => Some(DeploymentError::Many { max: AT_ONCE_MAX, of_tenant: false }),
                _ => Some(DeploymentError::Many { max, of_tenant: true }),
            };
            if full.is_none() {
                taken.add(owner, 1);
            }
            full.is_none()
        });
        full.map_or_else(|| Ok(Turn { all: Arc::clone(self), owner }), Err)
    }

    /// Whether no part may begin any more.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.is_stopped.borrow()
    }

    /// After the signal deployments have as long as requests in flight to end by themselves. Then they begin nothing further, and what
    /// they came to is kept.
    pub async fn drain(&self, mut stop: Stop, drain_time_max: Duration) -> Drained {
        drop(stop.wait_for(|on| *on).await);
        let drained = if timeout(drain_time_max, self.ended()).await.is_ok() { Drained::Clean } else { Drained::Cut };
        self.is_stopped.send_replace(true);
        // What does not end by then is told as cut off, by its silence.
        drop(timeout(STOP_TIME_MAX, self.ended()).await);
        drained
    }

    async fn ended(&self) {
        drop(self.taken.subscribe().wait_for(Taken::is_empty).await);
    }
}

/// A deployment as it is told where it is carried out: its parts from there; how it ended, such as by a cancellation, from what is kept.
pub(super) fn newest(kept: &Deployment, progress: &Deployment, now: Timestamp) -> Deployment {
    let (state, ended_at, error) = (kept.state, kept.ended_at, kept.error.clone());
    Deployment { state, ended_at, error, seen_at: Some(now), ..progress.clone() }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.all.shown.send_modify(|shown| drop(shown.remove(&self.operation)));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.all.taken.send_modify(|taken| taken.remove(self.owner, 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::directory::entity::DeploymentState;
    use crate::identity::Standing;
    use crate::management::deployments::run::SILENCE_MAX;
    use crate::management::deployments::show::is_under_way;
    use crate::management::deployments::show::tests::begun;
    use crate::shares::configured;

    #[test]
    fn a_tenant_has_its_share_of_what_there_is_and_gets_it_back() {
        let all = Arc::new(Deployments::default());
        let every = |number: u8| std::iter::from_fn(|| all.take(configured(number)).ok()).collect::<Vec<Turn>>();
        let mut turns: Vec<Vec<Turn>> = (1..=9).map(every).collect();
        assert_eq!(turns.iter().map(Vec::len).collect::<Vec<_>>(), [16, 16, 16, 8, 4, 2, 1, 1, 0]);
        assert_eq!(all.take(configured(1)).unwrap_err(), DeploymentError::Many { max: 8, of_tenant: true });
        assert_eq!(all.take(configured(9)).unwrap_err(), DeploymentError::Many { max: AT_ONCE_MAX, of_tenant: false });
        drop(turns.remove(0).pop());
        turns.push(vec![all.take(configured(9)).unwrap()]);
        turns.clear();
        assert!(all.taken.borrow().is_empty(), "nothing is kept of tenants that have none");
    }

    #[test]
    fn visitors_leave_half_of_them() {
        let all = Arc::new(Deployments::default());
        let visitor = |number: u8| Owner { standing: Standing::Visitor, ..configured(number) };
        let held: Vec<Turn> = (1..=40).filter_map(|number| all.take(visitor(number)).ok()).collect();
        assert_eq!(held.len(), AT_ONCE_MAX / 2);
        assert_eq!(all.take(visitor(50)).unwrap_err(), DeploymentError::Many { max: AT_ONCE_MAX, of_tenant: false });
        let own: Vec<Turn> = std::iter::from_fn(|| all.take(configured(51)).ok()).collect();
        assert_eq!(own.len(), OF_A_TENANT_MAX);
    }

    #[test]
    fn progress_is_known_until_the_end_and_a_cancellation_is_not_hidden_by_it() {
        let at = Clock::system().now();
        let later = at.checked_add(2 * SILENCE_MAX).unwrap();
        let (all, kept) = (Arc::new(Deployments::default()), begun(at));
        let progress = watch::Sender::new(kept.clone());
        let shown = all.show(&progress);
        progress.send_modify(|deployment| deployment.resources.clear());
        let known = all.progress(kept.operation).unwrap();
        let told = newest(&kept, &known.borrow(), later);
        assert_eq!((told.resources.len(), is_under_way(&told, later)), (0, true));
        let canceled = Deployment { state: DeploymentState::Canceled, ended_at: Some(at), error: Some("e".into()), ..kept.clone() };
        let told = newest(&canceled, &known.borrow(), later);
        assert_eq!((told.state, told.ended_at, told.error, told.resources.len()), (canceled.state, Some(at), canceled.error, 0));
        drop(shown);
        assert!(all.progress(kept.operation).is_none());
    }

    #[tokio::test]
    async fn who_is_under_way_at_the_end_has_time_and_is_then_told_to_stop() {
        let (stop, stopped) = watch::channel(false);
        let all = Arc::new(Deployments::default());
        let turn = all.take(configured(1)).unwrap();
        let ending = tokio::spawn({
            let all = Arc::clone(&all);
            async move { all.drain(stopped, Duration::ZERO).await }
        });
        stop.send_replace(true);
        all.is_stopped.subscribe().wait_for(|stopped| *stopped).await.unwrap();
        drop(turn);
        assert_eq!(ending.await.unwrap(), Drained::Cut);
        assert_eq!(all.take(configured(1)).unwrap_err(), DeploymentError::Stopping);

        let all = Deployments::default();
        assert_eq!(all.drain(stop.subscribe(), Duration::from_secs(30)).await, Drained::Clean);
    }
}
