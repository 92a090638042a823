//! One client's connection, of which is known whether the client is still there and whether it reads.
//!
//! HTTP looks for the end of a connection only while nothing unread lies before it: whoever says more behind a question
//! and goes would be waited on for as long as the answer takes, which may be for ever.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// So many bytes a client may say while an answer to it takes its time: a client that says more is let go.
const MOST_AHEAD: usize = 64 * 1024;

/// How a client behaves, as far as it matters to others; shared by who serves it and who makes room.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    has_asked: AtomicBool,
    waits: AtomicBool,
    begins_to_wait: Notify,
    /// Since when there has been something for it that it does not take.
    stuck: Mutex<Option<Instant>>,
}

impl Conduct {
    /// A whole request is there.
    pub fn asks(&self) {
        self.0.has_asked.store(true, Ordering::Relaxed);
    }

    /// Whether a whole request was ever there.
    pub fn has_asked(&self) -> bool {
        self.0.has_asked.load(Ordering::Relaxed)
    }

    /// Whether the client waits from now on for an answer that may take its time.
    pub fn waits(&self, waits: bool) {
        self.0.waits.store(waits, Ordering::Relaxed);
        if waits {
            self.0.begins_to_wait.notify_one();
        }
    }

    /// For how long it has not taken what is there for it; `None` if it takes it.
    pub fn stuck_for(&self) -> Option<Duration> {
        self.stuck().map(|since| since.elapsed())
    }

    async fn until_it_waits(&self) {
        while !self.0.waits.load(Ordering::Relaxed) {
            self.0.begins_to_wait.notified().await;
        }
    }

    fn stuck(&self) -> MutexGuard<'_, Option<Instant>> {
        // A moment is never half changed.
        self.0.stuck.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that one task both serves and listens to.
#[derive(Debug)]
pub(super) struct Line<S> {
    shared: Arc<Mutex<Shared<S>>>,
    conduct: Conduct,
}

#[derive(Debug)]
struct Shared<S> {
    stream: S,
    /// What the client has said and nobody has looked at.
    ahead: Vec<u8>,
}

impl<S> Line<S> {
    /// The connection by `stream` to a client that behaves like this.
    pub fn new(stream: S, conduct: Conduct) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared { stream, ahead: Vec::new() })), conduct }
    }

    fn shared(&self) -> MutexGuard<'_, Shared<S>> {
        // Only ever locked by one task, for one call; what that has left when it panicked is not used again.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Unpin> Line<S> {
    /// Returns when the client has gone while it waited, or has said too much meanwhile. To be awaited by the task that
    /// serves the client.
    pub async fn abandoned(self) {
        loop {
            self.conduct.until_it_waits().await;
            if poll_fn(|context| self.poll_ahead(context)).await {
                return;
            }
        }
    }

    /// Takes in what the client says while it waits: true if it has gone, false if it waits no longer.
    fn poll_ahead(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut shared = self.shared();
        while self.conduct.0.waits.load(Ordering::Relaxed) {
            if shared.ahead.len() > MOST_AHEAD {
                return Poll::Ready(true);
            }
            let mut bytes = [0; 4096];
            let mut bytes = ReadBuf::new(&mut bytes);
            match ready!(Pin::new(&mut shared.stream).poll_read(context, &mut bytes)) {
                Ok(()) if bytes.filled().is_empty() => return Poll::Ready(true),
                Ok(()) => shared.ahead.extend_from_slice(bytes.filled()),
                Err(_) => return Poll::Ready(true),
            }
            // Whoever serves the client may have found nothing to read a moment ago.
            context.waker().wake_by_ref();
        }
        Poll::Ready(false)
    }
}

impl<S> Clone for Line<S> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), conduct: self.conduct.clone() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.shared();
        if shared.ahead.is_empty() {
            return Pin::new(&mut shared.stream).poll_read(context, into);
        }
        let count = into.remaining().min(shared.ahead.len());
        into.put_slice(&shared.ahead[..count]);
        shared.ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Line<S> {
    fn poll_out<T>(&self, mut write: impl FnMut(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.shared().stream));
        let mut stuck = self.conduct.stuck();
        match written {
            Poll::Ready(_) => *stuck = None,
            Poll::Pending => {
                stuck.get_or_insert_with(Instant::now);
            }
        }
        written
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_out(|stream| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_out(|stream| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.shared().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(|stream| stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_out(|stream| stream.poll_shutdown(context))
    }
}
