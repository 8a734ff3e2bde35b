//! Panics: where they were, how many there were, and work that ends with one instead of taking with it what runs it.
//!
//! What a panic says is never shown by the program: it may quote what was sent. The place leads to the line.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use crate::telemetry::Repeats;

thread_local! {
    /// The place of the last panic of this thread that nobody has asked for.
    static PLACE: RefCell<Option<Box<str>>> = const { RefCell::new(None) };
}

/// Panics of this process.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// A request can cause a panic, and be sent again and again.
static LINES: Repeats<Box<str>> = Repeats::new(|place, times| tracing::error!(%place, times, "the program panicked"));

/// Work that panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it panicked at {place}")]
pub struct Panicked {
    /// File, line and column; `unknown` where panics are not [noted](note).
    pub place: Box<str>,
}

/// What becomes of the text that the standard library prints for a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// It is not printed: the log has the place, in the form of all its lines.
    Hidden,
    /// It is printed as well, such as for tests.
    Shown,
}

/// Has every panic of the process counted and its place written to the log. The first call counts.
pub fn note(text: Text) {
    static NOTED: Once = Once::new();
    NOTED.call_once(|| match text {
        Text::Hidden => std::panic::set_hook(Box::new(look)),
        Text::Shown => {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                look(panic);
                before(panic);
            }));
        }
    });
}

fn look(panic: &PanicHookInfo<'_>) {
    SEEN.fetch_add(1, Ordering::Relaxed);
    let place: Box<str> = panic.location().map_or_else(|| "unknown".into(), |place| place.to_string().into());
    // A thread that is just ending, or a panic while this runs, has no place to note.
    drop(PLACE.try_with(|last| last.try_borrow_mut().map(|mut last| *last = Some(place.clone()))));
    LINES.note(place);
}

/// Panics that were noted so far.
#[must_use]
pub fn seen() -> u64 {
    SEEN.load(Ordering::Relaxed)
}

/// Does the work, and gives back the panic that it ended with. Whoever asks makes sure that nothing the work was changing is used again as if
/// it were whole.
///
/// # Errors
/// When it panicked.
pub fn contain<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_text| {
        let place = PLACE.take().unwrap_or_else(|| "unknown".into());
        Panicked { place }
    })
}

/// A future whose panic is its output. It must not be polled again after that, and is dropped by whoever awaits it.
#[derive(Debug)]
pub struct Contained<F>(F);

/// Polls the future so that a panic ends it and nothing else.
pub const fn contained<F: Future + Unpin>(future: F) -> Contained<F> {
    Contained(future)
}

impl<F: Future + Unpin> Future for Contained<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match contain(|| Pin::new(&mut self.0).poll(cx)) {
            Ok(polled) => polled.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_output_with_its_place() {
        note(Text::Shown);
        let before = seen();
        let (line, column) = (line!() + 3, 13);
        let work = pin!(async {
            tokio::task::yield_now().await;
            panic!("of the test");
        });
        let panicked: Result<(), _> = contained(work).await;
        assert_eq!(panicked.unwrap_err().to_string(), format!("it panicked at {}:{line}:{column}", file!()));
        assert!(seen() > before);
        assert_eq!(contained(pin!(async { 7 })).await, Ok(7));
    }
}
