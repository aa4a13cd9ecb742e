//! Taking a bridge's store and giving it back: the one place that knows for how long a store is held.

use std::rc::Rc;

use super::work::Work;
use crate::model::{Error, Result};

/// For how long a store is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tenure {
    /// From the first success to the end: an embedded store has one owner.
    Always,
    /// For the length of a pass: a store that many machines share is there for whoever comes first.
    PerPass,
}

/// The store of one bridge, while it is held. Others on this thread may share it; it is closed when the last has let go.
pub struct Hold<W: Work> {
    tenure: Tenure,
    store: Option<Rc<W::Store>>,
}

impl<W: Work> Hold<W> {
    /// Holds nothing yet.
    pub fn new(tenure: Tenure) -> Self {
        Self {
            tenure,
            store: None,
        }
    }

    /// Whether the store is held between passes.
    pub fn keeps(&self) -> bool {
        self.tenure == Tenure::Always
    }

    /// The store, if it is held.
    pub fn held(&self) -> Option<Rc<W::Store>> {
        self.store.clone()
    }

    /// The store, taken if it is not held. The second value says whether it was taken just now.
    pub async fn take(&mut self, work: &W) -> Result<(Rc<W::Store>, bool)> {
        if let Some(store) = &self.store {
            return Ok((Rc::clone(store), false));
        }
        let store = Rc::new(work.open().await?);
        self.store = Some(Rc::clone(&store));
        Ok((store, true))
    }

    /// After a pass, which ended with `error`: gives back what is not to be held any longer.
    pub fn after_pass(&mut self, work: &W, error: Option<&Error>) {
        match self.tenure {
            // A store that failed refuses everything more until it is opened again.
            Tenure::Always if error.is_some_and(spoils_store) => self.give_back(work),
            Tenure::Always => {}
            Tenure::PerPass => self.give_back(work),
        }
    }

    /// Closes the store, unless somebody on this thread still has it.
    pub fn give_back(&mut self, work: &W) {
        let Some(store) = self.store.take() else {
            return;
        };
        match Rc::try_unwrap(store) {
            Ok(store) => {
                if let Err(error) = work.close(store) {
                    tracing::warn!(code = error.code(), "{}", error.message());
                }
            }
            // Dropped by whoever lets go last: what was committed is durable in any case.
            Err(shared) => drop(shared),
        }
    }
}

/// Whether a pass that ended so may have left its store unusable.
fn spoils_store(error: &Error) -> bool {
    error.code().starts_with("E-STATE") || matches!(error.code(), "E-DISK" | "E-PANIC")
}
