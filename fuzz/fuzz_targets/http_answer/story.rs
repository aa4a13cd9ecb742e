//! An answer whose meaning is known, because it was put together here.

use std::fmt::Write as _;

use arbitrary::Arbitrary;

use crate::service::{RETRIES, RETRY_AFTER_MAX};

#[derive(Arbitrary, Debug)]
pub struct Story {
    status: Status,
    kind: Kind,
    encoding: Encoding,
    retry: Retry,
    framing: Framing,
    body: Body,
    /// Spaces behind the body, so that it may be longer than it may be.
    padding: u16,
    /// Bytes of the end that never come.
    missing: Option<u8>,
    location: bool,
    date: Option<u8>,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Status {
    Ok,
    Created,
    Moved,
    SeeOther,
    Temporary,
    Permanent,
    Bad,
    Unauthorized,
    Forbidden,
    Missing,
    TooMany,
    Failed,
    Unavailable,
    Gateway,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Kind {
    Soap,
    TextXml,
    Quoted,
    Latin,
    Html,
    None,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Encoding {
    None,
    Identity,
    Gzip,
    Several,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Retry {
    None,
    Seconds(u16),
    /// More than anybody waits.
    Long,
    Nonsense,
    Date,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Framing {
    Length,
    /// In chunks of so many bytes and one.
    Chunked(u8),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Body {
    Page,
    WithMark,
    Fault,
    Nothing,
    Empty,
    Junk,
}

const PAGE: &str = "<ContactList_RetrieveResponse xmlns=\"http://tempuri.org/CatalystDeveloperService/CatalystCRMWebservice\"><ContactList_RetrieveResult><ContactRecord><entityId>7</entityId></ContactRecord></ContactList_RetrieveResult><recordStart>0</recordStart><moreRecords>false</moreRecords></ContactList_RetrieveResponse>";

fn envelope(inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><soap:Envelope xmlns:soap=\"http://www.w3.org/2003/05/soap-envelope\"><soap:Body>{inner}</soap:Body></soap:Envelope>"
    )
}

fn fault(text: &str) -> String {
    envelope(&format!(
        "<soap:Fault><soap:Code><soap:Value>soap:Receiver</soap:Value></soap:Code><soap:Reason><soap:Text>{text}</soap:Text></soap:Reason></soap:Fault>"
    ))
}

impl Story {
    fn status(&self) -> u16 {
        match self.status {
            Status::Ok => 200,
            Status::Created => 201,
            Status::Moved => 301,
            Status::SeeOther => 303,
            Status::Temporary => 307,
            Status::Permanent => 308,
            Status::Bad => 400,
            Status::Unauthorized => 401,
            Status::Forbidden => 403,
            Status::Missing => 404,
            Status::TooMany => 429,
            Status::Failed => 500,
            Status::Unavailable => 503,
            Status::Gateway => 502,
        }
    }

    fn body(&self) -> Vec<u8> {
        let text = match self.body {
            Body::Page => envelope(PAGE),
            Body::WithMark => format!("\u{feff}{}", envelope(PAGE)),
            // The service's own sentence quotes what no error may show.
            Body::Fault => fault("ERROR: 'zq-s3cret&lt;&amp;&gt;' of zq-admin@example.org is bad"),
            Body::Nothing => fault("ERROR: No contacts found"),
            Body::Empty => return Vec::new(),
            Body::Junk => "junk".to_owned(),
        };
        let mut body = text.into_bytes();
        body.resize(body.len() + usize::from(self.padding), b' ');
        body
    }

    /// The answer as it goes over the wire.
    pub fn answer(&self) -> Vec<u8> {
        let body = self.body();
        let mut head = format!("HTTP/1.1 {} x\r\n", self.status());
        let mut header = |line: &str| {
            let _ = write!(head, "{line}\r\n");
        };
        match self.kind {
            Kind::Soap => header("Content-Type: application/soap+xml; charset=utf-8"),
            Kind::TextXml => header("content-type: Text/XML"),
            Kind::Quoted => header("Content-Type: text/xml ; charset=\"UTF-8\""),
            Kind::Latin => header("Content-Type: text/xml; charset=iso-8859-1"),
            Kind::Html => header("Content-Type: text/html"),
            Kind::None => {}
        }
        match self.encoding {
            Encoding::None => {}
            Encoding::Identity => header("Content-Encoding: Identity"),
            Encoding::Gzip => header("Content-Encoding: gzip"),
            Encoding::Several => header("Content-Encoding: identity, gzip"),
        }
        match self.retry {
            Retry::None => {}
            Retry::Seconds(seconds) => header(&format!("Retry-After: {seconds}")),
            Retry::Long => header("Retry-After: 4294967295"),
            Retry::Nonsense => header("Retry-After: soon"),
            // A day that lies behind.
            Retry::Date => header("Retry-After: Thu, 01 Jan 1970 00:00:00 GMT"),
        }
        if self.location {
            header("Location: http://127.0.0.1:1/elsewhere");
        }
        match self.date {
            None => {}
            Some(0) => header("Date: yesterday"),
            Some(second) => header(&format!(
                "Date: Sun, 22 Nov 2026 12:00:{:02} GMT",
                second % 60
            )),
        }
        let mut tail = Vec::new();
        match self.framing {
            Framing::Length => {
                header(&format!("Content-Length: {}", body.len()));
                tail.extend_from_slice(&body);
            }
            Framing::Chunked(size) => {
                header("Transfer-Encoding: chunked");
                // Few chunks: each costs a read.
                let size = (usize::from(size) + 1).max(body.len() / 64);
                for piece in body.chunks(size) {
                    tail.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    tail.extend_from_slice(piece);
                    tail.extend_from_slice(b"\r\n");
                }
                tail.extend_from_slice(b"0\r\n\r\n");
            }
        }
        let missing = self.missing(tail.len());
        tail.truncate(tail.len() - missing);
        head.push_str("\r\n");
        [head.into_bytes(), tail].concat()
    }

    fn missing(&self, tail: usize) -> usize {
        self.missing
            .map_or(0, |missing| usize::from(missing) % (tail + 1))
    }

    fn is_cut(&self) -> bool {
        let whole = Self {
            missing: None,
            ..*self
        };
        whole.answer().len() > self.answer().len()
    }

    /// A body of chunks that is a little too long and a little cut: which of both is seen first depends on how it was cut up.
    pub fn is_unclear(&self, max: u64) -> bool {
        let length = self.body().len() as u64;
        self.is_cut() && (max..=max + 512).contains(&length)
    }

    /// The code of the error that a list ends with; `None` where there is a page.
    pub fn code(&self, max: u64) -> Option<&'static str> {
        let status = self.status();
        let length = self.body().len() as u64;
        if (300..400).contains(&status) {
            return Some("E-REDIRECT");
        }
        if matches!(self.encoding, Encoding::Gzip | Encoding::Several) {
            return Some("E-BODY-RATIO");
        }
        if length > max {
            return Some("E-BODY-SIZE");
        }
        if self.is_cut() {
            return Some("E-BODY-TRUNCATED");
        }
        match status {
            401 | 403 => return Some("E-AUTH"),
            429 => return Some("E-RATE"),
            503 => return Some("E-UNAVAILABLE"),
            _ => {}
        }
        let xml = matches!(self.kind, Kind::Soap | Kind::TextXml | Kind::Quoted);
        match self.body {
            _ if !xml => Some("E-SOAP-NOTXML"),
            Body::Empty if status != 200 => Some("E-SOAP-NOTXML"),
            Body::Empty => Some("E-BODY-TRUNCATED"),
            Body::Junk => Some("E-SOAP-NOTXML"),
            // Only a fault may have another status.
            Body::Page | Body::WithMark if status != 200 => Some("E-SOAP-SHAPE"),
            Body::Page | Body::WithMark | Body::Nothing => None,
            Body::Fault => Some("E-SOAP-FAULT"),
        }
    }

    /// How often the list is asked for: again after what may pass, as long as the service may be waited for.
    pub fn requests(&self) -> u64 {
        let code = self.code(crate::MAX_RESPONSE);
        let told = match self.retry {
            Retry::Seconds(seconds) => Some(u64::from(seconds)),
            Retry::Long => Some(u64::from(u32::MAX)),
            Retry::Date => Some(0),
            Retry::None | Retry::Nonsense => None,
        };
        match (code, told) {
            (Some("E-RATE" | "E-UNAVAILABLE"), Some(told)) => {
                let most = RETRY_AFTER_MAX.as_secs();
                1 + (1..=RETRIES)
                    .take_while(|tries| tries * told <= most)
                    .count() as u64
            }
            (Some("E-RATE" | "E-UNAVAILABLE" | "E-BODY-TRUNCATED"), _) => 1 + RETRIES,
            (Some("E-SOAP-NOTXML"), _) if self.status() >= 500 => 1 + RETRIES,
            _ => 1,
        }
    }
}
