//! An address that stays while what is behind it gets another one, and that counts what goes through.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub struct Relay {
    pub address: SocketAddr,
    to: Arc<Mutex<Option<SocketAddr>>>,
    bytes: Arc<AtomicU64>,
}

impl Relay {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (to, bytes) = (Arc::<Mutex<Option<SocketAddr>>>::default(), Arc::default());
        let (ours, counter) = (Arc::clone(&to), Arc::clone(&bytes));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let to = *ours.lock().expect("no panic");
                let Some(server) = to.and_then(|to| TcpStream::connect(to).ok()) else {
                    continue;
                };
                pass_on(&client, &server, Some(&counter));
                pass_on(&server, &client, None);
            }
        });
        Self { address, to, bytes }
    }

    pub fn set(&self, to: SocketAddr) {
        *self.to.lock().expect("no panic") = Some(to);
    }

    /// Bytes of requests so far.
    pub fn count(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }
}

fn pass_on(from: &TcpStream, to: &TcpStream, counter: Option<&Arc<AtomicU64>>) {
    let mut from = from.try_clone().expect("a handle");
    let mut to = to.try_clone().expect("a handle");
    let counter = counter.cloned();
    std::thread::spawn(move || {
        let mut piece = [0; 16 * 1024];
        while let Ok(length) = from.read(&mut piece) {
            if let Some(counter) = &counter {
                counter.fetch_add(length as u64, Ordering::SeqCst);
            }
            if length == 0 || to.write_all(&piece[..length]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    });
}
