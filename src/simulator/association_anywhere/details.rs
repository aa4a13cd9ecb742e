//! Details of a customer: what is asked for, and how it is written (association-anywhere.md §6).

use chrono::NaiveDate;

use super::customer::{Customer, Node};
use super::read::Element;
use super::switches::Poison;
use super::write::{BAD_BYTE, Style};

/// What a request for details asks for.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) ids: Vec<String>,
    pub(super) bulk: bool,
    codes: bool,
    /// By plain name.
    sections: Vec<(String, Flags)>,
}

/// What else than the usual is wanted of a section.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    inactive: bool,
    slots: bool,
    expired: bool,
    bad: bool,
    all: bool,
}

impl Asked {
    pub(super) fn of(root: &Element) -> Self {
        let details = root.all("details").next();
        let sections = details.map(|details| {
            let wanted = details
                .children
                .iter()
                .filter(|section| section.flag("include"));
            wanted.map(|section| {
                let flags = Flags {
                    inactive: section.flag("includeinactive"),
                    slots: section.flag("includeinactiveslots"),
                    expired: section.flag("includeexpired"),
                    bad: section.flag("includebad"),
                    all: section.flag("includeall"),
                };
                (section.name.clone(), flags)
            })
        });
        Self {
            ids: root
                .all("custid")
                .map(|id| id.text.trim().to_owned())
                .collect(),
            bulk: root.text_of(&["bulkrequest"]).is_some_and(super::read::yes),
            codes: details.is_some_and(|details| details.flag("includecodevalues")),
            sections: sections.into_iter().flatten().collect(),
        }
    }

    fn flags(&self, section: &str) -> Option<Flags> {
        let plain = super::read::plain(section);
        let found = self.sections.iter().find(|(name, _)| *name == plain);
        found.map(|(_, flags)| *flags)
    }
}

/// How customers are written.
pub(super) struct Writing<'a> {
    pub(super) asked: &'a Asked,
    pub(super) style: Style,
    pub(super) status: bool,
    /// Whether sections that were not asked for are written too.
    pub(super) unasked: bool,
    /// By which what has ended is told.
    pub(super) today: NaiveDate,
}

impl Writing<'_> {
    /// Writes a customer's `custInfo`, spoiled or not.
    pub(super) fn write(&self, customer: &Customer, poison: Option<Poison>, out: &mut String) {
        let style = self.style;
        style.open("custInfo", out);
        if poison == Some(Poison::Inside) {
            self.status("FAILURE", out);
            style.leaf("custId", &customer.id, out);
            style.leaf("error", "ORA-01403: no data found", out);
            style.close("custInfo", out);
            return;
        }
        self.status("SUCCESS", out);
        style.leaf("custId", &customer.id, out);
        style.leaf("custType", &customer.cust_type, out);
        style.leaf("loginId", &customer.login_id, out);
        style.node(&customer.name, out);
        match poison {
            Some(Poison::Malformed) => out.push_str("<aliases><alias>x</aliases>"),
            Some(Poison::Undecodable) => {
                style.open("tradeName", out);
                out.push('x');
                out.push(BAD_BYTE);
                style.close("tradeName", out);
            }
            Some(Poison::Oversize(bytes)) => {
                style.open("bio", out);
                out.extend(std::iter::repeat_n('x', bytes));
                style.close("bio", out);
            }
            _ => {}
        }
        for section in &customer.sections {
            match self.asked.flags(&section.name) {
                Some(flags) => style.node(&self.shown(section, flags), out),
                None if self.unasked => style.node(&self.shown(section, Flags::default()), out),
                None => {}
            }
        }
        style.close("custInfo", out);
    }

    fn status(&self, word: &str, out: &mut String) {
        if self.status {
            self.style.leaf("status", word, out);
        }
    }

    /// A section without the items and fields that were not asked for.
    fn shown(&self, section: &Node, flags: Flags) -> Node {
        let mut shown = section.clone();
        shown
            .children
            .retain(|item| self.wanted(&section.name, item, flags));
        for item in &mut shown.children {
            item.children.retain(|field| {
                // Companions of codes come with includeCodeValues; slots when asked for.
                (self.asked.codes || !field.name.ends_with("Descr"))
                    && (flags.slots || field.name != "slots")
            });
        }
        shown
    }

    fn wanted(&self, section: &str, item: &Node, flags: Flags) -> bool {
        let says = |field: &str, word: &str| item.get(field) == Some(word);
        match section {
            "addresses" | "emails" | "websites" => flags.bad || !says("badAddress", "true"),
            "jobs" | "committeePositions" => flags.inactive || !self.ended(item, "endDate"),
            "memberships" => {
                flags.inactive || item.get("statusCode").is_none_or(|code| code == "ACTIVE")
            }
            "subscriptions" => {
                flags.expired
                    || !(says("statusCode", "EXPIRED") || self.ended(item, "expirationDate"))
            }
            // What "all" adds is a guess: those without any value.
            "customerAttributes" | "custDimAttrs" | "employmentAttributes" => {
                let value = |field: &&str| item.get(field).is_some_and(|text| !text.is_empty());
                flags.all || ["code", "char", "number", "date"].iter().any(value)
            }
            _ => true,
        }
    }

    /// Whether the date of this field is past; a date that can't be read isn't.
    fn ended(&self, item: &Node, field: &str) -> bool {
        let date = item.get(field).unwrap_or_default();
        ["%m/%d/%Y", "%Y-%m-%d"]
            .iter()
            .find_map(|form| NaiveDate::parse_from_str(date, form).ok())
            .is_some_and(|date| date < self.today)
    }
}
