//! Signals and kills: what is under way ends at a safe point and is recorded, and what is left behind misleads nobody.

use std::net::TcpListener;

use rustix::process::Signal;

use super::{setup, status, with_pages};
use crate::support::{Project, Service, eventually};

/// A service in the middle of a slow pass of its schedule.
fn in_a_slow_pass(people: u32, delay: &str) -> (Project, Service) {
    let project = with_pages(setup())
        .crm(|options| options.people = people)
        .key("schedule: every 1h")
        .build();
    project
        .crm
        .switch(&format!("delay={delay}"))
        .expect("a switch");
    let service = Service::start(&project.binary);
    eventually("the pass begins", || {
        service.get("/").text().contains(">passing, for ")
    });
    (project, service)
}

/// A service in the middle of a call that nobody answers, and what brings the CRM back.
fn in_a_call_that_hangs() -> (Project, Service, impl FnOnce(&Project)) {
    let project = setup().key("schedule: every 1h").build();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = project.crm.url();
    let nobody = format!("http://{}/nobody", silent.local_addr().expect("an address"));
    project.edit("bridge.yaml", &url, &nobody);
    let service = Service::start(&project.binary);
    silent.set_nonblocking(true).expect("a socket");
    let mut call = None;
    eventually("a call", || {
        call = silent.accept().ok();
        call.is_some()
    });
    let heal = move |project: &Project| {
        drop((call, silent));
        // Another address would be another site.
        std::fs::remove_dir_all(project.path("state")).expect("a state");
        std::fs::remove_file(project.path("customers.db")).expect("a file");
        project.edit("bridge.yaml", &nobody, &url);
    };
    (project, service, heal)
}

#[test]
fn sigterm_and_sigint_end_a_pass_at_a_safe_point_with_0_and_its_record() {
    for signal in [Signal::TERM, Signal::INT] {
        let (project, mut service) = in_a_slow_pass(400, "300ms");
        service.signal(signal);
        assert_eq!(service.ends(), Some(0), "{:#?}", service.said());
        let left = status(&project, 0);
        assert_eq!(left["outcome"], "failed", "{left}");
        let error = left["error"].as_str().expect("an error");
        assert!(error.starts_with("E-INTERRUPTED"), "{left}");
        assert!(left["lease"].is_null(), "{left}");
        assert!(!project.path("state/.run.sock").exists());
        project.crm.clear_rules();
        project.sync(0);
        assert_eq!(project.cell("SELECT count(*) FROM customers"), "400");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_and_nothing_is_lost() {
    let (project, mut service, heal) = in_a_call_that_hangs();
    service.signal(Signal::TERM);
    service.hears("stopping at the next safe point");
    service.signal(Signal::TERM);
    assert_eq!(service.ends(), Some(143));
    // Its socket stays, and nobody answers there.
    assert!(project.path("state/.run.sock").exists());
    // The first call hung, so that there was nothing to lose but the lock.
    project.line("review list").exits(0);
    heal(&project);
    project.sync(0);
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "20");
}

#[test]
#[ignore = "waits for the bound of a stop: a quarter of a minute"]
fn a_pass_that_comes_to_no_safe_point_is_cut_off_in_time() {
    let (project, mut service, heal) = in_a_call_that_hangs();
    let began = std::time::Instant::now();
    service.signal(Signal::TERM);
    assert_eq!(service.ends(), Some(0), "{:#?}", service.said());
    assert!(began.elapsed() < std::time::Duration::from_secs(25));
    let left = status(&project, 0);
    let error = left["error"].as_str().expect("an error");
    assert!(error.starts_with("E-INTERRUPTED Cut off"), "{left}");
    assert!(left["lease"].is_null(), "{left}");
    heal(&project);
    project.sync(0);
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "20");
}

#[test]
fn a_killed_service_holds_nobody_up() {
    let (project, mut service) = in_a_slow_pass(40, "60s");
    service.signal(Signal::KILL);
    assert_eq!(service.ends(), None);
    assert!(project.path("state/.run.sock").exists());
    project.crm.clear_rules();
    // Commands find a socket that nobody answers at, and do it themselves.
    project.line("review list").exits(0);
    project.sync(0);
    assert_eq!(project.cell("SELECT count(*) FROM customers"), "40");
    // And the next service sits down where the killed one sat.
    let mut service = Service::start(&project.binary);
    project.sync(0);
    service.hears("a pass ended");
    service.stop();
    assert!(!project.path("state/.run.sock").exists());
}

#[test]
fn killed_at_any_checkpoint_it_goes_on_where_it_was() {
    for point in ["*:2", "*:5", "*:9"] {
        let project = setup().key("schedule: every 1s").build();
        let binary = project.binary.clone().with("CONTACTBRIDGE_CRASH_AT", point);
        let mut service = Service::begin(&binary);
        assert_eq!(service.ends(), None, "{point}: {:#?}", service.said());
        let service = Service::start(&project.binary);
        eventually("everybody is there", || {
            status(&project, 0)["outcome"] == "ok"
        });
        assert_eq!(
            project.cell("SELECT count(*) FROM customers"),
            "20",
            "{point}"
        );
        service.stop();
        assert_eq!(project.crm.people().len(), 20);
        project.sync(0);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_service_manager_is_told_when_it_is_ready_and_when_it_stops() {
    let project = setup().build();
    let path = project.path("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    let patience = Some(std::time::Duration::from_secs(60));
    socket.set_read_timeout(patience).expect("a time-out");
    let binary = project
        .binary
        .clone()
        .with("NOTIFY_SOCKET", path.to_str().expect("text"));
    let service = Service::start(&binary);
    let hear = || {
        let mut text = [0; 200];
        let length = socket.recv(&mut text).expect("a message");
        String::from_utf8(text[..length].to_vec()).expect("text")
    };
    assert_eq!(hear().trim_end(), "READY=1");
    service.stop();
    assert_eq!(hear().trim_end(), "STOPPING=1");
}
