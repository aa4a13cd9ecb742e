//! The five services (association-anywhere.md §2).
//!
//! The keys of a request's entry in the log: of a queue the number that was answered; of details and force-enqueue the
//! ids that were asked for, as they stand in the request (none at all: every customer); of a purge its number.

use std::str::FromStr;

/// One service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// `GET_QUEUE_CUSTS_XML`: who is in the queue.
    Queue,
    /// `GET_QUEUE_CUSTS_W_REASONS_XML`: the same, with every event.
    QueueWithReasons,
    /// `GET_CUST_INFO_XML`: how customers stand now.
    Details,
    /// `PURGE_QUEUE_XML`: forget the queue up to a number.
    Purge,
    /// `FORCE_ENQUEUE_CUSTS_XML`: put customers into the queue.
    ForceEnqueue,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 5] = [
        Operation::Queue,
        Operation::QueueWithReasons,
        Operation::Details,
        Operation::Purge,
        Operation::ForceEnqueue,
    ];

    /// The name of its procedure.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Queue => "GET_QUEUE_CUSTS_XML",
            Operation::QueueWithReasons => "GET_QUEUE_CUSTS_W_REASONS_XML",
            Operation::Details => "GET_CUST_INFO_XML",
            Operation::Purge => "PURGE_QUEUE_XML",
            Operation::ForceEnqueue => "FORCE_ENQUEUE_CUSTS_XML",
        }
    }

    /// The package that its procedure is in.
    pub fn package(self) -> &'static str {
        match self {
            Operation::Details => "CENSSAWEBSVCLIB",
            _ => "CENCUSTINTEGRATESYNCWEBSVCLIB",
        }
    }

    /// The root of its answer, in camel case. The details' is that of one customer (§5, §6; the others are guesses).
    pub(super) fn root(self) -> &'static str {
        match self {
            Operation::Queue | Operation::QueueWithReasons => "custResponse",
            Operation::Details => "custInfo",
            Operation::Purge => "purgeResponse",
            Operation::ForceEnqueue => "forceEnqueueResponse",
        }
    }

    /// The service of a path's last segment, `PACKAGE.PROCEDURE` in any case (§1).
    pub(super) fn of_segment(segment: &str) -> Option<Self> {
        let (package, procedure) = segment.split_once('.')?;
        Self::ALL.into_iter().find(|operation| {
            operation.package().eq_ignore_ascii_case(package)
                && operation.name().eq_ignore_ascii_case(procedure)
        })
    }
}

impl FromStr for Operation {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL
            .into_iter()
            .find(|operation| operation.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!(
                "unknown operation \"{name}\"; there are {}",
                names.join(", ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_service_in_any_case() {
        for operation in Operation::ALL {
            let segment = format!("{}.{}", operation.package(), operation.name());
            assert_eq!(Operation::of_segment(&segment), Some(operation));
            assert_eq!(
                Operation::of_segment(&segment.to_lowercase()),
                Some(operation)
            );
        }
        // The right procedure in the wrong package.
        assert_eq!(
            Operation::of_segment("CENSSAWEBSVCLIB.PURGE_QUEUE_XML"),
            None
        );
    }
}
