//! The dashboard: what `status` says and what the keepers are doing, as a page that needs no script and nothing from elsewhere.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::service::{Phase, Standing};

/// What `status` says.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// The heads of the columns.
    pub headings: Vec<&'static str>,
    /// A row for each bridge.
    pub rows: Vec<Vec<String>>,
    /// What went wrong, a sentence for each.
    pub notes: Vec<String>,
}

/// The page looks again by itself, this often.
const REFRESH_SECONDS: u32 = 15;

pub(super) const STYLE: &str = "\
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 75rem; padding: 0 1rem }
h1 { font-size: 1.3rem } h2 { font-size: 1rem; margin-top: 2rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .35rem 1rem .35rem 0; border-bottom: 1px solid #8884; vertical-align: top }
th { font-weight: 600; font-size: .8rem; white-space: nowrap }
td { font-variant-numeric: tabular-nums }
.good { color: #1a7f37 } .bad { color: #cf222e; font-weight: 600 }
@media (prefers-color-scheme: dark) { .good { color: #3fb950 } .bad { color: #f85149 } }
li { margin: .3rem 0 } footer { margin-top: 2rem; font-size: .85rem; opacity: .75 }
";

/// The page.
pub(super) fn page(standings: &[Standing], status: &Table, now: DateTime<Utc>) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta http-equiv=\"refresh\" content=\"{REFRESH_SECONDS}\">\n<title>contactbridge</title>\n<link rel=\"stylesheet\" href=\"style.css\">\n\
         </head>\n<body>\n<h1>contactbridge</h1>\n"
    );
    table(
        &mut html,
        &status.headings,
        status.rows.iter().map(|row| {
            row.iter()
                .map(|cell| (cell.clone(), ""))
                .collect::<Vec<_>>()
        }),
    );
    let troubles: Vec<&str> = standings
        .iter()
        .filter_map(|standing| match &standing.phase {
            Phase::Locked(why) | Phase::Failed(why) => Some(why.as_str()),
            _ => None,
        })
        .chain(status.notes.iter().map(String::as_str))
        .collect();
    if !troubles.is_empty() {
        html.push_str("<h2>What went wrong</h2>\n<ul>\n");
        for trouble in troubles {
            let _ = writeln!(html, "<li>{}</li>", escape(trouble));
        }
        html.push_str("</ul>\n");
    }
    html.push_str("<h2>Schedule</h2>\n");
    table(
        &mut html,
        &["BRIDGE", "SCHEDULE", "NOW", "NEXT TURN"],
        standings.iter().map(|standing| cells(standing, now)),
    );
    let _ = write!(
        html,
        "<footer>As of {}; looks again every {REFRESH_SECONDS} seconds. Also here: <a href=\"metrics\">metrics</a>, <a href=\"readyz\">readyz</a>, \
         <a href=\"healthz\">healthz</a>. Version {}.</footer>\n</body>\n</html>\n",
        time(now),
        escape(env!("CARGO_PKG_VERSION")),
    );
    html
}

fn cells(standing: &Standing, now: DateTime<Utc>) -> Vec<(String, &'static str)> {
    let class = if standing.phase.is_ready() {
        "good"
    } else {
        "bad"
    };
    let phase = match &standing.phase {
        Phase::Passing(since) => {
            format!("passing, for {} s", (now - since).num_seconds().max(0))
        }
        other => other.word().to_owned(),
    };
    let schedule = standing.schedule.as_deref();
    vec![
        (standing.bridge.clone(), ""),
        (schedule.unwrap_or("on request only").to_owned(), ""),
        (phase, class),
        (standing.next.map_or_else(|| "-".to_owned(), time), ""),
    ]
}

fn table(
    html: &mut String,
    headings: &[&str],
    rows: impl Iterator<Item = Vec<(String, &'static str)>>,
) {
    html.push_str("<div class=\"wide\"><table>\n<tr>");
    for heading in headings {
        let _ = write!(html, "<th scope=\"col\">{}</th>", escape(heading));
    }
    html.push_str("</tr>\n");
    for row in rows {
        html.push_str("<tr>");
        for (cell, class) in row {
            let class = match class {
                "" => String::new(),
                class => format!(" class=\"{class}\""),
            };
            let _ = write!(html, "<td{class}>{}</td>", escape(&cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></div>\n");
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Text as HTML shows it, in an element or in a quoted attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bridge_is_shown_with_its_turn_and_what_it_does() {
        let now: DateTime<Utc> = "2026-11-22T10:00:30Z".parse().unwrap();
        let mut standing = Standing::new("members", Some("*/15 * * * *".into()));
        standing.phase = Phase::Passing("2026-11-22T10:00:00Z".parse().unwrap());
        standing.next = Some("2026-11-22T10:15:02Z".parse().unwrap());
        let idle = Standing::new("others", None);
        let html = page(&[standing, idle], &Table::default(), now);
        for shown in [
            "<td>members</td><td>*/15 * * * *</td><td class=\"good\">passing, for 30 s</td><td>2026-11-22T10:15:02Z</td>",
            "<td>others</td><td>on request only</td><td class=\"bad\">starting</td><td>-</td>",
            "As of 2026-11-22T10:00:30Z",
        ] {
            assert!(html.contains(shown), "no {shown} in\n{html}");
        }
        assert!(!html.contains("What went wrong"));
        assert_eq!(
            escape("<a b='c' d=\"e\">&"),
            "&lt;a b=&#39;c&#39; d=&quot;e&quot;&gt;&amp;"
        );
    }
}
