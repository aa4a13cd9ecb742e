//! One process, measured: how long it ran, how much of the processor it had, how much memory at most.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks at a process that runs.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Clock ticks a second in /proc: 100 on every Linux since user space is told of them.
const TICKS: f64 = 100.0;

/// What a process took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Taken {
    /// From start to end, its own start included.
    pub wall: f64,
    /// User and system time.
    pub cpu: f64,
    /// VmHWM, in MB of a million bytes.
    pub peak_mb: f64,
}

/// Runs it to its end. Gives its stdout and its exit code beside what it took.
pub fn measure(command: &mut Command) -> (Taken, String, Option<i32>) {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdout = child.stdout.take().expect("stdout is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("UTF-8");
        text
    });
    let mut taken = Taken::default();
    let code = loop {
        if let Some(status) = child.try_wait().expect("our own child") {
            break status.code();
        }
        look(child.id(), &mut taken);
        std::thread::sleep(LOOK_EVERY);
    };
    taken.wall = start.elapsed().as_secs_f64();
    (taken, reader.join().expect("the reader ends"), code)
}

/// Both only rise, so the last look counts.
fn look(pid: u32, taken: &mut Taken) {
    if let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status"))
        && let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:"))
        && let Some(kib) = line
            .split_whitespace()
            .nth(1)
            .and_then(|kib| kib.parse::<f64>().ok())
    {
        taken.peak_mb = taken.peak_mb.max(kib * 1024.0 / 1e6);
    }
    if let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        && let Some((_, rest)) = stat.rsplit_once(')')
    {
        let ticks: f64 = rest
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum();
        taken.cpu = taken.cpu.max(ticks / TICKS);
    }
}

/// The load of the machine, to be read beside every figure.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg")
        .unwrap_or_default()
        .split_whitespace()
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}
