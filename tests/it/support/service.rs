//! `contactbridge run` as a test has it: started, listened to, asked over its pages, signalled.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Binary, HttpAnswer, http};

/// What takes longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A `run` under way. It is killed when it is dropped.
pub struct Service {
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
    heard: usize,
    /// Where its pages are, if it has some.
    pub pages: Option<SocketAddr>,
}

impl Service {
    /// Starts it, and comes back when it says that it keeps its bridges.
    #[track_caller]
    pub fn start(binary: &Binary) -> Self {
        let mut service = Self::begin(binary);
        service.hears("contactbridge keeps its bridges");
        service.heard = 0;
        let page = service
            .said
            .iter()
            .find_map(|line| line.split_once("the pages are at http://"));
        service.pages =
            page.map(|(_, rest)| rest.trim_end_matches('/').parse().expect("an address"));
        service
    }

    /// Starts it, and comes back at once.
    pub fn begin(binary: &Binary) -> Self {
        let mut child = binary.command(&["run"]).spawn().expect("it starts");
        let stderr = BufReader::new(child.stderr.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            said: Vec::new(),
            heard: 0,
            pages: None,
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says this after what was heard before.
    #[track_caller]
    pub fn hears(&mut self, what: &str) {
        let until = Instant::now() + PATIENCE;
        loop {
            while let Some(line) = self.said.get(self.heard) {
                self.heard += 1;
                if line.contains(what) {
                    return;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("no {what:?} in {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("it ended without {what:?}: {:#?}", self.said)
                }
            }
        }
    }

    /// All that it has said so far.
    pub fn said(&mut self) -> &[String] {
        self.said.extend(self.lines.try_iter());
        &self.said
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Waits for its end; the exit code, `None` where a signal ended it.
    #[track_caller]
    pub fn ends(&mut self) -> Option<i32> {
        let until = Instant::now() + PATIENCE;
        // What it says has an end when it does.
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.said.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {:#?}", self.said),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.child.wait().expect("a child").code()
    }

    /// Stops it as systemd does; it must end with 0.
    #[track_caller]
    pub fn stop(mut self) -> Vec<String> {
        self.signal(Signal::TERM);
        let code = self.ends();
        assert_eq!(code, Some(0), "{:#?}", self.said);
        std::mem::take(&mut self.said)
    }

    /// Asks for a page.
    #[track_caller]
    pub fn get(&self, path: &str) -> HttpAnswer {
        let pages = self.pages.expect("pages");
        http(pages, "GET", path, &[], b"").expect("an answer")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks again until it is so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "it never came to: {what}");
        // Between two looks others get the machine.
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
