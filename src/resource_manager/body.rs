//! The body of an answer on its way out: whole, or hurt by a fault.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::faults::Fault;

/// A body in steps.
#[derive(Debug)]
pub(super) struct AnswerBody {
    /// What was announced, even if less will come.
    length: u64,
    steps: VecDeque<Step>,
    waiting: Option<Pin<Box<Sleep>>>,
}

#[derive(Debug)]
enum Step {
    Cut,
    Data(Bytes),
    Wait(Duration),
}

/// A fault closed the connection.
#[derive(Debug, thiserror::Error)]
#[error("a fault cut the connection")]
pub(super) struct Cut;

impl AnswerBody {
    /// The whole body at once.
    pub(super) fn whole(body: Bytes) -> Self {
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        let steps = if body.is_empty() { VecDeque::new() } else { VecDeque::from([Step::Data(body)]) };
        Self { length, steps, waiting: None }
    }

    /// The body as a fault wants it.
    pub(super) fn hurt(body: Bytes, fault: &Fault) -> Self {
        if fault.drop_connection {
            // A body that fails before its first byte takes the unsent head with it.
            return Self { length: 1, steps: VecDeque::from([Step::Cut]), waiting: None };
        }
        if !fault.cut_body && fault.body_delay_ms == 0 {
            return Self::whole(body);
        }
        let mut hurt = Self::whole(Bytes::new());
        // An empty body has no middle, so one byte is announced that never comes.
        hurt.length = u64::try_from(body.len()).unwrap_or(u64::MAX).max(u64::from(fault.cut_body));
        let mut second = body;
        let first = second.split_to(second.len() / 2);
        hurt.steps.push_back(Step::Data(first));
        hurt.steps.push_back(Step::Wait(Duration::from_millis(fault.body_delay_ms).max(FLUSH_TIME)));
        hurt.steps.push_back(if fault.cut_body { Step::Cut } else { Step::Data(second) });
        hurt
    }
}

/// Long enough for the first half to leave before the connection is cut.
const FLUSH_TIME: Duration = Duration::from_millis(20);

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes)
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if let Some(sleep) = &mut self.waiting {
                if sleep.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.waiting = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Data(data)) if data.is_empty() => {}
                Some(Step::Data(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Step::Wait(time)) => self.waiting = Some(Box::pin(tokio::time::sleep(time))),
                Some(Step::Cut) => return Poll::Ready(Some(Err(Cut))),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.waiting.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length)
    }
}
