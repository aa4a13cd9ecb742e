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
    let request = serde_json::from_slice::<Request>(&line).ok();
    let Some(request) = request.filter(|request| request.version == VERSION) else {
        let other = version_of(&line).unwrap_or_else(|| "another version".to_owned());
        return say(&mut writer, &Said::Refused(Fault::of(&strange(&other)))).await;
    };
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

#[cfg(test)]
mod tests {
    use super::super::{Answer, PassNews, find};
    use super::*;
    use crate::state::StateLocation;
    use crate::sync::RunOptions;
    use std::path::Path;
    use tokio::io::AsyncReadExt;

    /// A desk with one keeper, whose orders a test hears, and a directory to meet in.
    fn desk() -> (
        tempfile::TempDir,
        StateLocation,
        Seat,
        mpsc::UnboundedReceiver<Order>,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let location = StateLocation::Sled(directory.path().join("state"));
        let now = "2026-11-22T10:02:00Z".parse().unwrap();
        let mut seat = Seat::take(&location, now).unwrap().unwrap();
        let (keeper, orders) = mpsc::unbounded_channel();
        serve(&mut seat, Desk::from([("members".to_owned(), keeper)])).unwrap();
        (directory, location, seat, orders)
    }

    /// What is said to these bytes, and nothing else.
    async fn said_to(directory: &Path, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(directory.join("state/.run.sock"))
            .await
            .unwrap();
        // It may be cut before all of it is sent.
        let _ = stream.write_all(bytes).await;
        let _ = stream.shutdown().await;
        let mut said = String::new();
        let _ = stream.read_to_string(&mut said).await;
        said
    }

    #[tokio::test]
    async fn what_is_no_request_of_this_version_is_refused_and_reaches_nobody() {
        let (directory, _location, _seat, mut orders) = desk();
        // Whatever reached the keeper all the same would be answered at once.
        orders.close();
        let ask = |version: &str| {
            format!("{{\"version\":\"{version}\",\"bridge\":\"members\",\"ask\":\"held\"}}\n")
        };
        for (bytes, other) in [
            (ask("9.9.9"), "9.9.9"),
            (
                "{\"version\":\"9.9.9\",\"something\":1}\n".to_owned(),
                "9.9.9",
            ),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), "another version"),
            (ask("<script>"), "another version"),
            ("x".repeat(100_000), "another version"),
            (String::new(), "another version"),
        ] {
            let said = said_to(directory.path(), bytes.as_bytes()).await;
            // What was sent too long may be cut with its sender.
            if bytes.len() < 1000 || !said.is_empty() {
                assert!(said.contains("E-RUN-VERSION"), "{said}");
                assert!(
                    said.contains(&format!("is of {other}. ")) || other == "another version",
                    "{said}"
                );
                assert!(!said.contains('<') || bytes.contains('<'), "{said}");
            }
        }
        assert!(orders.try_recv().is_err());
    }

    #[tokio::test]
    async fn a_bridge_that_nobody_keeps_or_whose_store_is_not_held_is_not_found() {
        let (_directory, location, _seat, mut orders) = desk();
        assert!(find(&location, "others").await.unwrap().is_none());
        let keeper = tokio::spawn(async move {
            for held in [false, true] {
                let Some(Order::Held(reply)) = orders.recv().await else {
                    panic!("another order");
                };
                reply.send(held).unwrap();
            }
            orders
        });
        assert!(find(&location, "members").await.unwrap().is_none());
        let line = find(&location, "members").await.unwrap().unwrap();
        // A keeper that is gone answers nothing, and that is said.
        drop(keeper.await.unwrap());
        let error = line.ask(Question::Quarantine).await.unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-RUN-GONE", ErrorKind::Busy)
        );
        let mut pass = line.pass(&RunOptions::default()).await.unwrap();
        assert_eq!(pass.news().await.err().unwrap().code(), "E-RUN-GONE");
    }

    #[tokio::test]
    async fn answers_and_errors_come_back_and_a_stop_gets_through() {
        let (_directory, location, _seat, mut orders) = desk();
        tokio::spawn(async move {
            while let Some(order) = orders.recv().await {
                match order {
                    Order::Held(reply) => reply.send(true).unwrap(),
                    Order::Question { question, reply } => {
                        let answer = if question.writes() {
                            Err(Error::config("E-HELD-UNKNOWN", "no such id"))
                        } else {
                            Ok(Answer::Reviews(Vec::new()))
                        };
                        reply.send(Some(answer)).unwrap_or(());
                    }
                    Order::Pass { reply, .. } => {
                        let mut reply = reply.unwrap();
                        reply.told.send(Told::Begun).unwrap();
                        reply.stop.wait_for(|stop| *stop).await.unwrap();
                        reply.told.send(Told::NotHeld).unwrap();
                    }
                }
            }
        });
        let line = find(&location, "members").await.unwrap().unwrap();
        let answer = line.ask(Question::Reviews { settled: true }).await.unwrap();
        assert!(matches!(answer, Answer::Reviews(found) if found.is_empty()));
        let id = "x".to_owned();
        let error = line.ask(Question::Retry { id }).await.unwrap_err();
        assert_eq!(
            (error.code(), error.kind()),
            ("E-HELD-UNKNOWN", ErrorKind::Config)
        );
        let mut pass = line.pass(&RunOptions::default()).await.unwrap();
        assert!(matches!(pass.news().await.unwrap(), PassNews::Begun));
        pass.stop().await;
        assert!(matches!(pass.news().await.unwrap(), PassNews::NotHeld));
    }
}
