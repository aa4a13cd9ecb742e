//! A keeper over a bridge of which a test decides everything, in paused time.
// Time is paused: what is slept tells how much of it the keeper let pass.
#![allow(clippy::disallowed_methods)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};
use tokio::time::{Instant, sleep};

use super::super::board::Standing;
use super::super::control::{Answer, Question};
use super::super::work::Left;
use super::*;
use crate::config::{CronLine, Schedule};
use crate::sync::{Counts, Guard, Outcome, Watch};

const SECOND: Duration = Duration::from_secs(1);

/// What happens to the bridge, and what was done with it: seconds since the beginning, and what.
#[derive(Default)]
struct Script {
    opens: VecDeque<Result<()>>,
    passes: VecDeque<(Duration, Option<Error>)>,
    heeds: bool,
    asked: Option<Signal>,
    left: Left,
    log: Vec<(u64, String)>,
    open: i32,
    passing: bool,
}

#[derive(Clone)]
struct FakeWorld {
    began: Instant,
}

impl World for FakeWorld {
    fn now(&self) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-22T10:00:00Z".parse().unwrap();
        start + self.began.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.began.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }

    fn random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    async fn checkpoint(&self, _: &'static str) -> Result<()> {
        Ok(())
    }

    fn interrupted(&self) -> Option<Signal> {
        None
    }
}

struct Fake {
    script: Rc<RefCell<Script>>,
    world: FakeWorld,
}

impl Fake {
    fn log(&self, what: impl Into<String>) {
        let at = self.world.began.elapsed().as_secs();
        self.script.borrow_mut().log.push((at, what.into()));
    }

    fn report(&self, error: Option<&Error>) -> BridgeReport {
        BridgeReport {
            bridge: "members".into(),
            outcome: error.map_or(Outcome::Ok, |_| Outcome::Failed),
            guard: None,
            pull: Counts::default(),
            push: Counts::default(),
            conflicts: 0,
            review: 0,
            quarantined: 0,
            requests: 1,
            watermark: None,
            seconds: 1.0,
            error: error.map(ToString::to_string),
            failure: error.map(Error::kind),
        }
    }
}

impl Work for Fake {
    type Store = ();
    type World = FakeWorld;

    fn world(&self) -> &FakeWorld {
        &self.world
    }

    async fn open(&self) -> Result<()> {
        let next = self.script.borrow_mut().opens.pop_front();
        next.unwrap_or(Ok(()))?;
        self.script.borrow_mut().open += 1;
        self.log("open");
        Ok(())
    }

    fn close(&self, (): ()) -> Result<()> {
        self.script.borrow_mut().open -= 1;
        self.log("close");
        Ok(())
    }

    async fn pass(&self, (): &(), options: &RunOptions, watch: &dyn Watch) -> Passed {
        let next = self.script.borrow_mut().passes.pop_front();
        let (takes, mut error) = next.unwrap_or((SECOND, None));
        assert!(!self.script.borrow().passing, "two passes at once");
        self.script.borrow_mut().passing = true;
        let accepts: Vec<_> = options.accept.iter().map(|guard| guard.name()).collect();
        self.log(format!("pass {}", accepts.join(" ")).trim_end());
        watch.progress("reading", 1, Some(2));
        let until = Instant::now() + takes;
        while Instant::now() < until {
            sleep((until - Instant::now()).min(SECOND)).await;
            let script = self.script.borrow();
            if let (true, Some(signal)) = (script.heeds, script.asked) {
                error = Some(Error::new(
                    ErrorKind::Interrupted(signal),
                    "E-INTERRUPTED",
                    "x",
                ));
                break;
            }
        }
        self.script.borrow_mut().passing = false;
        self.log("end");
        Passed {
            report: self.report(error.as_ref()),
            error,
        }
    }

    fn ask_to_stop(&self, signal: Option<Signal>) {
        self.script.borrow_mut().asked = signal;
    }

    fn failed(&self, error: Error) -> Passed {
        self.log(format!("failed {}", error.code()));
        Passed {
            report: self.report(Some(&error)),
            error: Some(error),
        }
    }

    async fn answer(&self, (): &(), question: Question) -> Result<Answer> {
        self.log(if question.writes() { "writes" } else { "reads" });
        Ok(Answer::Done)
    }

    fn left(&self) -> Left {
        self.script.borrow().left.clone()
    }
}

/// A keeper at work, and what a test has in its hands.
struct Scene {
    script: Rc<RefCell<Script>>,
    orders: mpsc::UnboundedSender<Order>,
    stop: watch::Sender<Option<Signal>>,
    board: Arc<Board>,
    metrics: Arc<Metrics>,
    keeper: JoinHandle<()>,
}

fn start(schedule: Option<Schedule>, script: Script) -> Scene {
    start_with(Tenure::Always, schedule, script)
}

fn start_with(tenure: Tenure, schedule: Option<Schedule>, script: Script) -> Scene {
    start_among(&Arc::new(Semaphore::new(1)), tenure, schedule, script)
}

fn start_among(
    places: &Arc<Semaphore>,
    tenure: Tenure,
    schedule: Option<Schedule>,
    script: Script,
) -> Scene {
    let script = Rc::new(RefCell::new(script));
    let (orders, inbox) = mpsc::unbounded_channel();
    let (stop, stopped) = watch::channel(None);
    let board = Arc::new(Board::new(vec![Standing::new("members", None)]));
    let metrics = Arc::new(Metrics::default());
    let work = Fake {
        script: Rc::clone(&script),
        world: FakeWorld {
            began: Instant::now(),
        },
    };
    let kept = Kept {
        bridge: "members".into(),
        turns: Turns::new(schedule, chrono_tz::UTC),
        tenure,
        orders: inbox,
        places: Arc::clone(places),
        stop: stopped,
        board: Arc::clone(&board),
        metrics: Arc::clone(&metrics),
    };
    let keeper = tokio::task::spawn_local(Keeper::new(work, kept).keep(|| {}));
    Scene {
        script,
        orders,
        stop,
        board,
        metrics,
        keeper,
    }
}

/// Somebody who waits for a pass.
struct Asker {
    news: mpsc::UnboundedReceiver<Told>,
    stop: watch::Sender<bool>,
}

impl Scene {
    fn ask(&self, accept: &[Guard]) -> Asker {
        let (told, news) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let options = RunOptions {
            accept: accept.iter().copied().collect(),
            ..RunOptions::default()
        };
        let reply = Some(Reply {
            told,
            stop: stopped,
        });
        self.orders.send(Order::Pass { options, reply }).unwrap();
        Asker { news, stop }
    }

    fn question(&self, question: Question) -> oneshot::Receiver<Option<Result<Answer>>> {
        let (reply, answer) = oneshot::channel();
        self.orders
            .send(Order::Question { question, reply })
            .unwrap();
        answer
    }

    fn log(&self) -> Vec<(u64, String)> {
        self.script.borrow().log.clone()
    }

    /// When passes began.
    fn passes(&self) -> Vec<u64> {
        let log = self.log();
        log.iter()
            .filter(|(_, what)| what.starts_with("pass"))
            .map(|(at, _)| *at)
            .collect()
    }

    fn phase(&self) -> Phase {
        self.board.read()[0].phase.clone()
    }

    async fn end(self) -> Vec<(u64, String)> {
        self.stop.send_replace(Some(Signal::Terminate));
        self.keeper.await.unwrap();
        let script = self.script.borrow();
        assert_eq!(script.open, 0, "a store stayed open");
        script.log.clone()
    }
}

impl Asker {
    /// Waits for the end; the code of what went wrong.
    async fn outcome(&mut self) -> Option<String> {
        let mut has_begun = false;
        loop {
            match self.news.recv().await.expect("news of the pass") {
                Told::Begun => has_begun = true,
                Told::Progress { .. } => assert!(has_begun),
                Told::NotHeld => return Some("not held".into()),
                Told::Passed { report, .. } => {
                    assert!(has_begun);
                    return report
                        .error
                        .map(|error| error[..error.find(' ').unwrap()].to_owned());
                }
            }
        }
    }
}

fn every(seconds: u64) -> Option<Schedule> {
    Some(Schedule::Every(Duration::from_secs(seconds)))
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

macro_rules! scene {
    ($name:ident, $body:expr) => {
        #[tokio::test(start_paused = true)]
        async fn $name() {
            LocalSet::new().run_until($body).await;
        }
    };
}

scene!(turns_are_kept_one_pass_at_a_time, async {
    let scene = start(every(60), Script::default());
    seconds(190).await;
    assert_eq!(scene.passes(), [0, 60, 120, 180]);
    assert_eq!(scene.phase(), Phase::Waiting);
    let next = scene.board.read()[0].next.unwrap();
    assert_eq!(next.to_rfc3339(), "2026-11-22T10:04:00+00:00");
    let log = scene.end().await;
    assert_eq!(log.first().unwrap().1, "open");
    assert_eq!(log.last().unwrap().1, "close");
});

scene!(a_long_pass_is_made_up_for_by_one, async {
    let script = Script {
        passes: [(Duration::from_secs(200), None)].into(),
        ..Script::default()
    };
    let scene = start(every(60), script);
    seconds(245).await;
    // The turns of 60, 120 and 180 passed meanwhile.
    assert_eq!(scene.passes(), [0, 200, 240]);
    let text = scene.metrics.render(&[], Utc::now()).unwrap();
    assert!(
        text.contains("bridge_turns_missed_total{bridge=\"members\"} 2"),
        "{text}"
    );
    scene.end().await;
});

scene!(
    a_turn_missed_while_nobody_kept_it_is_made_up_for_at_the_start,
    async {
        let nightly = || Some(Schedule::Cron(CronLine::parse("0 3 * * *").unwrap()));
        for (last, expected) in [
            ("2026-11-21T03:00:07Z", vec![0]),
            ("2026-11-22T03:00:07Z", vec![]),
        ] {
            let left = Left {
                last_run: Some(last.parse().unwrap()),
                ..Left::default()
            };
            let script = Script {
                left,
                ..Script::default()
            };
            let scene = start(nightly(), script);
            seconds(600).await;
            assert_eq!(scene.passes(), expected, "{last}");
            scene.end().await;
        }
    }
);

scene!(without_a_schedule_there_is_no_pass_but_on_request, async {
    let scene = start(None, Script::default());
    seconds(100_000).await;
    assert!(scene.passes().is_empty());
    assert_eq!(scene.ask(&[]).outcome().await, None);
    // In passing, as somebody on this thread asks.
    let (options, reply) = (RunOptions::default(), None);
    scene.orders.send(Order::Pass { options, reply }).unwrap();
    seconds(2).await;
    assert_eq!(scene.passes().len(), 2);
    scene.end().await;
});

scene!(
    whoever_asks_during_a_pass_gets_one_that_begins_afterwards,
    async {
        let script = Script {
            passes: [(Duration::from_secs(10), None)].into(),
            ..Script::default()
        };
        let scene = start(every(3600), script);
        seconds(5).await;
        let mut askers = [scene.ask(&[]), scene.ask(&[Guard::Deletes]), scene.ask(&[])];
        for asker in &mut askers {
            assert_eq!(asker.outcome().await, None);
        }
        let log = scene.end().await;
        let passes: Vec<_> = log
            .iter()
            .filter(|(_, what)| what.starts_with("pass"))
            .collect();
        // The two that asked for the same share one.
        assert_eq!(
            passes,
            [
                &(0, "pass".into()),
                &(10, "pass".into()),
                &(11, "pass deletes".into())
            ]
        );
    }
);

scene!(a_pass_that_was_asked_for_does_for_the_turn, async {
    let scene = start(every(60), Script::default());
    seconds(50).await;
    scene.ask(&[]).outcome().await;
    seconds(65).await;
    assert_eq!(scene.passes(), [0, 50, 110]);
    scene.end().await;
});

scene!(
    reading_is_answered_during_a_pass_and_writing_waits_for_its_end,
    async {
        let script = Script {
            passes: [(Duration::from_secs(10), None)].into(),
            ..Script::default()
        };
        let scene = start(every(3600), script);
        seconds(3).await;
        let writing = scene.question(Question::Retry { id: "x".into() });
        let reading = scene.question(Question::Quarantine);
        assert!(reading.await.unwrap().unwrap().is_ok());
        assert!(writing.await.unwrap().unwrap().is_ok());
        let log = scene.end().await;
        let at = |what: &str| log.iter().find(|(_, have)| have == what).unwrap().0;
        assert_eq!((at("reads"), at("end"), at("writes")), (3, 10, 10));
    }
);

scene!(a_stop_is_heeded_at_the_next_safe_point, async {
    let script = Script {
        passes: [(Duration::from_secs(1000), None)].into(),
        heeds: true,
        ..Script::default()
    };
    let scene = start(every(3600), script);
    seconds(5).await;
    let mut waits = scene.ask(&[]);
    let log = scene.end().await;
    assert_eq!(
        log[log.len() - 2..],
        [(6, "end".into()), (6, "close".into())]
    );
    // Its pass never began, and nobody keeps it waiting.
    assert!(waits.news.recv().await.is_none());
});

scene!(a_pass_that_comes_to_no_safe_point_is_cut_off, async {
    let script = Script {
        passes: [(Duration::from_secs(1000), None)].into(),
        ..Script::default()
    };
    let scene = start(None, script);
    let mut asker = scene.ask(&[]);
    seconds(5).await;
    let log = scene.end().await;
    assert_eq!(
        log[log.len() - 2..],
        [(20, "failed E-INTERRUPTED".into()), (20, "close".into())]
    );
    assert_eq!(asker.outcome().await.as_deref(), Some("E-INTERRUPTED"));
});

scene!(
    whoever_waits_may_stop_a_pass_that_nobody_else_wants,
    async {
        let long = || (Duration::from_secs(100), None);
        let script = Script {
            passes: [long(), long(), long()].into(),
            heeds: true,
            ..Script::default()
        };
        let scene = start(None, script);
        let mut alone = scene.ask(&[]);
        seconds(1).await;
        alone.stop.send_replace(true);
        assert_eq!(alone.outcome().await.as_deref(), Some("E-INTERRUPTED"));
        // One of two, and one that goes away: the pass goes on.
        let (one, mut other, gone) = (scene.ask(&[]), scene.ask(&[]), scene.ask(&[]));
        seconds(1).await;
        drop(gone);
        one.stop.send_replace(true);
        assert_eq!(other.outcome().await, None);
        // One that stops before its pass has begun is not waited for.
        let mut first = scene.ask(&[]);
        seconds(1).await;
        let never = scene.ask(&[Guard::Site]);
        never.stop.send_replace(true);
        assert_eq!(first.outcome().await, None);
        let log = scene.end().await;
        assert!(!log.iter().any(|(_, what)| what == "pass site"), "{log:?}");
    }
);

fn locked() -> Result<()> {
    Err(Error::new(
        ErrorKind::Busy,
        "E-STATE-LOCKED",
        "held by another",
    ))
}

fn damaged() -> Result<()> {
    Err(Error::needs_person("E-STATE-CORRUPT", "damaged"))
}

scene!(a_turn_waits_for_a_store_that_another_holds, async {
    let script = Script {
        opens: (0..4).map(|_| locked()).collect(),
        ..Script::default()
    };
    let scene = start(every(3600), script);
    seconds(3).await;
    assert_eq!(
        scene.phase(),
        Phase::Locked("E-STATE-LOCKED held by another".into())
    );
    let answer = scene.question(Question::Quarantine).await.unwrap();
    assert!(answer.is_none());
    seconds(10).await;
    assert_eq!(scene.passes(), [8]);
    assert_eq!(scene.phase(), Phase::Waiting);
    scene.end().await;
});

scene!(
    a_turn_that_another_made_meanwhile_is_not_made_again,
    async {
        let script = Script {
            opens: (0..4).map(|_| locked()).collect(),
            ..Script::default()
        };
        let scene = start(every(60), script);
        scene.script.borrow_mut().left.last_run = Some("2026-11-22T10:00:07Z".parse().unwrap());
        seconds(70).await;
        assert_eq!(scene.passes(), [67]);
        scene.end().await;
    }
);

scene!(
    a_store_that_cannot_be_opened_fails_each_turn_and_is_tried_again,
    async {
        let script = Script {
            opens: (0..3).map(|_| damaged()).collect(),
            ..Script::default()
        };
        let scene = start(every(100), script);
        seconds(5).await;
        assert_eq!(
            scene.phase(),
            Phase::Failed("E-STATE-CORRUPT damaged".into())
        );
        assert_eq!(scene.ask(&[]).outcome().await.as_deref(), Some("not held"));
        seconds(300).await;
        let log = scene.end().await;
        let seen: Vec<_> = log.iter().map(|(at, what)| (*at, what.as_str())).collect();
        assert_eq!(
            seen[..3],
            [(0, "failed E-STATE-CORRUPT"), (65, "open"), (100, "pass")],
            "{seen:?}"
        );
    }
);

scene!(a_store_that_a_pass_spoiled_is_opened_anew, async {
    let spoiled = Error::unexpected("E-STATE-COMMIT", "x");
    let script = Script {
        passes: [(SECOND, Some(spoiled)), (SECOND, None)].into(),
        ..Script::default()
    };
    let scene = start(every(60), script);
    seconds(65).await;
    let log = scene.end().await;
    let seen: Vec<_> = log.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(
        seen,
        [
            "open", "pass", "end", "close", "open", "pass", "end", "close"
        ]
    );
});

scene!(a_shared_store_is_taken_for_a_pass_at_a_time, async {
    let scene = start_with(Tenure::PerPass, every(60), Script::default());
    seconds(130).await;
    assert_eq!(scene.phase(), Phase::Waiting);
    // Commands take it themselves.
    let answer = scene.question(Question::Quarantine).await.unwrap();
    assert!(answer.is_none());
    let (reply, held) = oneshot::channel();
    scene.orders.send(Order::Held(reply)).unwrap();
    assert!(!held.await.unwrap());
    let log = scene.end().await;
    let seen: Vec<_> = log.iter().map(|(at, what)| (*at, what.as_str())).collect();
    let pass = |at| {
        [
            (at, "open"),
            (at, "pass"),
            (at + 1, "end"),
            (at + 1, "close"),
        ]
    };
    assert_eq!(seen, [pass(0), pass(60), pass(120)].concat());
});

scene!(a_turn_that_another_machine_makes_is_left_to_it, async {
    let script = Script {
        opens: [locked()].into(),
        ..Script::default()
    };
    let scene = start_with(Tenure::PerPass, every(60), script);
    seconds(1).await;
    assert_eq!(scene.phase(), Phase::Waiting);
    scene.script.borrow_mut().left.last_run = Some("2026-11-22T10:00:03Z".parse().unwrap());
    seconds(70).await;
    let log = scene.end().await;
    let seen: Vec<_> = log.iter().map(|(at, what)| (*at, what.as_str())).collect();
    assert_eq!(
        seen,
        [(63, "open"), (63, "pass"), (64, "end"), (64, "close")]
    );
});

scene!(passes_wait_for_a_place_and_questions_do_not, async {
    let script = || Script {
        passes: [(10 * SECOND, None), (10 * SECOND, None)].into(),
        ..Script::default()
    };
    let places = Arc::new(Semaphore::new(1));
    let scenes = [(); 2].map(|()| start_among(&places, Tenure::PerPass, every(60), script()));
    seconds(1).await;
    assert_eq!(scenes[1].phase(), Phase::Waiting);
    // Whoever asks the one that waits is answered at once, and who asks for a pass of it waits with it.
    let (reply, held) = oneshot::channel();
    scenes[1].orders.send(Order::Held(reply)).unwrap();
    assert!(!held.await.unwrap());
    let mut asker = scenes[1].ask(&[]);
    seconds(5).await;
    assert!(asker.news.try_recv().is_err());
    seconds(15).await;
    assert!(matches!(asker.news.recv().await, Some(Told::Begun)));
    let [first, second] = scenes;
    let mut seen = first.end().await;
    seen.extend(second.end().await);
    let at = |what: &str| -> Vec<u64> {
        let found = seen.iter().filter(|(_, seen)| seen == what);
        found.map(|(at, _)| *at).collect()
    };
    // The store of the second is not even opened before.
    assert_eq!(at("open"), [0, 10]);
    assert_eq!(at("pass"), [0, 10]);
    assert_eq!(at("end"), [10, 20]);
    assert_eq!(places.available_permits(), 1);
});

scene!(who_waits_for_a_place_ends_when_told_to, async {
    let places = Arc::new(Semaphore::new(0));
    let scene = start_among(&places, Tenure::Always, every(60), Script::default());
    seconds(1).await;
    let log = scene.end().await;
    let seen: Vec<_> = log.iter().map(|(_, what)| what.as_str()).collect();
    assert_eq!(seen, ["open", "close"]);
});

#[test]
fn whoever_asks_in_passing_takes_one_place_however_often() {
    let mut waiting = VecDeque::new();
    let nudge = |options: RunOptions| Order::Pass {
        options,
        reply: None,
    };
    let accepting = || RunOptions {
        accept: [Guard::Deletes].into(),
        ..RunOptions::default()
    };
    for _ in 0..100 {
        line_up(&mut waiting, nudge(RunOptions::default()));
        line_up(&mut waiting, nudge(accepting()));
    }
    assert_eq!(waiting.len(), 2);
    // Somebody who waits for an answer keeps a place.
    let (told, _news) = mpsc::unbounded_channel();
    let (_stop, stop) = watch::channel(false);
    let reply = Some(Reply { told, stop });
    let options = RunOptions::default();
    line_up(&mut waiting, Order::Pass { options, reply });
    assert_eq!(waiting.len(), 3);
}
