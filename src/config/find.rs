//! Which bridge.yaml is meant, and reading a text file within bounds.
//!
//! It must not interpret what it reads.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::Problems;
use super::fill::Environment;
use super::yaml::{DEFAULT_YAML_SIZE_MAX, TOO_LARGE};

/// The file that is read when none is named.
pub const DEFAULT_FILE: &str = "bridge.yaml";

/// The variable that names the file.
pub const FILE_VARIABLE: &str = "CONTACTBRIDGE_CONFIG";

/// Which file is meant, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What to say when it is not there.
    hint: &'static str,
}

impl Found {
    /// A file that is named for another reason, such as a mapping by bridge.yaml.
    pub fn named(path: impl Into<PathBuf>, hint: &'static str) -> Self {
        Self {
            path: path.into(),
            hint,
        }
    }
}

/// `--config`, else the variable, else `./bridge.yaml`. An empty variable counts as not set.
pub fn find(option: Option<&Path>, environment: Environment<'_>) -> Found {
    if let Some(path) = option {
        return Found::named(path, "(named by --config)");
    }
    match environment(FILE_VARIABLE).filter(|path| !path.is_empty()) {
        Some(path) => Found::named(path, "(named by CONTACTBRIDGE_CONFIG)"),
        None => Found::named(
            DEFAULT_FILE,
            "(looked for ./bridge.yaml). Give --config, or let `contactbridge init` write one.",
        ),
    }
}

/// The text of a file of people's settings; what is wrong goes to `problems`, with the codes for reading and size.
pub fn read(found: &Found, problems: &Problems) -> Option<String> {
    let code = problems.codes().read;
    let fail = |error: &std::io::Error| {
        let sentence = match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => format!("not found {}", found.hint),
            ErrorKind::IsADirectory => "is a directory; name the file in it".to_owned(),
            ErrorKind::PermissionDenied => {
                "cannot be read: permission denied; run as its owner, or let the file be read by this user".to_owned()
            }
            kind => format!("cannot be read: {kind}"),
        };
        problems.report_file(code, &sentence);
    };
    let limit = DEFAULT_YAML_SIZE_MAX as u64 + 1;
    let mut bytes = Vec::new();
    let outcome = match std::fs::metadata(&found.path) {
        // Opening a directory works on some systems, and reading it says little.
        Ok(about) if about.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(_) => File::open(&found.path).and_then(|file| file.take(limit).read_to_end(&mut bytes)),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        fail(&error);
        return None;
    }
    if bytes.len() > DEFAULT_YAML_SIZE_MAX {
        problems.report_file(problems.codes().yaml, TOO_LARGE);
        return None;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) => {
            let valid = error.as_bytes().get(..error.utf8_error().valid_up_to());
            let line = valid.map_or(0, |valid| {
                valid.iter().filter(|byte| **byte == b'\n').count()
            }) + 1;
            problems.report_file(
                code,
                &format!("is not UTF-8 text (line {line}); save it as UTF-8"),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    fn read_path(path: &Path) -> (Option<String>, String) {
        let problems = Problems::for_config("bridge.yaml");
        let text = read(&find(Some(path), &nothing), &problems);
        (text, problems.sentences().join("\n"))
    }

    #[test]
    fn the_option_goes_before_the_variable_and_that_before_the_default() {
        let set = |name: &str| (name == FILE_VARIABLE).then(|| "b.yaml".to_owned());
        let empty = |name: &str| (name == FILE_VARIABLE).then(String::new);
        assert_eq!(
            find(Some(Path::new("a.yaml")), &set).path,
            Path::new("a.yaml")
        );
        assert_eq!(find(None, &set).path, Path::new("b.yaml"));
        assert_eq!(find(None, &empty).path, Path::new("bridge.yaml"));
        assert_eq!(find(None, &nothing).path, Path::new("bridge.yaml"));
    }

    #[test]
    fn a_missing_file_says_where_it_was_looked_for() {
        let problems = Problems::for_config("bridge.yaml");
        let directory = tempfile::tempdir().unwrap();
        let mut found = find(None, &nothing);
        found.path = directory.path().join(found.path);
        assert!(read(&found, &problems).is_none());
        let said = problems.sentences().join("\n");
        assert!(
            said.starts_with(
                "E-CFG-READ bridge.yaml: not found (looked for ./bridge.yaml). Give --config"
            ),
            "{said}"
        );
        let said = read_path(&directory.path().join("none")).1;
        assert_eq!(
            said,
            "E-CFG-READ bridge.yaml: not found (named by --config)"
        );
    }

    #[test]
    fn what_is_no_text_file_of_ours_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            read_path(directory.path()).1,
            "E-CFG-READ bridge.yaml: is a directory; name the file in it"
        );
        let file = directory.path().join("x");
        std::fs::write(&file, b"a: 1\nb: \xff\n").unwrap();
        assert_eq!(
            read_path(&file).1,
            "E-CFG-READ bridge.yaml: is not UTF-8 text (line 2); save it as UTF-8"
        );
        std::fs::write(&file, vec![b'#'; 5 << 20]).unwrap();
        assert_eq!(
            read_path(&file).1,
            "E-CFG-YAML bridge.yaml: is larger than 1 MiB; is it the right file?"
        );
        std::fs::write(&file, "a: 1\n").unwrap();
        assert_eq!(read_path(&file).0.as_deref(), Some("a: 1\n"));
    }

    #[cfg(unix)]
    #[test]
    fn an_unreadable_file_says_so() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x");
        std::fs::write(&file, "a: 1\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
        let (text, said) = read_path(&file);
        // The administrator may read everything, whatever the mode says.
        if text.is_none() {
            assert!(
                said.starts_with("E-CFG-READ bridge.yaml: cannot be read: permission denied"),
                "{said}"
            );
        }
        #[cfg(target_os = "linux")]
        {
            let (text, said) = read_path(Path::new("/proc/self/mem"));
            assert!(text.is_none());
            assert!(
                said.starts_with("E-CFG-READ bridge.yaml: cannot be read"),
                "{said}"
            );
        }
    }
}
