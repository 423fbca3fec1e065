//! A lane: the place of one shared connection.

use crate::Failure;
use std::cell::RefCell;

/// A connection that many calls share.
pub(crate) trait Link: Clone {
    /// Whether it still carries new calls.
    fn is_open(&self) -> bool;
}

/// The place of one shared connection: opened when it is first needed, and again after a cut.
#[derive(Debug)]
pub(crate) struct Lane<L> {
    link: RefCell<Option<L>>,
    dialing: tokio::sync::Mutex<()>,
}

impl<L: Link> Lane<L> {
    pub(crate) fn new() -> Self {
        Self {
            link: RefCell::new(None),
            dialing: tokio::sync::Mutex::new(()),
        }
    }

    /// The open connection, if there is one.
    pub(crate) fn link(&self) -> Option<L> {
        let link = self.link.borrow();
        link.as_ref().filter(|link| link.is_open()).cloned()
    }

    /// The open connection, or a new one; calls that come meanwhile wait for the same attempt.
    pub(crate) async fn open(
        &self,
        dial: impl AsyncFnOnce() -> Result<L, Failure>,
    ) -> Result<L, Failure> {
        let _turn = self.dialing.lock().await;
        if let Some(link) = self.link() {
            return Ok(link);
        }
        // Boxed for the same reason as in `Dialer::dial`.
        let link = Box::pin(dial()).await?;
        self.link.replace(Some(link.clone()));
        Ok(link)
    }
}
