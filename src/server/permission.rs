//! What permitted a request that is on its way: asked again whenever that may have changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Gateway;
use crate::clock::Clock;
use crate::directory::Directory;
use crate::forward::Standing;
use crate::pipeline::{Context, Outbound};
use crate::rejection::Rejection;

/// How long a judgement lasts while nothing that was agreed changes: grants end to the second.
const JUDGEMENT_TIME_MAX: Duration = Duration::from_secs(1);

/// A forwarded request and the snapshot by which it is permitted.
#[derive(Debug, Clone)]
pub(super) struct Permission {
    gateway: Arc<Gateway>,
    pub(super) request: Arc<Outbound>,
    judged_by: Arc<Directory>,
    judged: Instant,
}

impl Permission {
    pub(super) fn new(gateway: &Arc<Gateway>, request: Outbound, context: &Context<'_>, judged: Instant) -> Self {
        let judged_by = Arc::clone(&context.directory);
        Self { gateway: Arc::clone(gateway), request: Arc::new(request), judged_by, judged }
    }

    /// What to say when it does not hold any more.
    pub(super) fn ended(&self) -> Rejection {
        match self.request.judge_again(&self.gateway.context()) {
            Err(refused) => *refused.rejection,
            // It was taken away and given back: what was cut off has to be sent again.
            Ok(()) => Rejection::Stale,
        }
    }
}

impl Standing for Permission {
    fn holds(&mut self) -> bool {
        // The process may have been stopped since.
        if !self.gateway.state.is_current() {
            return false;
        }
        let now = Clock::instant();
        let is_the_same = Arc::ptr_eq(&self.judged_by, &self.gateway.directory.borrow());
        if is_the_same && now.duration_since(self.judged) < JUDGEMENT_TIME_MAX {
            return true;
        }
        let context = self.gateway.context();
        let is_permitted = self.request.judge_again(&context).is_ok();
        (self.judged_by, self.judged) = (context.directory, now);
        is_permitted
    }
}
