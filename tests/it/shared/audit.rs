//! The state server's own log of who had a bridge: triggers write it in the transactions that they watch, and the server's clock
//! dates it. It asks nobody who is judged by it.

use std::collections::BTreeMap;

use crate::support::Fresh;

/// A taking locks the bridge's row against every commit, and a commit holds it to its end; so the numbers of a bridge's entries are in
/// the order in which things were.
const TRIGGERS: &str = "
CREATE TABLE public.audit (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp(),
    backend integer NOT NULL DEFAULT pg_backend_pid(), what text, bridge text, epoch bigint, holder text, pid bigint,
    old_epoch bigint, old_holder text, early_ms double precision);
CREATE FUNCTION public.audit_bridge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF new.epoch <> old.epoch OR new.holder IS DISTINCT FROM old.holder THEN
        INSERT INTO public.audit (what, bridge, epoch, holder, pid, old_epoch, old_holder, early_ms)
        VALUES (CASE WHEN new.holder IS NULL THEN 'back' ELSE 'take' END, new.name, new.epoch, new.holder, new.pid,
            old.epoch, old.holder, extract(epoch FROM old.until - new.since) * 1000);
    END IF;
    IF new.passed IS DISTINCT FROM old.passed THEN
        INSERT INTO public.audit (at, what, bridge) VALUES (new.passed, 'pass', new.name);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON contactbridge.bridge FOR EACH ROW EXECUTE FUNCTION public.audit_bridge();
CREATE FUNCTION public.audit_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO public.audit (what, bridge) SELECT DISTINCT 'commit', s.bridge FROM touched JOIN contactbridge.store s ON s.number = touched.store;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_i AFTER INSERT ON contactbridge.entry REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION public.audit_commit();
CREATE TRIGGER audit_u AFTER UPDATE ON contactbridge.entry REFERENCING NEW TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION public.audit_commit();
CREATE TRIGGER audit_d AFTER DELETE ON contactbridge.entry REFERENCING OLD TABLE AS touched FOR EACH STATEMENT EXECUTE FUNCTION public.audit_commit();
";

/// Begins the log; the tables of the state must stand.
pub fn begin(state: &Fresh) {
    state.run(TRIGGERS);
}

/// What the log says, once it was held against the rules.
#[derive(Debug, Default)]
pub struct Verdict {
    pub takes: u64,
    /// Takes of a lease that had run out.
    pub takeovers: u64,
    /// Commits to the state.
    pub commits: u64,
    pub passes: u64,
    /// What no two workers may ever do, in words.
    pub violations: Vec<String>,
}

/// Who has a bridge, as the log goes on.
#[derive(Default)]
struct Standing {
    epoch: i64,
    /// Random name, process, and the connection that took it.
    holder: Option<(String, String, String)>,
    /// When the last pass ended, in milliseconds, and whose it was.
    passed: Option<(f64, String)>,
}

/// Judges all that happened so far; `between_ms` lie between two passes of different workers at least.
pub fn judge(state: &Fresh, between_ms: f64) -> Verdict {
    let rows = state.rows(
        "SELECT what, bridge, backend, epoch, holder, pid, old_epoch, old_holder, early_ms, extract(epoch FROM at) * 1000, seq FROM public.audit ORDER BY bridge, seq",
    );
    let mut verdict = Verdict::default();
    let mut standings: BTreeMap<String, Standing> = BTreeMap::new();
    for row in rows {
        let text = |at: usize| row[at].clone().unwrap_or_default();
        let number = |at: usize| text(at).parse::<f64>().unwrap_or(f64::NAN);
        let standing = standings.entry(text(1)).or_default();
        let mut wrong = |what: &str| verdict.violations.push(format!("{what}: {row:?}"));
        match text(0).as_str() {
            "take" => {
                verdict.takes += 1;
                let epoch = text(3).parse::<i64>().expect("an epoch");
                if epoch != standing.epoch + 1 || text(6) != standing.epoch.to_string() {
                    wrong("an epoch that is not the next");
                }
                match &standing.holder {
                    None if row[7].is_none() => {}
                    Some((holder, ..)) if *holder == text(7) => {
                        verdict.takeovers += 1;
                        if number(8).is_nan() || number(8) > 0.0 {
                            wrong("taken before the lease had run out");
                        }
                    }
                    _ => wrong("taken from somebody who did not have it"),
                }
                standing.epoch = epoch;
                standing.holder = Some((text(4), text(5), text(2)));
            }
            "back" => {
                let holder = standing.holder.take().map(|(holder, ..)| holder);
                if holder != row[7] || text(3) != standing.epoch.to_string() {
                    wrong("given back by somebody who did not have it");
                }
            }
            "commit" => {
                verdict.commits += 1;
                if standing.holder.as_ref().map(|(.., backend)| backend) != Some(&text(2)) {
                    wrong("a commit by somebody who did not have it");
                }
            }
            _ => {
                verdict.passes += 1;
                let whose = standing.holder.as_ref().map(|(_, pid, _)| pid.clone());
                let Some(whose) = whose else {
                    wrong("a pass of nobody");
                    continue;
                };
                if let Some((before, by)) = standing.passed.replace((number(9), whose.clone()))
                    && by != whose
                    && number(9) - before < between_ms
                {
                    wrong("two passes for one turn");
                }
            }
        }
    }
    verdict
}
