//! What every target asserts of every input: so much time and so much memory, and no more (reliability, section 3.4).

use std::alloc::System;
use std::panic;
use std::sync::Once;
use std::time::Duration;

use cap::Cap;
use contactbridge::mapping::Mapping;
use contactbridge::model::Vocabulary;
use cpu_time::ThreadTime;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// An input's size, of which the bounds are multiples.
const SIZE: usize = 64 * 1024;
/// CPU time for each [`SIZE`].
const TIME: Duration = Duration::from_millis(50);
/// Memory for each [`SIZE`].
const BYTES: usize = 64 * 1024 * 1024;

/// Runs `work` on an input. More memory than its bound ends the process where it is asked for; more time, behind it.
pub fn bounded<T>(input: &[u8], work: impl FnOnce() -> T) -> T {
    // What a panic prints needs memory of its own; without it the process would hang instead of ending.
    static LIFTED: Once = Once::new();
    LIFTED.call_once(|| {
        let end = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            let _ = MEMORY.set_limit(usize::MAX);
            end(what);
        }));
    });
    let share = input.len() / SIZE + 1;
    let _ = MEMORY.set_limit(MEMORY.allocated() + BYTES * share);
    let begun = ThreadTime::now();
    let result = work();
    let took = begun.elapsed();
    let _ = MEMORY.set_limit(usize::MAX);
    let bound = TIME * u32::try_from(share).unwrap_or(u32::MAX);
    assert!(
        took <= bound,
        "{} bytes took {took:?}, {bound:?} are allowed",
        input.len()
    );
    result
}

/// The mapping that is shipped for a service.
pub fn shipped(file: &str, text: &str, vocabulary: &Vocabulary) -> Mapping {
    Mapping::load(file, text, vocabulary).expect("the shipped mapping is good")
}
