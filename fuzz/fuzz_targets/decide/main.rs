//! Any inputs of the pure decisions: they are total, give the same answer twice, and keep what the tables of `docs/sync-semantics.md` promise.
//!
//! merge, plan, correlate, guard and resolve are private to the engine, so their files stand here a second time, under the module names that they
//! expect (as `make mutants` takes them out). What must hold is written here anew, from the tables and not from the code. Digests are small
//! numbers, so that values meet often; values are told apart by their digests alone.
#![no_main]

mod brakes;
mod fields;
mod newcomers;
mod pairs;
mod proofs;

use arbitrary::Arbitrary;
use contactbridge::{local, mapping, model};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

// Not everything of these files is called from here.
#[allow(dead_code)]
#[path = "."]
mod sync {
    #[path = "../../../src/sync/correlate.rs"]
    pub mod correlate;
    #[path = "../../../src/sync/guard.rs"]
    pub mod guard;
    #[path = "../../../src/sync/merge.rs"]
    pub mod merge;
    #[path = "../../../src/sync/plan.rs"]
    pub mod plan;
    #[path = "../../../src/sync/report.rs"]
    pub mod report;
    #[path = "../../../src/sync/resolve.rs"]
    pub mod resolve;
    #[path = "../../../src/sync/view.rs"]
    pub mod view;

    #[path = "."]
    pub mod memory {
        #[path = "../../../src/sync/memory/link.rs"]
        mod link;
        pub use link::{Base, Link, Side};
    }
}

#[derive(Arbitrary, Debug)]
enum Input {
    Pair(pairs::Pair),
    Newcomers(newcomers::People),
    Brakes(brakes::Brakes),
    Proofs(proofs::Proof),
}

fuzz_target!(|input: Input| {
    match &input {
        Input::Pair(pair) => {
            bounded(&[], || pairs::check(pair));
            bounded(&[], || fields::check(pair));
        }
        Input::Newcomers(people) => bounded(&[], || newcomers::check(people)),
        Input::Brakes(brakes) => bounded(&[], || brakes::check(brakes)),
        Input::Proofs(proof) => {
            let text = proof.text.as_deref().unwrap_or_default().as_bytes();
            bounded(text, || proofs::check(proof));
        }
    }
});
