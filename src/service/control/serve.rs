//! The end of `run`: whoever calls is heard if it is the same user, and its wish goes to the bridge's keeper.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::place::Seat;
use super::wire::{Ask, Fault, Order, Question, Reply, Request, Said, Told, VERSION};
use crate::model::{Error, ErrorKind, Result};

/// Commands that are answered at a time; more wait in the system's queue.
const CALLS_MAX: usize = 64;
/// The longest request: a guard's name, an id, a date.
const REQUEST_MAX: u64 = 64 * 1024;
/// A command says what it wants at once.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause after the system could not accept, such as for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// The way to each bridge's keeper.
pub type Desk = HashMap<String, mpsc::UnboundedSender<Order>>;

/// Binds the socket of `seat` and answers there until the runtime ends.
pub fn serve(seat: &mut Seat, desk: Desk) -> Result<()> {
    let listener = seat.bind()?;
    tokio::spawn(accept(listener, Arc::new(desk)));
    Ok(())
}

async fn accept(listener: UnixListener, desk: Arc<Desk>) {
    let places = Arc::new(Semaphore::new(CALLS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                tokio::spawn(async move {
                    // Whoever goes away before its answer needs none.
                    let _ = answer(stream, &desk).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("a command could not be heard ({})", error.kind());
                // Not a thing of the engine: the pause of a listener.
                #[allow(clippy::disallowed_methods)]
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, desk: &Desk) -> std::io::Result<()> {
    let theirs = stream.peer_cred()?.uid();
    let (reader, mut writer) = stream.into_split();
    if theirs != rustix::process::geteuid().as_raw() {
        let error = Error::new(
            ErrorKind::Busy,
            "E-RUN-USER",
            "This `contactbridge run` answers the user alone that it runs as. Give this command as that user",
        );
        return say(&mut writer, &Said::Refused(Fault::of(&error))).await;
    }
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    let mut bounded = (&mut reader).take(REQUEST_MAX);
    let read = bounded.read_until(b'\n', &mut line);
    if timeout(REQUEST_TIMEOUT, read).await.is_err() {
        return Ok(());
    }
    let request: Request = match serde_json::from_slice(&line) {
        Ok(request) => request,
        Err(_) => {
            let other = version_of(&line).unwrap_or_else(|| "another version".to_owned());
            return say(&mut writer, &Said::Refused(Fault::of(&strange(&other)))).await;
        }
    };
    if request.version != VERSION {
        let error = strange(&request.version);
        return say(&mut writer, &Said::Refused(Fault::of(&error))).await;
    }
    let Some(keeper) = desk.get(&request.bridge) else {
        return say(&mut writer, &Said::NotHeld).await;
    };
    match request.ask {
        Ask::Held => {
            let (reply, answer) = oneshot::channel();
            let _ = keeper.send(Order::Held(reply));
            let held = answer.await.unwrap_or(false);
            say(&mut writer, if held { &Said::Held } else { &Said::NotHeld }).await
        }
        Ask::Question(question) => ask(&mut writer, keeper, question).await,
        Ask::Pass { accept, since } => {
            let options = Ask::options(accept, since);
            let (told, news) = mpsc::unbounded_channel();
            let (stop, stopped) = watch::channel(false);
            let reply = Some(Reply {
                told,
                stop: stopped,
            });
            let _ = keeper.send(Order::Pass { options, reply });
            let listening = tokio::spawn(listen(reader, stop));
            let outcome = tell(&mut writer, news).await;
            listening.abort();
            outcome
        }
    }
}

async fn ask(
    writer: &mut OwnedWriteHalf,
    keeper: &mpsc::UnboundedSender<Order>,
    question: Question,
) -> std::io::Result<()> {
    let (reply, answer) = oneshot::channel();
    let _ = keeper.send(Order::Question { question, reply });
    let said = match answer.await {
        Ok(Some(Ok(answer))) => Said::Answer(answer),
        Ok(Some(Err(error))) => Said::Refused(Fault::of(&error)),
        Ok(None) => Said::NotHeld,
        // The keeper is gone, and so is the line.
        Err(_) => return Ok(()),
    };
    say(writer, &said).await
}

/// Hears whether the caller wants no more. One that goes away leaves the pass to its end, as a scheduled one.
async fn listen(mut reader: BufReader<OwnedReadHalf>, stop: watch::Sender<bool>) {
    let mut line = Vec::new();
    let mut bounded = (&mut reader).take(REQUEST_MAX);
    let read = bounded.read_until(b'\n', &mut line);
    if read.await.is_ok() && line == b"stop\n" {
        stop.send_replace(true);
    }
    // The keeper may look at it until the pass has ended.
    stop.closed().await;
}

async fn tell(
    writer: &mut OwnedWriteHalf,
    mut news: mpsc::UnboundedReceiver<Told>,
) -> std::io::Result<()> {
    while let Some(told) = news.recv().await {
        let said = match told {
            Told::NotHeld => Said::NotHeld,
            Told::Begun => Said::Begun,
            Told::Progress { stage, done, total } => Said::Progress {
                stage: stage.to_owned(),
                done,
                total,
            },
            Told::Passed { report, fault } => Said::Passed { report, fault },
        };
        say(writer, &said).await?;
    }
    Ok(())
}

async fn say<T: Serialize>(writer: &mut OwnedWriteHalf, said: &T) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

fn strange(version: &str) -> Error {
    Error::new(
        ErrorKind::Busy,
        "E-RUN-VERSION",
        format!(
            "The `contactbridge run` that holds this bridge is version {VERSION}, this command is of {version}. Restart `contactbridge run` with the newer program"
        ),
    )
}

fn version_of(line: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    let version = value.get("version")?.as_str()?;
    version
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+'))
        .then(|| version.to_owned())
}
