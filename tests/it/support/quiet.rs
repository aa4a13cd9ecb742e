//! What a run wrote, found out without asking it: the database compared byte for byte, the CRM's log and people.

use contactbridge::simulator::contactlist::Operation;

use super::{Project, Server};

/// The operations that change a contact.
const WRITES: [Operation; 3] = [
    Operation::ContactListUpdateInsert,
    Operation::DeleteByEntityId,
    Operation::DeleteByEmailAddress,
];

impl Project {
    /// Every row of every table as text, the bridge's own tables included.
    pub fn dump(&self) -> Vec<String> {
        let server = self.fresh.as_ref().map(|fresh| fresh.server);
        let mut all = Vec::new();
        for table in self.tables() {
            let mut rows = self.rows(&match server {
                None => format!("SELECT * FROM \"{table}\""),
                // Which transaction wrote each row: writing the same again shows as well.
                Some(Server::Postgres) => format!("SELECT xmin, t.* FROM \"{table}\" AS t"),
                Some(Server::MySql) => format!("SELECT * FROM `{table}`"),
            });
            rows.sort();
            all.extend(rows.iter().map(|row| format!("{table}: {row:?}")));
        }
        all
    }

    /// How many requests that change contacts came since the log was cleared.
    pub fn remote_writes(&self) -> u64 {
        WRITES.iter().map(|kind| self.crm.count(*kind)).sum()
    }

    /// One `sync` that must end with this code and must write nothing on either side; its report.
    #[track_caller]
    pub fn quiet_sync(&self, code: i32) -> serde_json::Value {
        let (rows, people) = (self.dump(), self.crm.people());
        // Rises with every commit of another connection, whatever it wrote.
        let watcher = self.fresh.is_none().then(|| self.database());
        let version = || -> i64 {
            watcher.as_ref().map_or(0, |watcher| {
                watcher
                    .query_row("PRAGMA data_version", [], |row| row.get(0))
                    .expect("a version")
            })
        };
        let before = version();
        self.crm.clear_log();
        let report = self.sync(code);
        assert_eq!(self.remote_writes(), 0, "{report:#}");
        for way in ["pull", "push"] {
            for count in ["created", "updated", "deleted"] {
                assert_eq!(report[way][count], 0, "{way}.{count} in {report:#}");
            }
        }
        assert!(
            people == self.crm.people(),
            "the people changed: {report:#}"
        );
        assert_eq!(rows, self.dump(), "{report:#}");
        assert_eq!(before, version(), "something was committed: {report:#}");
        report
    }

    /// The id of the contact that the CRM shows under this External ID; there must be exactly one that lives.
    #[track_caller]
    pub fn contact(&self, external: &str) -> contactbridge::simulator::contactlist::Person {
        let mut found = self.crm.by_external(external);
        found.retain(|person| !person.deleted);
        assert_eq!(found.len(), 1, "contacts with External ID {external}");
        found.remove(0)
    }
}
