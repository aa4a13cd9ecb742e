//! The shared store on a real server: the contract, leases, and what hands and failures can do to it.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::StateLocation as Configured;
use crate::local::{Fresh, Server};
use crate::model::ErrorKind;
use crate::state::{contract, open};

struct Place {
    fresh: Fresh,
    place: SharedPlace,
}

impl Place {
    fn make() -> Option<Self> {
        let fresh = Fresh::make(Server::Postgres)?;
        let place = shared(&fresh.url());
        Some(Self { fresh, place })
    }

    async fn open_for(&self, lease: Duration) -> Result<PostgresStore> {
        let mut initial = Batch::new();
        initial.put(Table::Meta, "made", "1");
        PostgresStore::open(&self.place, "members", lease, initial, false)
            .await
            .map(|(store, _)| store)
    }

    /// With a lease that nobody waits for.
    async fn open(&self) -> PostgresStore {
        self.open_for(Duration::from_secs(3600)).await.unwrap()
    }

    fn cell(&self, sql: &str) -> Option<String> {
        self.fresh.rows(sql).concat().pop().flatten()
    }

    /// As if the holder had been silent for its lease.
    fn let_it_expire(&self) {
        self.fresh.run(
            "UPDATE contactbridge.bridge SET until = clock_timestamp() - interval '1 millisecond'",
        );
    }
}

fn shared(url: &str) -> SharedPlace {
    match Configured::parse(url, Path::new("/")) {
        Ok(Configured::Postgres(url)) => SharedPlace::new(url),
        other => panic!("{other:?}"),
    }
}

fn one(key: &str, value: &str) -> Batch {
    let mut batch = Batch::new();
    batch.put(Table::Link, key, value);
    batch
}

macro_rules! place {
    () => {
        match Place::make() {
            Some(place) => place,
            None => return,
        }
    };
}

#[tokio::test]
async fn keeps_the_contract() {
    let place = place!();
    contract::keeps_the_contract(
        async || place.open().await,
        async |store| store.close().unwrap(),
    )
    .await;
}

#[tokio::test]
async fn bridges_and_installations_in_one_database_do_not_see_each_other() {
    let place = place!();
    let other_schema = shared(&format!("{}?schema=trial", place.fresh.url()));
    let lease = Duration::from_secs(60);
    let empty = Batch::new;
    let members = place.open().await;
    let others = PostgresStore::open(&place.place, "others", lease, empty(), false);
    let (others, created) = others.await.unwrap();
    assert!(created);
    let trial = PostgresStore::open(&other_schema, "members", lease, empty(), false);
    let (trial, created) = trial.await.unwrap();
    assert!(created);
    for (store, value) in [(&members, "1"), (&others, "2"), (&trial, "3")] {
        store.commit(one("same key", value)).await.unwrap();
    }
    for (store, value) in [(&members, "1"), (&others, "2"), (&trial, "3")] {
        let found = store.get(Table::Link, b"same key").await.unwrap().unwrap();
        assert_eq!(found, value.as_bytes());
    }
}

#[tokio::test]
async fn a_commit_is_durable_whatever_the_servers_default_is() {
    let place = place!();
    let name = place.fresh.name();
    for (default, wanted) in [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_apply", "remote_apply"),
    ] {
        place.fresh.administer(&format!(
            "ALTER DATABASE {name} SET synchronous_commit = {default}"
        ));
        let mut link = connection::Link::open(&place.place, Duration::from_secs(60))
            .await
            .unwrap();
        let asked = connection::ask("SELECT current_setting('synchronous_commit') AS it".into());
        let row = link.one(asked).await.unwrap();
        assert_eq!(link.cell::<String>(&row, "it").unwrap(), wanted);
        link.close().await;
    }
}

#[tokio::test]
async fn h67_a_bridge_has_one_holder_and_the_others_are_told_who() {
    let place = place!();
    let store = place.open().await;
    let error = place.open_for(DEFAULT_LEASE).await.err().unwrap();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-STATE-LOCKED", ErrorKind::Busy)
    );
    let pid = std::process::id();
    for word in ["host ", &format!("pid {pid}"), "since ", "until "] {
        assert!(error.message().contains(word), "{error}");
    }
    let seen = desk::see(&place.place, &["members", "nobody"]).unwrap();
    assert_eq!(seen[0].holder.as_ref().unwrap().pid, Some(pid));
    assert!(seen[1].holder.is_none());
    store.close().unwrap();
    assert!(
        desk::see(&place.place, &["members"]).unwrap()[0]
            .holder
            .is_none()
    );
    // Given back in order: nobody is left who would have to be fenced.
    let store = place.open().await;
    assert!(!store.overtook());
    // A store that is only dropped gives the lease back too.
    drop(store);
    place.open().await.close().unwrap();
}

#[tokio::test]
async fn h67_of_many_that_race_for_a_lease_one_has_it() {
    let place = place!();
    let held = std::sync::atomic::AtomicU32::new(0);
    let taken = std::sync::atomic::AtomicU32::new(0);
    let order = std::sync::atomic::Ordering::SeqCst;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                desk::runtime().unwrap().block_on(async {
                    for _ in 0..10 {
                        match place.open_for(Duration::from_secs(60)).await {
                            Ok(store) => {
                                assert_eq!(held.fetch_add(1, order), 0);
                                store.commit(one("k", "v")).await.unwrap();
                                taken.fetch_add(1, order);
                                held.fetch_sub(1, order);
                                store.close().unwrap();
                            }
                            Err(error) => assert_eq!(error.kind(), ErrorKind::Busy, "{error}"),
                        }
                    }
                });
            });
        }
    });
    assert!(taken.into_inner() > 0);
}

#[tokio::test]
async fn h67_a_holder_that_was_overtaken_commits_nothing_more() {
    let place = place!();
    let sleeper = place.open().await;
    sleeper.commit(one("a", "by the first")).await.unwrap();
    place.let_it_expire();
    // Nobody came: it may go on.
    sleeper.commit(one("b", "by the first")).await.unwrap();
    let left = || {
        place.cell("SELECT convert_from(status, 'UTF8') || coalesce(passed::text, '') FROM contactbridge.bridge")
    };
    sleeper
        .leave_status(&place.place, "members", b"by the first ")
        .unwrap();
    let first = left().unwrap();
    assert!(first.len() > "by the first ".len(), "{first}");
    place.let_it_expire();

    let next = place.open().await;
    // It has nothing to say of a bridge that is another's now: neither what `status` shows nor that a turn is done.
    sleeper
        .leave_status(&place.place, "members", b"too late")
        .unwrap();
    assert_eq!(left().unwrap(), first);
    assert!(next.overtook());
    assert_eq!(
        next.get(Table::Link, b"b").await.unwrap().unwrap(),
        b"by the first"
    );
    let error = sleeper.commit(one("a", "too late")).await.unwrap_err();
    assert_eq!((error.code(), error.kind()), ("E-FENCED", ErrorKind::Busy));
    assert!(error.message().contains("pid "), "{error}");
    // And nothing else: it must be opened anew.
    assert_eq!(
        sleeper.get(Table::Link, b"a").await.unwrap_err().code(),
        "E-FENCED"
    );
    assert_eq!(
        next.get(Table::Link, b"a").await.unwrap().unwrap(),
        b"by the first"
    );
    // Its end does not take the lease away from the next one.
    assert_eq!(sleeper.close().unwrap_err().code(), "E-FENCED");
    next.still_held().await.unwrap();
    next.close().unwrap();

    // Until somebody says that the sleeper is fenced everywhere, each opener hears of it.
    let later = place.open().await;
    assert!(later.overtook());
    later.fenced().await.unwrap();
    later.close().unwrap();
    assert!(!place.open().await.overtook());
}

#[tokio::test]
async fn a_send_is_preceded_by_a_whole_lease_or_refused() {
    let place = place!();
    let store = place.open().await;
    place.let_it_expire();
    store.still_held().await.unwrap();
    let left = "SELECT (until > clock_timestamp() + interval '50 minutes')::text FROM contactbridge.bridge";
    assert_eq!(place.cell(left).as_deref(), Some("true"));
    place.let_it_expire();
    let next = place.open().await;
    assert_eq!(store.still_held().await.unwrap_err().code(), "E-FENCED");
    next.still_held().await.unwrap();
}

#[tokio::test]
async fn a_lease_is_kept_while_the_engine_waits() {
    let place = place!();
    let store = place.open_for(Duration::from_secs(1)).await.unwrap();
    let seen = || place.cell("SELECT (until - since)::text FROM contactbridge.bridge");
    // Renewed three times and more, while nobody asks the store for anything.
    for _ in 0..3 {
        let before = seen();
        while seen() == before {}
    }
    assert!(place.open_for(DEFAULT_LEASE).await.is_err());
    store.commit(one("a", "1")).await.unwrap();
    store.close().unwrap();
}

#[tokio::test]
async fn who_can_not_renew_stops_and_who_was_overtaken_hears_of_it() {
    let place = place!();
    let store = place.open_for(Duration::from_secs(1)).await.unwrap();
    // Nobody may renew: neither a right of the user's nor a connection would help.
    place.fresh.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE insufficient_privilege; END'; \
         CREATE TRIGGER refuse BEFORE UPDATE ON contactbridge.bridge FOR EACH ROW EXECUTE FUNCTION refuse()",
    );
    let error = loop {
        if let Err(error) = store.get(Table::Link, b"a").await {
            break error;
        }
    };
    assert_eq!(
        (error.code(), error.kind()),
        ("E-STATE-LEASE", ErrorKind::Unreachable)
    );
    place
        .fresh
        .run("DROP TRIGGER refuse ON contactbridge.bridge");
    drop(store);

    let store = place.open_for(Duration::from_secs(1)).await.unwrap();
    place.fresh.run(
        "UPDATE contactbridge.bridge SET epoch = epoch + 1, holder = 'another', host = 'web9'",
    );
    let error = loop {
        if let Err(error) = store.get(Table::Link, b"a").await {
            break error;
        }
    };
    assert_eq!((error.code(), error.kind()), ("E-FENCED", ErrorKind::Busy));
}

#[tokio::test]
async fn a_takeover_waits_for_a_commit_under_way() {
    let place = place!();
    let waiters = |count: &str| {
        let waits = "SELECT count(*)::text FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        place.cell(waits).as_deref() == Some(count)
    };
    let store = place.open().await;
    store.commit(one("a", "1")).await.unwrap();
    // Somebody's hand on a row keeps a commit of the holder under way.
    let mut hand = connection::Link::open(&place.place, Duration::from_secs(60))
        .await
        .unwrap();
    hand.script("BEGIN; UPDATE contactbridge.entry SET value = value WHERE key = 'a'")
        .await
        .unwrap();
    let mut late = store.commit(one("a", "2"));
    while !waiters("1") {}
    place.let_it_expire();
    let mut taking = Box::pin(place.open_for(DEFAULT_LEASE));
    // It waits: the server says so.
    while !waiters("2") {
        tokio::select! {
            biased;
            _ = &mut taking => panic!("it did not wait"),
            _ = &mut late => panic!("it was not under way"),
            () = tokio::task::yield_now() => {}
        }
    }
    hand.script("COMMIT").await.unwrap();
    let next = taking.await.unwrap();
    late.await.unwrap();
    assert_eq!(next.get(Table::Link, b"a").await.unwrap().unwrap(), b"2");
    assert_eq!(
        store.commit(one("a", "3")).await.unwrap_err().code(),
        "E-FENCED"
    );
}

#[tokio::test]
async fn a_row_altered_by_hand_is_an_error_and_never_a_missing_value() {
    let place = place!();
    for hand in [
        "UPDATE contactbridge.entry SET value = set_byte(value, 7, get_byte(value, 7) # 1) WHERE tab = 2 AND key = 'a'",
        "UPDATE contactbridge.entry SET value = '' WHERE tab = 2 AND key = 'a'",
        "UPDATE contactbridge.entry AS a SET value = b.value FROM contactbridge.entry AS b WHERE a.key = 'a' AND b.key = 'b'",
        "UPDATE contactbridge.entry SET store = store + 1000; UPDATE contactbridge.store SET number = DEFAULT; \
         UPDATE contactbridge.entry SET store = (SELECT max(number) FROM contactbridge.store WHERE aside IS NULL)",
    ] {
        let store = place.open().await;
        store.commit(one("a", "secret a")).await.unwrap();
        store.commit(one("b", "secret b")).await.unwrap();
        place.fresh.run(hand);
        let error = match store.get(Table::Link, b"a").await {
            Err(error) => error,
            // The store itself was moved away from under it.
            Ok(found) => {
                assert_eq!(found, None, "{hand}");
                drop(store);
                let store = place.open().await;
                store.get(Table::Link, b"a").await.unwrap_err()
            }
        };
        assert_eq!(
            (error.code(), error.kind()),
            ("E-STATE-CORRUPT", ErrorKind::NeedsPerson),
            "{hand}"
        );
        assert!(!error.message().contains("secret"), "{error}");
        place
            .fresh
            .run("TRUNCATE contactbridge.store, contactbridge.entry");
        place.let_it_expire();
    }
}

#[tokio::test]
async fn tables_that_are_gone_are_damage_and_a_server_that_is_gone_is_not() {
    let place = place!();
    let store = place.open().await;
    place
        .fresh
        .run("ALTER TABLE contactbridge.entry RENAME TO other");
    let error = store.commit(one("a", "1")).await.unwrap_err();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-STATE-CORRUPT", ErrorKind::NeedsPerson)
    );
    place
        .fresh
        .run("ALTER TABLE contactbridge.other RENAME TO entry");
    drop(store);

    let store = place.open().await;
    store.commit(one("a", "1")).await.unwrap();
    place.fresh.administer(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
        place.fresh.name()
    ));
    let error = store.commit(one("b", "1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable, "{error}");
    assert!(error.message().contains("running again is safe"), "{error}");
    assert_eq!(store.close().unwrap_err().kind(), ErrorKind::Unreachable);
    // The lease was given back on a connection of its own, and what was committed stands.
    let store = place.open().await;
    assert_eq!(store.get(Table::Link, b"a").await.unwrap().unwrap(), b"1");
    assert_eq!(store.get(Table::Link, b"b").await.unwrap(), None);
}

#[tokio::test]
async fn addresses_that_lead_nowhere_say_so_without_the_password() {
    let Some(place) = Place::make() else { return };
    let (host, port) = place.fresh.address();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = closed.local_addr().unwrap().port();
    drop(closed);
    for (url, code, kind) in [
        (
            format!("postgres://u:hunter2@{host}:{nobody}/state"),
            "E-STATE-UNREACHABLE",
            ErrorKind::Unreachable,
        ),
        (
            format!("postgres://postgres:hunter2@{host}:{port}/no_such_database"),
            "E-STATE-DATABASE",
            ErrorKind::Config,
        ),
        (
            format!("postgres://no_such_user:hunter2@{host}:{port}/postgres"),
            "E-STATE-LOGIN",
            ErrorKind::Unreachable,
        ),
    ] {
        let place = shared(&url);
        let opened = PostgresStore::open(&place, "members", DEFAULT_LEASE, Batch::new(), false);
        let error = opened.await.err().unwrap();
        assert_eq!((error.code(), error.kind()), (code, kind), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
}

#[tokio::test]
async fn an_administrator_makes_the_schema_and_grants_no_more_than_the_documents_say() {
    let place = place!();
    let user = format!("worker_{}", place.fresh.name());
    place.fresh.administer(&format!("CREATE ROLE {user} LOGIN"));
    let own = shared(&place.fresh.url_as(&user));
    let opened =
        async || PostgresStore::open(&own, "members", DEFAULT_LEASE, Batch::new(), false).await;
    let error = opened().await.err().unwrap();
    assert_eq!(
        (error.code(), error.kind()),
        ("E-STATE-RIGHTS", ErrorKind::Unreachable)
    );
    assert!(error.message().contains("--sql=postgres-state"), "{error}");
    place.fresh.run(&shared_state_sql());
    let documents = include_str!("../../../docs/operations.md");
    let grants: Vec<String> = documents
        .lines()
        .filter(|line| line.starts_with("GRANT") && line.contains("contactbridge_worker"))
        .map(|line| line.replace("contactbridge_worker", &user))
        .collect();
    assert!(grants.len() > 1, "{grants:?}");
    place.fresh.run(&grants.join("\n"));
    let (store, created) = opened().await.unwrap();
    assert!(created);
    store.commit(one("a", "1")).await.unwrap();
    let mut remove = Batch::new();
    remove.remove(Table::Link, "a");
    store.commit(remove).await.unwrap();
    store.close().unwrap();
    desk::leave_status(&own, "members", b"{}", true, None).unwrap();
    assert!(desk::set_aside(&own, "members").unwrap().is_some());
    desk::announce(&own, "other").unwrap();
    desk::finish(&own, "other").unwrap();
    place
        .fresh
        .run(&format!("DROP OWNED BY {user}; DROP ROLE {user}"));
}

#[tokio::test]
async fn what_the_common_opener_promises_holds_here_too() {
    let place = place!();
    let location = crate::state::StateLocation::Postgres(place.place.clone());
    let limits = crate::state::StateLimits::default();
    let now = "2026-11-22T10:02:00Z".parse().unwrap();
    let open = async |key: &[u8; 8]| open::open(&location, "members", *key, &limits, now).await;

    // Whoever looks makes nothing.
    assert!(!crate::state::exists(&location, "members").unwrap());
    assert_eq!(
        crate::state::read_status(&location, "members").unwrap(),
        None
    );
    assert_eq!(crate::state::holder(&location, "members").unwrap(), None);
    assert_eq!(
        place
            .cell("SELECT count(*)::text FROM pg_namespace WHERE nspname = 'contactbridge'")
            .as_deref(),
        Some("0")
    );

    let (store, created) = open(b"the key!").await.unwrap();
    assert!(created && crate::state::exists(&location, "members").unwrap());
    store.commit(one("a", "1")).await.unwrap();
    assert_eq!(
        crate::state::set_aside(&location, "members", now)
            .unwrap_err()
            .code(),
        "E-STATE-LOCKED"
    );
    store.close().unwrap();
    let other = open(b"another!").await.err().unwrap();
    assert_eq!(
        (other.code(), other.kind()),
        ("E-STATE-KEY", ErrorKind::NeedsPerson)
    );
    // Refused, it left nothing behind that would hold others up.
    let (store, created) = open(b"the key!").await.unwrap();
    assert!(!created);
    let mut newer = Batch::new();
    newer.put(Table::Meta, "store.schema", "99 9.9.9");
    store.commit(newer).await.unwrap();
    store.close().unwrap();
    assert_eq!(
        open(b"the key!").await.err().unwrap().code(),
        "E-STATE-NEWER"
    );

    let aside = crate::state::set_aside(&location, "members", now)
        .unwrap()
        .unwrap();
    assert!(aside.contains("schema contactbridge"), "{aside}");
    assert!(!crate::state::exists(&location, "members").unwrap());
    let (store, created) = open(b"the key!").await.unwrap();
    assert!(created);
    assert_eq!(store.get(Table::Link, b"a").await.unwrap(), None);
    store.close().unwrap();
    // Everything gone by hand is damage, and not a new store.
    place.fresh.run("DELETE FROM contactbridge.entry");
    assert_eq!(
        open(b"the key!").await.err().unwrap().code(),
        "E-STATE-CORRUPT"
    );

    let passed = || crate::state::last_pass(&location, "members").unwrap().since;
    crate::state::amend_status(&location, "members", b"{\"a\":1}").unwrap();
    assert_eq!(passed(), None);
    crate::state::leave_status(&location, "members", b"{\"a\":2}").unwrap();
    place
        .fresh
        .run("UPDATE contactbridge.bridge SET passed = passed - interval '1 hour'");
    crate::state::amend_status(&location, "members", b"{}").unwrap();
    assert!(passed().unwrap() >= Duration::from_secs(3600));
    assert_eq!(
        crate::state::read_status(&location, "members")
            .unwrap()
            .unwrap(),
        b"{}"
    );
}
