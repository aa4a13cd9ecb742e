//! A wire to a server that a test can cut.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// Passes a connection on, until it is cut.
pub struct Relay {
    pub port: u16,
    pub open: Arc<AtomicBool>,
    streams: Arc<Mutex<Vec<TcpStream>>>,
    /// Bytes from the client after which the wire is cut by itself.
    pub limit: Arc<Mutex<Option<usize>>>,
}

impl Relay {
    pub fn start(to: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let relay = Self {
            port: listener.local_addr().expect("an address").port(),
            open: Arc::new(AtomicBool::new(true)),
            streams: Arc::default(),
            limit: Arc::default(),
        };
        let (open, streams, limit) = (
            relay.open.clone(),
            relay.streams.clone(),
            relay.limit.clone(),
        );
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if !open.load(Ordering::SeqCst) {
                    continue;
                }
                let server = TcpStream::connect((to.0.as_str(), to.1)).expect("the server");
                for stream in [&client, &server] {
                    streams
                        .lock()
                        .expect("no panic")
                        .push(stream.try_clone().expect("a stream"));
                }
                let pair = |stream: &TcpStream| stream.try_clone().expect("a stream");
                let (one, other) = (pair(&client), pair(&server));
                let (open, streams, limit) = (open.clone(), streams.clone(), limit.clone());
                std::thread::spawn(move || {
                    copy(one, other, |count| {
                        let mut limit = limit.lock().expect("no panic");
                        let Some(left) = limit.as_mut() else {
                            return;
                        };
                        *left = left.saturating_sub(count);
                        if *left == 0 {
                            open.store(false, Ordering::SeqCst);
                            cut(&streams);
                        }
                    });
                });
                std::thread::spawn(move || copy(server, client, |_| ()));
            }
        });
        relay
    }
}

fn cut(streams: &Mutex<Vec<TcpStream>>) {
    for stream in streams.lock().expect("no panic").drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut seen: impl FnMut(usize)) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        seen(count);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
