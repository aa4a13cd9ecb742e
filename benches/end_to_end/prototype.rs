//! The bare prototype: what a first load costs when nothing is promised.
//!
//! Pages of 100, eight in flight, decoded by the bridge's decoder, and put into one table of one SQLite file (WAL,
//! synchronous=NORMAL, a transaction a page). It maps nothing, keeps no state, checks no seam and finds no edit.

use std::time::Duration;

use contactbridge::model::{Document, RemoteItem};
use contactbridge::remote::contactlist::{
    Answer, AnswerLimits, Login, Reading, SoapVersion, decode_list, encode_list,
};
use futures::StreamExt;
use rusqlite::Connection;

use super::site::Site;

/// What it is told on the command line.
pub const WORD: &str = "prototype";

const IN_FLIGHT: usize = 8;

const PLAIN: [&str; 13] = [
    "externalId",
    "emailAddress",
    "entityId",
    "contactTitle",
    "firstName",
    "lastName",
    "fullName",
    "dateOfBirth",
    "customerType",
    "industryType",
    "leadSourceType",
    "ratingType",
    "MasterOptIn",
];

/// How the process is started for `site` and the file `database`.
pub fn arguments(site: &Site, database: &str, people: u32) -> Vec<String> {
    vec![
        WORD.to_owned(),
        site.endpoint.clone(),
        site.site_id.to_string(),
        site.username.clone(),
        site.password.clone(),
        database.to_owned(),
        people.to_string(),
    ]
}

/// The process itself.
pub fn run(arguments: &[String]) {
    let [endpoint, site_id, username, password, database, people] = arguments else {
        panic!("endpoint, site, user, password, file, people");
    };
    let site_id: i32 = site_id.parse().expect("a number");
    let people: u32 = people.parse().expect("a number");
    let conn = Connection::open(database).expect("a new file");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
         CREATE TABLE contacts (customer_no, email, crm_id, title, first_name, last_name, full_name, born_on, customer_type,
         industry, lead_source, rating, opted_in, home_phone, mobile, home_line_1, home_city, home_postcode, home_country,
         company, notes)",
    )
    .expect("a table");
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(Vec::new())
        .tcp_nodelay(true)
        .build()
        .expect("a client");
    let reading = Reading {
        zone: chrono_tz::Australia::Sydney,
        limits: AnswerLimits::default(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads");
    runtime.block_on(async {
        let mut pages = futures::stream::iter((0..people).step_by(100))
            .map(|offset| {
                let login = Login {
                    username,
                    password,
                    site_id,
                };
                let body = encode_list(SoapVersion::V12, login, None, offset).expect("a request");
                let request = client
                    .post(endpoint.as_str())
                    .header("content-type", "application/soap+xml; charset=utf-8")
                    .timeout(Duration::from_secs(60))
                    .body(body);
                async move {
                    tokio::spawn(async move {
                        let answer = request.send().await.expect("an answer");
                        let bytes = answer.bytes().await.expect("all of it");
                        match decode_list(&bytes, &reading).expect("a list") {
                            Answer::Response(list) => list.items,
                            Answer::Fault(_) => panic!("a fault"),
                        }
                    })
                    .await
                    .expect("decoded")
                }
            })
            .buffered(IN_FLIGHT);
        let mut insert = conn
            .prepare("INSERT INTO contacts VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
            .expect("a statement");
        let mut count = 0;
        while let Some(items) = pages.next().await {
            conn.execute_batch("BEGIN").expect("a transaction");
            for item in &items {
                let RemoteItem::Record(record) = item else {
                    panic!("a plain site holds no bad record")
                };
                let document = &record.document;
                let plain = PLAIN.iter().map(|name| document.text(name));
                let rest = [
                    part(document, "phoneNos", "phoneNoTypeID", "1", "phoneNo"),
                    part(document, "phoneNos", "phoneNoTypeID", "5", "phoneNo"),
                    part(document, "addresses", "addressTypeID", "1", "addressLine1"),
                    part(document, "addresses", "addressTypeID", "1", "city"),
                    part(document, "addresses", "addressTypeID", "1", "zipcode"),
                    part(document, "addresses", "addressTypeID", "1", "countryCode"),
                    form_field(document, "Company Name"),
                    form_field(document, "Notes"),
                ];
                insert
                    .execute(rusqlite::params_from_iter(plain.chain(rest)))
                    .expect("a row");
                count += 1;
            }
            conn.execute_batch("COMMIT").expect("a transaction");
        }
        assert_eq!(count, people, "everybody was loaded");
    });
}

fn part<'d>(
    document: &'d Document,
    list: &str,
    selector: &str,
    value: &str,
    leaf: &str,
) -> Option<&'d str> {
    let mut items = document.list(list).iter();
    let item = items.find(|item| item.text(selector) == Some(value))?;
    item.text(leaf)
}

fn form_field<'d>(document: &'d Document, name: &str) -> Option<&'d str> {
    let form = document.list("crmForms").first()?;
    part(form, "crmFormFields", "fieldName", name, "fieldValue")
}
