//! Both ends against each other over real HTTP: what one does, the other must have noticed.

use super::*;

/// A third-party application, and a retail system that posts to it.
fn both(retail: RetailOptions, third: ThirdOptions) -> (RetailSystem, ThirdParty) {
    let third = ThirdParty::start(third).unwrap();
    let options = third.options();
    let orce = RetailSystem::start(RetailOptions {
        profile: Profile::Plain,
        target: Some(Target {
            api_url: third.api_url(),
            token_url: third.token_url(),
            client_id: options.client_id,
            client_secret: options.client_secret,
            ca: None,
        }),
        ..retail
    })
    .unwrap();
    (orce, third)
}

fn people(people: u64) -> (RetailSystem, ThirdParty) {
    let options = RetailOptions {
        people,
        ..RetailOptions::default()
    };
    both(options, ThirdOptions::default())
}

/// The application has what the retail system has, and both count the same messages.
#[track_caller]
fn assert_equal(orce: &RetailSystem, third: &ThirdParty) {
    let bodies = orce.customers().into_iter().map(|customer| customer.body);
    let have: Vec<Json> = third.customers().into_values().collect();
    assert_eq!(have, bodies.collect::<Vec<_>>());
    let bodies = orce.transactions().into_iter().map(|one| one.body);
    let have: Vec<Json> = third.transactions().into_values().collect();
    assert_eq!(have, bodies.collect::<Vec<_>>());
    assert_eq!(&third.customers(), orce.delivered().customers());
    assert_eq!(&third.transactions(), orce.delivered().transactions());
    assert_eq!(third.repeated(), orce.delivered().repeated());
}

fn actions(third: &ThirdParty) -> Vec<Action> {
    third
        .accepted()
        .iter()
        .filter_map(|one| one.action)
        .collect()
}

#[tokio::test]
async fn everything_arrives_in_order_each_message_once() {
    let (orce, third) = people(5);
    let ids: Vec<String> = third.customers().into_keys().collect();
    assert_eq!(ids, Vec::<String>::new());
    let first = orce.customers()[0].id().to_owned();
    orce.with(|books| books.post_seeded(&first));
    let report = orce.run_job().await;
    assert!(report.is_success());
    assert_eq!((report.posts.len(), report.tokens), (7, 1));
    assert_equal(&orce, &third);
    assert_eq!(third.defects(), []);
    assert_eq!(third.overlap_count(), 0);
    assert_eq!(orce.run_job().await.posts, []);
    assert_eq!(report.unique_ids()[0], "26764466");
}

#[tokio::test]
async fn awkward_customers_arrive_to_the_letter() {
    let (orce, third) = people(0);
    let seeded = seeded::Seeded {
        seed: 3,
        profile: Profile::Awkward,
    };
    for number in 0..40 {
        orce.add_customer(seeded.customer(number));
    }
    for text in [
        "ascii",
        "strange-fields",
        "layout=printed",
        "payload=object",
    ] {
        orce.switch(text).unwrap();
    }
    third.switch("lenient").unwrap();
    orce.with_habits(|habits| habits.form.payload = PayloadForm::Text);
    assert!(orce.run_job().await.is_success());
    assert_equal(&orce, &third);
    assert!(!third.defects().is_empty());
}

#[tokio::test]
async fn the_job_ends_at_the_first_answer_that_is_not_200_and_keeps_its_place() {
    for status in [201, 204, 302, 400, 401, 500, 503] {
        let (orce, third) = people(4);
        third.switch(&format!("status={status}/#3")).unwrap();
        let report = orce.run_job().await;
        let third_id = "26764468".to_owned();
        let failure = Failure::Answer {
            unique_id: third_id.clone(),
            status,
        };
        assert_eq!(report.failure, Some(failure));
        assert_eq!((third.accepted().len(), report.posts.len()), (2, 3));
        let again = orce.run_job().await;
        assert!(again.is_success());
        assert_eq!(again.unique_ids()[0], third_id);
        assert_equal(&orce, &third);
        assert_eq!(third.repeated(), 0);
    }
}

#[tokio::test]
async fn a_lost_answer_brings_the_message_again_under_its_number() {
    let thirds = [
        "status-after=204/#2",
        "status-after=201/#2",
        "lose-answer=#2",
    ];
    for fault in thirds {
        let (orce, third) = people(3);
        third.switch(fault).unwrap();
        assert!(!orce.run_job().await.is_success(), "{fault}");
        assert!(orce.run_job().await.is_success(), "{fault}");
        let ids: Vec<String> = third
            .accepted()
            .into_iter()
            .map(|one| one.message.unique_id)
            .collect();
        assert_eq!(ids, ["26764466", "26764467", "26764467", "26764468"]);
        assert_eq!((third.repeated(), third.customers().len()), (1, 3));
        assert_eq!(third.defects(), []);
    }
    for (fault, jobs) in [("lose-answer=#2", 2), ("twice=#2", 1)] {
        let (orce, third) = people(3);
        orce.switch(fault).unwrap();
        assert_eq!(orce.run_jobs(5).await.len(), jobs, "{fault}");
        assert_equal(&orce, &third);
        assert_eq!(third.repeated(), 1);
    }
}

#[tokio::test]
async fn a_message_that_did_not_arrive_whole_is_not_taken() {
    for (fault, status) in [
        ("cut-body=#2", None),
        ("half-body=#2", Some(400)),
        ("wrong-token=#2", Some(401)),
        ("no-token=#2", Some(401)),
        ("content-type=text/plain/#2", Some(415)),
    ] {
        let (orce, third) = people(3);
        orce.switch(fault).unwrap();
        let report = orce.run_job().await;
        assert_eq!(report.posts.last().unwrap().status, status, "{fault}");
        assert_eq!(third.accepted().len(), 1, "{fault}");
        assert!(orce.run_job().await.is_success());
        assert_equal(&orce, &third);
        assert_eq!(third.repeated(), 0);
    }
    let (orce, third) = people(3);
    third.switch("lose-request=#2").unwrap();
    assert!(matches!(
        orce.run_job().await.failure,
        Some(Failure::NoAnswer { .. })
    ));
    assert_eq!(third.accepted().len(), 1);
}

#[tokio::test]
async fn odd_answers_with_200_are_200() {
    let (orce, third) = people(4);
    for fault in ["garbage=#1", "wrong-length=#2", "oversize=3000000/#3"] {
        third.switch(fault).unwrap();
    }
    assert!(orce.run_job().await.is_success());
    assert_equal(&orce, &third);
    third.switch("html").unwrap();
    orce.add_seeded(1);
    assert!(orce.run_job().await.is_success());
    assert_eq!((orce.customers().len(), third.customers().len()), (5, 4));
}

#[tokio::test]
async fn tokens_are_fetched_as_often_as_the_habit_says_and_in_each_way() {
    for (credentials, welcome, scope) in [
        ("basic", "basic", ""),
        ("body", "body", "x y"),
        ("query", "both", ""),
    ] {
        let (orce, third) = people(0);
        orce.switch(&format!("credentials={credentials}")).unwrap();
        orce.switch(&format!("scope={scope}")).unwrap();
        third.switch(&format!("credentials={welcome}")).unwrap();
        orce.add_seeded(3);
        let is_query = credentials == "query";
        // The application reads the form alone, as the standard has it.
        assert_eq!(orce.run_job().await.is_success(), !is_query);
        let asked = (!is_query).then(|| (!scope.is_empty()).then(|| scope.to_owned()));
        assert_eq!(third.scopes(), Vec::from_iter(asked));
    }
    for (habit, tokens) in [("token=job", 2), ("token=message", 4), ("token=kept", 1)] {
        let (orce, third) = people(2);
        orce.switch(habit).unwrap();
        for _ in 0..2 {
            assert!(orce.run_job().await.is_success());
            orce.add_seeded(2);
        }
        assert_eq!(third.token_count(), tokens, "{habit}");
    }
}

#[tokio::test]
async fn a_token_that_ends_too_early_ends_the_job_or_is_renewed() {
    let (orce, third) = people(5);
    third.switch("token-uses=2").unwrap();
    let reports = orce.run_jobs(9).await;
    let posts: Vec<usize> = reports.iter().map(|report| report.posts.len()).collect();
    assert_eq!(posts, [3, 3, 1]);
    assert_equal(&orce, &third);
    orce.switch("renew").unwrap();
    orce.segment_job(5);
    let report = orce.run_job().await;
    assert!(report.is_success());
    assert_eq!((report.posts.len(), report.tokens), (7, 3));
    orce.segment_job(1);
    orce.switch("token=kept").unwrap();
    third.with_habits(|habits| habits.token_uses = None);
    assert!(orce.run_job().await.is_success());
    third.advance(chrono::Duration::seconds(3600));
    orce.segment_job(1);
    assert_eq!(orce.run_job().await.posts.len(), 2);
    assert_equal(&orce, &third);
}

#[tokio::test]
async fn a_token_endpoint_may_be_down_or_talk_nonsense() {
    for (fault, status) in [
        ("status@token=503", Some(503)),
        ("html@token", None),
        ("garbage@token", None),
        ("lose-answer@token", None),
    ] {
        let (orce, third) = people(1);
        third.switch(fault).unwrap();
        let failure = orce.run_job().await.failure;
        assert_eq!(failure, Some(Failure::Token { status }), "{fault}");
        third.clear_rules();
        assert!(orce.run_job().await.is_success());
    }
    let (orce, third) = people(1);
    let mut target = orce.target().unwrap();
    target.client_secret.push('!');
    orce.set_target(target).unwrap();
    let failure = orce.run_job().await.failure;
    assert_eq!(failure, Some(Failure::Token { status: Some(401) }));
    assert_eq!(third.count(Operation::Message), 0);
}

#[tokio::test]
async fn a_fault_may_befall_one_customer_alone() {
    let (orce, third) = people(3);
    let id = orce.customers()[1].id().to_owned();
    third.switch(&format!("status@id:{id}=500/#1-2")).unwrap();
    let posts: Vec<usize> = orce
        .run_jobs(9)
        .await
        .iter()
        .map(|report| report.posts.len())
        .collect();
    assert_eq!(posts, [2, 1, 2]);
    assert_equal(&orce, &third);
}

#[tokio::test]
async fn merges_deletions_and_transactions_tell_what_the_tables_say() {
    use Action::{Create, Delete, Modify, Post};
    let (orce, third) = people(3);
    let ids: Vec<String> = orce
        .customers()
        .iter()
        .map(|one| one.id().to_owned())
        .collect();
    orce.switch("feed=transactions-first").unwrap();
    orce.with(|books| books.post_seeded(&ids[0]));
    assert!(orce.run_job().await.is_success());
    assert_eq!(actions(&third), [Post, Create, Create, Create, Modify]);
    third.clear_log();
    orce.merge(&[&ids[0], &ids[1]], Survivor::First).unwrap();
    orce.delete_customer(&ids[2]);
    orce.delete_unknown("nobody");
    assert!(orce.run_job().await.is_success());
    assert_eq!(actions(&third), [Delete, Delete, Create, Delete, Delete]);
    assert_equal(&orce, &third);
    assert_eq!(third.customers().len(), 1);
}

#[tokio::test]
async fn a_deletion_during_a_job_takes_what_was_not_yet_sent() {
    let (orce, third) = people(3);
    let ids: Vec<String> = orce
        .customers()
        .iter()
        .map(|one| one.id().to_owned())
        .collect();
    third.switch("status=500/#2").unwrap();
    assert!(!orce.run_job().await.is_success());
    orce.delete_customer(&ids[1]);
    orce.delete_customer(&ids[0]);
    assert!(orce.run_job().await.is_success());
    let told: Vec<Option<String>> = third.accepted().into_iter().map(|one| one.about).collect();
    let wanted = [&ids[0], &ids[2], &ids[1], &ids[0]].map(|id| Some(id.clone()));
    assert_eq!(told, wanted);
    assert_equal(&orce, &third);
}

#[tokio::test]
async fn strange_messages_are_defects_to_a_strict_application() {
    for (habit, defect) in [
        ("payload=object", Defect::Fields),
        ("strange-fields", Defect::Fields),
        ("per-post=2", Defect::SeveralMessages),
        ("deletion=quoted", Defect::Payload),
        ("deletion=object", Defect::Payload),
        ("deletion=number", Defect::Fields),
        ("deletion=null", Defect::Fields),
    ] {
        let (orce, third) = people(0);
        orce.switch(habit).unwrap();
        let ids = orce.add_seeded(2);
        if habit.starts_with("deletion") {
            orce.delete_customer(&ids[0]);
            orce.delete_customer(&ids[1]);
        }
        assert!(!orce.run_job().await.is_success(), "{habit}");
        let defects: Vec<Defect> = third
            .defects()
            .into_iter()
            .map(|(defect, _)| defect)
            .collect();
        assert_eq!(defects, [defect], "{habit}");
        assert_eq!(third.accepted(), []);
    }
}

#[tokio::test]
async fn replays_junk_samples_and_raw_bodies_reach_the_application() {
    let (orce, third) = people(2);
    assert_eq!(orce.send_sample().await, Ok(200));
    assert_eq!(third.accepted()[0].effect, Effect::Sample);
    assert!(orce.run_job().await.is_success());
    assert!(orce.replay("26764466") && !orce.replay("1"));
    assert!(orce.run_job().await.is_success());
    assert_equal(&orce, &third);
    assert_eq!(third.repeated(), 1);
    orce.queue_junk("CUSTOMER", "CUSTOMERMOD", "{\"customerID\":");
    assert!(!orce.run_job().await.is_success());
    third.switch("lenient").unwrap();
    assert!(orce.run_job().await.is_success());
    assert_eq!(third.ledger().unreadable(), 1);
    assert_eq!(orce.delivered().unreadable(), 1);
    assert_eq!(orce.post_body("not json").await, Ok(400));
}

#[tokio::test]
async fn keys_that_are_left_out_say_nothing() {
    let (orce, third) = people(1);
    let id = orce.customers()[0].id().to_owned();
    assert!(orce.run_job().await.is_success());
    orce.switch("leave-out=customerNotes").unwrap();
    orce.switch("leave-out=entityInformation.individual.name")
        .unwrap();
    orce.update_customer(&id, |customer| {
        customer
            .note("n")
            .named("Other", None, None)
            .with("source", "POS")
    });
    assert!(orce.run_job().await.is_success());
    let told = third.customer(&id).unwrap();
    assert_eq!(told.count("customerNotes.customerNote"), 0);
    assert_ne!(
        told.text("entityInformation.individual.name.name.0.value"),
        Some("Other")
    );
    assert_eq!(told.text("source"), Some("POS"));
}

#[tokio::test]
async fn a_transaction_of_five_megabytes_arrives() {
    let (orce, third) = people(0);
    let transaction = Transaction::sale("7", "90017", 1, 100, 2).padded(5_000_000);
    orce.post_transaction(transaction);
    let report = orce.run_job().await;
    assert!(report.is_success() && report.posts[0].bytes > 5_000_000);
    assert_equal(&orce, &third);
}

#[test]
fn a_job_may_be_waited_for_without_async() {
    let (orce, third) = people(2);
    assert!(orce.run_job_blocking().is_success());
    assert_equal(&orce, &third);
}

#[tokio::test]
async fn a_segment_job_arrives_across_jobs_that_fail() {
    segment_job(1_000, "0.003").await;
}

#[tokio::test]
#[ignore = "takes half a minute"]
async fn torture_a_segment_job_of_ten_thousand_arrives() {
    segment_job(10_000, "0.0003").await;
}

async fn segment_job(people: usize, share: &str) {
    let options = RetailOptions {
        people: people as u64,
        queued: false,
        ..RetailOptions::default()
    };
    let (orce, third) = both(options, ThirdOptions::default());
    orce.switch("token=message").unwrap();
    third.switch(&format!("lose-answer={share}")).unwrap();
    third.switch(&format!("status=500/{share}")).unwrap();
    assert_eq!(orce.segment_job(usize::MAX), people);
    let reports = orce.run_jobs(100).await;
    assert!(reports.len() > 2 && reports.last().unwrap().is_success());
    assert_eq!(third.customers().len(), people);
    assert_eq!(&third.customers(), orce.delivered().customers());
    assert!(third.repeated() > 0);
    assert_eq!(third.accepted().len(), people + third.repeated());
    assert_eq!(third.defects(), []);
}
