//! `contactbridge run`: stays, keeps the schedules of all enabled bridges, and answers for them while it holds them.
//!
//! The order of its start: everything that is configured wrong ends it with 2 before anything is begun; then its seat, its
//! addresses, its keepers, and only then it says that it is ready.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::args::Global;
use super::bridge::{Bridge, Purpose};
use super::exit::Exit;
use super::kept::KeptBridge;
use super::logging::{complain, warn_of};
use super::reception::Reception;
use super::world::RealWorld;
use super::{project, status};
use crate::config::{BridgeSettings, Settings};
use crate::local::Local;
use crate::model::{Error, ErrorKind, Result, World};
use crate::service::control::{self, Desk, Seat};
use crate::service::pages::{Pages, Sources};
use crate::service::{Board, Keeper, Kept, Metrics, Standing, Tenure, Turns};

/// How long the keepers have to end, all together, once they are told to: they cut off what takes longer themselves.
const STOP_TIMEOUT: Duration = Duration::from_secs(19);
/// Passes that this process makes at once. A pass mostly waits for others; but each has connections to its database, and two to
/// a shared state, of which a server has a hundred by default.
const PASSES_AT_ONCE: usize = 16;

/// Stays until a signal.
pub async fn run(global: &Global) -> Result<Exit> {
    let settings = Arc::new(project::load(global.config.as_deref())?);
    let world = RealWorld::new();
    let enabled = project::choose_enabled(&settings, &[])?;
    if enabled.is_empty() {
        return Err(Error::config(
            "E-RUN-IDLE",
            format!(
                "{}: no bridge is enabled, so that there is nothing to keep",
                settings.file.display()
            ),
        ));
    }
    let location = project::state_location(&settings);
    let mut seat = Seat::take(&location, world.now())?;
    world.heed_signals()?;
    let Some(kept) = prepare(&settings, &enabled, &world).await? else {
        return Ok(Exit::Config);
    };
    let pages = match settings.http {
        Some(http) => Some(Pages::bind(http.listen).await?),
        None => None,
    };
    let board = Arc::new(Board::new(
        enabled.iter().map(|bridge| standing(bridge)).collect(),
    ));
    let metrics = Arc::new(Metrics::default());
    let places = Arc::new(Semaphore::new(PASSES_AT_ONCE));
    let (stop, stopped) = watch::channel(None);
    let mut desk = Desk::new();
    let mut threads = Vec::new();
    let mut receptions = Vec::new();
    for (bridge, (kept, reception)) in enabled.iter().zip(kept) {
        metrics.expect(&bridge.name);
        let (sender, orders) = mpsc::unbounded_channel();
        // What is posted must find the store open; for the length of a pass it is enough where machines share the work.
        let tenure = if location.shared().is_some() && reception.is_none() {
            Tenure::PerPass
        } else {
            Tenure::Always
        };
        receptions.extend(reception.map(|reception| (reception, sender.clone())));
        desk.insert(bridge.name.clone(), sender);
        let about = Kept {
            bridge: bridge.name.clone(),
            turns: Turns::new(bridge.schedule.clone(), bridge.remote.time_zone()),
            tenure,
            orders,
            places: Arc::clone(&places),
            stop: stopped.clone(),
            board: Arc::clone(&board),
            metrics: Arc::clone(&metrics),
        };
        threads.push(Thread::start(kept, about)?);
    }
    // Whoever asks from now on is answered as soon as the stores are open.
    if let Some(seat) = &mut seat {
        control::serve(seat, desk)?;
    }
    for thread in &mut threads {
        thread.begun().await;
    }
    let receivers: Vec<_> = receptions
        .into_iter()
        .map(|(reception, orders)| reception.serve(orders, stopped.clone()))
        .collect();
    if let Some(pages) = pages {
        tracing::info!(target: crate::service::LOG, "the pages are at http://{}/", pages.address());
        let (for_status, for_now) = (Arc::clone(&settings), world.clone());
        let clock = world.clone();
        pages.serve(Sources {
            board: Arc::clone(&board),
            metrics,
            status: Arc::new(move || status::page(&for_status, for_now.now())),
            now: Arc::new(move || clock.now()),
        });
    }
    tracing::info!(target: crate::service::LOG, bridges = enabled.len(), version = env!("CARGO_PKG_VERSION"), "contactbridge keeps its bridges");
    notify(&[sd_notify::NotifyState::Ready]);
    let signal = world.signalled().await;
    notify(&[sd_notify::NotifyState::Stopping]);
    stop.send_replace(Some(signal));
    wait(threads, receivers, &world).await;
    drop(seat);
    tracing::info!(target: crate::service::LOG, "contactbridge has ended");
    Ok(Exit::Clean)
}

/// Every enabled bridge, looked at as `sync` looks at it. `None` where one is configured wrong: all that is wrong was said.
async fn prepare(
    settings: &Arc<Settings>,
    enabled: &[&BridgeSettings],
    world: &RealWorld,
) -> Result<Option<Vec<(KeptBridge, Option<Reception>)>>> {
    let mut kept = Vec::new();
    let mut is_wrong = false;
    for bridge in enabled {
        match Bridge::prepare(settings, bridge, world, Purpose::Run) {
            Ok(mut prepared) => {
                if let Err(error) = prepared.local.position().await {
                    // A database that is away now may be back for the first pass.
                    if error.kind() == ErrorKind::Config {
                        complain(&error);
                        is_wrong = true;
                    } else {
                        warn_of(&error);
                    }
                }
                if is_wrong {
                    continue;
                }
                let reception = Reception::bind(bridge, &prepared.vault, world).await?;
                let mailbox = reception
                    .as_ref()
                    .map(|reception| reception.mailbox.clone());
                let bridge = KeptBridge::new(settings, &prepared, world, mailbox);
                kept.push((bridge, reception));
            }
            Err(error) => {
                complain(&error);
                is_wrong = true;
            }
        }
    }
    Ok((!is_wrong).then_some(kept))
}

fn standing(bridge: &BridgeSettings) -> Standing {
    let schedule = bridge.schedule.as_ref().map(ToString::to_string);
    Standing::new(&bridge.name, schedule)
}

/// The thread of a keeper: stores, sides and the engine stay on the thread that they began on.
struct Thread {
    begun: Option<oneshot::Receiver<()>>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// Says that a keeper's thread has ended, however it does.
struct End {
    bridge: String,
    board: Arc<Board>,
    _ended: oneshot::Sender<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.board.end(&self.bridge);
    }
}

impl Thread {
    fn start(work: KeptBridge, about: Kept) -> Result<Self> {
        let (begins, begun) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let end = End {
            bridge: about.bridge.clone(),
            board: Arc::clone(&about.board),
            _ended: ends,
        };
        let unstarted = |error: std::io::Error| {
            Error::needs_person("E-RUNTIME", "The system gives no threads to work with")
                .caused_by(error)
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(unstarted)?;
        let name = about.bridge.clone();
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || {
                let _end = end;
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, async move {
                    // It asks the state how the last pass ended: not all at once either. The places are never closed.
                    let place = Arc::clone(&about.places).acquire_owned().await;
                    let keeper = Keeper::new(work, about);
                    drop(place);
                    let begins = move || {
                        // Whoever waits for it may have gone.
                        let _ = begins.send(());
                    };
                    keeper.keep(begins).await;
                });
                runtime.shutdown_background();
            })
            .map_err(unstarted)?;
        Ok(Self {
            begun: Some(begun),
            ended,
            thread,
        })
    }

    /// Comes back once its store was tried for the first time.
    async fn begun(&mut self) {
        if let Some(begun) = self.begun.take() {
            let _ = begun.await;
        }
    }
}

async fn wait(
    threads: Vec<Thread>,
    receivers: Vec<tokio::task::JoinHandle<()>>,
    world: &RealWorld,
) {
    let all = async {
        for receiver in receivers {
            let _ = receiver.await;
        }
        for thread in threads {
            let _ = thread.ended.await;
            let _ = thread.thread.join();
        }
    };
    tokio::select! {
        () = all => {}
        () = world.sleep(STOP_TIMEOUT) => {
            tracing::warn!("a pass did not come to a safe point in time and is cut off, which is as safe as a kill");
        }
    }
}

/// Tells systemd, where it started us and wants to know.
fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!("the service manager could not be told ({})", error.kind());
    }
}
