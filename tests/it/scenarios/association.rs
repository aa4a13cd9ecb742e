//! A bridge to Association Anywhere: what the association's queue names becomes rows.

use std::collections::BTreeMap;
use std::path::Path;

use contactbridge::simulator::association_anywhere::{Customer, Node, Operation};

use super::database::Database;
use super::stage::{self, Stage, sync};
use super::story::{Files, Orders, Record, WHO, table};
use crate::shadow::{Setup, Shadow};
use crate::support::Binary;

/// What `asked` says where nobody was asked for.
const NOBODY: &str = "nobody";

pub struct Association {
    shadow: Shadow,
    database: Database,
    ids: BTreeMap<String, String>,
}

impl Association {
    pub fn new(orders: &Orders, mapping: &str) -> Self {
        let mut setup = Setup::people(0);
        for line in orders.all("remote") {
            setup = setup.remote(line);
        }
        for line in orders.all("limit") {
            setup = setup.limit(line);
        }
        let shadow = setup.build();
        for line in orders.all("bridge") {
            let limits = "    limits:\n";
            shadow.edit("bridge.yaml", limits, &format!("    {line}\n{limits}"));
        }
        let path = shadow.path("mappings/association-anywhere.yaml");
        std::fs::write(path, mapping).expect("a mapping");
        let database = Database::at(shadow.path("customers.db"));
        Self {
            shadow,
            database,
            ids: BTreeMap::new(),
        }
    }

    /// The users of the association make it look like this. What they do stands in the queue.
    fn edit(&mut self, wanted: &[Record]) {
        for record in wanted {
            let who = &record[WHO];
            let id = record.get("custId").or(self.ids.get(who));
            let id = id.expect("a custId").clone();
            let Some(customer) = self.shadow.crm.customer(&id) else {
                let mut customer = Customer::individual(&id, "", "");
                write(&mut customer, record);
                self.shadow.crm.create(customer);
                self.ids.insert(who.clone(), id);
                continue;
            };
            if record
                .iter()
                .any(|(column, cell)| get(&customer, column) != *cell)
            {
                self.shadow
                    .crm
                    .edit(&id, |customer| write(customer, record));
            }
        }
        for (who, id) in &self.ids {
            if !wanted.iter().any(|record| record[WHO] == *who) {
                self.shadow.crm.delete(id);
            }
        }
    }

    /// The queue says more than users did.
    fn enqueue(&self, rows: &[Record]) {
        for row in rows {
            let (action, table) = (row["action"].clone(), row["table"].clone());
            self.shadow.crm.enqueue(&self.ids[&row[WHO]], action, table);
        }
    }

    /// Everybody whose details were asked for since the log was cleared, as often as that was done.
    fn asked(&self) -> Vec<String> {
        let who = |id: &String| {
            let known = self.ids.iter().find(|(_, known)| *known == id);
            known.map_or(id.clone(), |(who, _)| who.clone())
        };
        let mut asked: Vec<String> = self.shadow.asked().concat().iter().map(who).collect();
        asked.sort();
        asked
    }
}

impl Stage for Association {
    fn binary(&self) -> &Binary {
        &self.shadow.binary
    }

    fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    fn agree(&mut self, folder: &Path) {
        let people = table(&folder.join("agreed.csv")).unwrap_or_default();
        self.edit(&people);
        sync(&self.shadow.binary, "", 0);
        for (who, id) in &self.ids {
            self.database.name_linked(who, id);
        }
        self.quiet(0);
    }

    fn switch(&mut self, text: &str) -> Result<(), String> {
        self.shadow.crm.switch(text)
    }

    fn calm(&mut self) {
        self.shadow.crm.clear_rules();
        self.shadow.crm.with_quirks(|quirks| quirks.poison.clear());
    }

    fn act(&mut self, folder: &Path) {
        if let Some(people) = table(&folder.join("crm.csv")) {
            self.edit(&people);
        }
        if let Some(rows) = table(&folder.join("queue.csv")) {
            self.enqueue(&rows);
        }
    }

    fn ready(&mut self, _orders: &Orders) {
        self.shadow.crm.clear_log();
    }

    fn check(&mut self, orders: &Orders, _files: &Files, title: &str) {
        let queued = orders.number("queue").unwrap_or(0);
        assert_eq!(self.shadow.crm.queue_len(), queued, "{title}: queue");
        if let Some(names) = orders.one("asked") {
            let names = names.split(", ").filter(|name| *name != NOBODY);
            assert_eq!(self.asked(), names.collect::<Vec<_>>(), "{title}: asked");
        }
        if let Some(purges) = orders.number::<u64>("purges") {
            let count = self.shadow.crm.count(Operation::Purge);
            assert_eq!(count, purges, "{title}: purges");
        }
    }

    fn quiet(&mut self, code: i32) {
        stage::quiet(&self.shadow.binary, &self.database, code);
    }
}

fn write(customer: &mut Customer, record: &Record) {
    for (column, cell) in record {
        // What stays as it is must leave no event.
        if get(customer, column) != *cell {
            set(customer, column, cell);
        }
    }
}

/// The section of a column, the name of its items, and their element that the column shows.
fn place(column: &str) -> (&str, &str, &str) {
    match column {
        "city" => ("addresses", "address", "city"),
        "email" => ("emails", "email", "address"),
        "phones" => ("phones", "phone", "number"),
        other => panic!("the association has no {other}"),
    }
}

/// Writes a cell of a story to a customer; several values of one cell have ` + ` between them.
fn set(customer: &mut Customer, column: &str, cell: &str) {
    match column {
        WHO | "custId" => {}
        "firstName" | "lastName" => customer.name.set(column, cell),
        _ => {
            let (section, item, element) = place(column);
            let values = cell.split(" + ").filter(|value| !value.is_empty());
            let items =
                values.map(|value| Node::record(item, &[("best", "true"), (element, value)]));
            customer.section_mut(section).children = items.collect();
        }
    }
}

/// What a cell of a story must say of a customer.
fn get(customer: &Customer, column: &str) -> String {
    match column {
        "firstName" | "lastName" => customer.name.get(column).unwrap_or_default().to_owned(),
        "custId" => customer.id.clone(),
        WHO => String::new(),
        _ => {
            let (section, _, element) = place(column);
            let items = customer
                .section(section)
                .map_or(&[][..], |section| &section.children);
            let values = items.iter().filter_map(|item| item.get(element));
            values.collect::<Vec<_>>().join(" + ")
        }
    }
}
