//! Any bytes as Association Anywhere's queue: in one piece or in many, it says the same.
#![no_main]

use contactbridge::remote::association_anywhere::{QueueReader, Reading};
use contactbridge_fuzz::bounded;
use libfuzzer_sys::fuzz_target;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Option<String> {
    let mut reader = QueueReader::new(&Reading::default(), None);
    let mut said = Vec::new();
    for piece in pieces {
        reader.feed(piece).ok()?;
        while let Some(queued) = reader.step() {
            said.extend(queued);
        }
    }
    let (rest, end) = reader.finish().ok()?;
    said.extend(rest);
    Some(format!("{said:?} {end:?}"))
}

fuzz_target!(|body: &[u8]| {
    let whole = bounded(body, || read(std::iter::once(body)));
    let pieces = bounded(body, || read(body.chunks(7)));
    assert_eq!(whole, pieces);
});
