//! The queue under `contactbridge run`: followed at the turns of a schedule, refused to commands that would fill it beside the service.

use super::Setup;
use crate::support::{Service, eventually};

#[test]
pub fn the_queue_is_followed_at_the_turns_of_a_schedule() {
    let shadow = Setup::people(50)
        .state("state\nhttp:\n  listen: 127.0.0.1:0")
        .build();
    shadow.edit(
        "bridge.yaml",
        "    database:",
        "    schedule: every 1s\n    database:",
    );
    let service = Service::start(&shadow.binary);
    eventually("the first fill", || {
        let status = shadow.line("status --format json").exits(0).json();
        status[0]["links"] == 50 && status[0]["queue"] == 0
    });
    shadow.assert_equal(&[]);
    let id = shadow.crm.customers()[7].id.clone();
    assert!(shadow.crm.delete(&id));
    eventually("the deletion", || {
        shadow.cell("SELECT count(*) FROM customers WHERE deleted_at IS NULL") == "49"
    });
    let counted = "bridge_records_total{bridge=\"members\",direction=\"pull\",op=\"deleted\"} 1";
    eventually("the count", || {
        let metrics = service.get("/metrics").text();
        metrics.lines().any(|line| line == counted)
    });
    // The pass has ended, and with it the purge.
    shadow
        .line("enqueue members --all")
        .exits(6)
        .complains("`contactbridge run`")
        .complains("Stop it");
    assert_eq!(shadow.crm.queue_len(), 0);
    let metrics = service.get("/metrics").text();
    for line in [
        "bridge_queue_depth{bridge=\"members\",queue=\"inbox\"} 0",
        "bridge_records_total{bridge=\"members\",direction=\"pull\",op=\"created\"} 50",
    ] {
        assert!(
            metrics.lines().any(|have| have == line),
            "no {line} in\n{metrics}"
        );
    }
    // A kind without a watermark has no lag.
    assert!(
        !metrics.contains("bridge_watermark_lag_seconds{"),
        "{metrics}"
    );
    service.stop();
    shadow.line("enqueue members --all").exits(0);
}
