//! From what a file says to rules: every path, type and transform held against the kind's vocabulary.
//!
//! All problems are reported together, each with its line and what to do. Nothing here looks at a live database: columns
//! are checked against it by the local side, with the code `E-MAP-COLUMN`.

use crate::config::{Mark, Problems, nearest};
use crate::model::{
    Canonical, ChangeMethod, ChildLayout, Column, ColumnKind, DateStyle, Direction, Error, Layout,
    Result, Scalar, Shape, Vocabulary,
};

use super::convert;
use super::file::{self, ChildSpec, FieldSpec, SourceSpec, Spec, TableSpec};
use super::fingerprint;
use super::normalize::normalized;
use super::path::{ScalarPath, Written};
use super::rules::{Addressing, ChildRule, Field, Generate, Mapping, Role, Rule, Source};
use super::template::Template;
use super::values::Values;

impl Mapping {
    /// Reads a mapping file and holds it against `vocabulary`, and tries its laws with made-up values.
    ///
    /// Everything that is wrong is in one error (exit 2), one problem a line, each with its own code, file and line.
    pub fn load(file_name: &str, text: &str, vocabulary: &Vocabulary) -> Result<Mapping> {
        let problems = Problems::for_mapping(file_name);
        let mapping = file::read(text, &problems).and_then(|spec| {
            let compiler = Compiler {
                vocabulary,
                problems: &problems,
            };
            let mapping = compiler.mapping(file_name, &spec)?;
            if problems.is_empty() {
                for breach in mapping.broken_laws() {
                    let at = spec
                        .fields
                        .get(breach.field)
                        .map_or(spec.at, |field| field.at);
                    let sentence = format!("column \"{}\": {}", breach.column, breach.law);
                    problems.report("E-MAP-LOSSY", at, &sentence);
                }
            }
            Some(mapping)
        });
        problems.settle(mapping)
    }

    /// Whether this mapping serves a bridge of `direction`.
    ///
    /// `E-MAP-IDENTITY` when it pushes and no field can address a contact, `E-MAP-DIRECTION` when the kind can't be written.
    pub fn check_direction(&self, direction: Direction) -> Result<()> {
        if !direction.pushes() {
            return Ok(());
        }
        let Addressing {
            external_id,
            email,
            writable,
            kind,
        } = &self.addressing;
        if !writable {
            return Err(Error::config(
                "E-MAP-DIRECTION",
                format!(
                    "{}: {kind} can only be read; set `direction: pull`",
                    self.file
                ),
            ));
        }
        let keys: Vec<&str> = [*external_id, *email].into_iter().flatten().collect();
        let addressed = self.fields.iter().any(|field| {
            field.role != Role::Plain && field.direction.unwrap_or(direction).pushes()
        });
        if keys.is_empty() || addressed {
            return Ok(());
        }
        Err(Error::config(
            "E-MAP-IDENTITY",
            format!(
                "{}: no field is pushed to {}, so no record could be addressed and each push would make a second one; map one of them, or set `direction: pull`",
                self.file,
                keys.join(" or ")
            ),
        ))
    }
}

struct Compiler<'a> {
    vocabulary: &'a Vocabulary,
    problems: &'a Problems,
}

/// A source that was found, with what its paths allow.
struct Found {
    source: Source,
    label: String,
    /// Why it can't be written; `None` when it can.
    read_only: Option<String>,
    written: Vec<Written>,
}

impl Compiler<'_> {
    fn report(&self, code: &'static str, at: Mark, sentence: impl AsRef<str>) {
        self.problems.report(code, at, sentence.as_ref());
    }

    fn mapping(&self, file: &str, spec: &Spec) -> Option<Mapping> {
        let mut fields = Vec::with_capacity(spec.fields.len());
        let mut rules = Vec::with_capacity(spec.fields.len());
        for field in &spec.fields {
            if let Some((field, rule)) = self.field(field, spec) {
                fields.push(field);
                rules.push(rule);
            }
        }
        let whole = fields.len() == spec.fields.len();
        if whole {
            self.targets(spec, &fields, &rules);
        }
        self.columns(spec);
        let children: Vec<_> = spec
            .children
            .iter()
            .filter_map(|child| self.child(child))
            .collect();
        self.tables(spec);
        if let Some(table) = &spec.table {
            self.generated(spec, table);
        }
        if !self.problems.is_empty() {
            return None;
        }
        let layout = layout(spec.table.as_ref()?, &spec.fields, &children);
        Some(Mapping {
            layout,
            fields,
            children: children.into_iter().map(|(rule, _)| rule).collect(),
            rules,
            dates: self.vocabulary.dates.clone(),
            file: file.to_owned(),
            addressing: Addressing {
                external_id: self.vocabulary.external_id,
                email: self.vocabulary.email,
                writable: self.vocabulary.writable,
                kind: self.vocabulary.kind,
            },
        })
    }

    fn field(&self, spec: &FieldSpec, file: &Spec) -> Option<(Field, Rule)> {
        let found = self.source(spec, &self.vocabulary.shape, true)?;
        let direction = match (&found.read_only, spec.direction) {
            (Some(why), Some(Direction::Push | Direction::Both)) => {
                self.report(
                    "E-MAP-DIRECTION",
                    spec.at,
                    format!(
                        "column \"{}\": {why}, so it can only be `direction: pull`",
                        spec.column
                    ),
                );
                return None;
            }
            (Some(_), _) => Some(Direction::Pull),
            (None, direction) => direction,
        };
        let pushes = direction.is_none_or(Direction::pushes);
        let role = match found.written.as_slice() {
            [path] if Some(path.spelling().as_str()) == self.vocabulary.external_id => {
                Role::ExternalId
            }
            [path] if Some(path.spelling().as_str()) == self.vocabulary.email => Role::Email,
            _ => Role::Plain,
        };
        let mut rule = self.rule(spec, found.source, pushes)?;
        rule.generate = match &spec.generate {
            Some(text) => Some(self.generate(spec, text, file)?),
            None => None,
        };
        let field = Field {
            column: spec.column.clone(),
            label: found.label,
            direction,
            conflicts: spec.conflicts,
            matches: spec.matches,
            role,
            generates: rule.generate.is_some(),
            template: matches!(rule.source, Source::Template(_)),
            fingerprint: fingerprint::of_field(&spec.column, &rule, &self.vocabulary.dates),
        };
        Some((field, rule))
    }

    /// Finds the paths of a field in `shape`; `whole` when that is the shape of a whole record.
    fn source(&self, spec: &FieldSpec, shape: &Shape, whole: bool) -> Option<Found> {
        let texts: Vec<String> = match &spec.source {
            SourceSpec::Path(path) => vec![path.clone()],
            SourceSpec::Paths(paths) => paths.clone(),
            SourceSpec::Template(text) => {
                let template = self.path_problem(spec, "E-MAP-TEMPLATE", Template::parse(text))?;
                template.names().cloned().collect()
            }
        };
        let before = self.problems.count();
        let mut written = Vec::with_capacity(texts.len());
        let mut paths = Vec::with_capacity(texts.len());
        for text in &texts {
            let found = Written::parse(text)
                .and_then(|written| Ok((written.to_scalar(shape)?, written)))
                .map_err(|problem| format!("remote \"{text}\": {problem}"));
            if let Some((path, spelled)) = self.path_problem(spec, "E-MAP-PATH", found) {
                if whole {
                    self.guarded(spec, text, &spelled);
                }
                paths.push(path);
                written.push(spelled);
            }
        }
        if self.problems.count() > before {
            return None;
        }
        let (source, label, read_only) = match &spec.source {
            SourceSpec::Template(text) => {
                let template = Template::parse(text).ok()?;
                let mut next = paths.iter();
                let resolved = template
                    .resolve(|_| next.next().cloned().ok_or_else(String::new))
                    .ok()?;
                let why = "a template is made of several values".to_owned();
                (Source::Template(resolved), text.clone(), Some(why))
            }
            SourceSpec::Paths(texts) => {
                let source = Source::Paths { paths, written: 0 };
                let why = "a list of paths can only be read".to_owned();
                (source, texts.join(" | "), Some(why))
            }
            SourceSpec::Path(text) => {
                let why = written.first().and_then(|path| self.read_only(path, whole));
                let mut all = paths;
                if whole {
                    all.extend(self.mirrored(written.first()));
                }
                let count = if why.is_none() { all.len() } else { 0 };
                let source = Source::Paths {
                    paths: all,
                    written: count,
                };
                (source, text.clone(), why)
            }
        };
        Some(Found {
            source,
            label,
            read_only,
            written,
        })
    }

    fn path_problem<T>(
        &self,
        spec: &FieldSpec,
        code: &'static str,
        result: std::result::Result<T, String>,
    ) -> Option<T> {
        result
            .map_err(|problem| {
                self.report(
                    code,
                    spec.at,
                    format!("column \"{}\": {problem}", spec.column),
                );
            })
            .ok()
    }

    /// The other place of a path that stands for two.
    fn mirrored(&self, path: Option<&Written>) -> Option<ScalarPath> {
        let spelling = path?.spelling();
        let mirror = self
            .vocabulary
            .mirrors
            .iter()
            .find(|mirror| mirror.path == spelling)?;
        Written::parse(mirror.other)
            .and_then(|other| other.to_scalar(&self.vocabulary.shape))
            .ok()
    }

    fn read_only(&self, path: &Written, whole: bool) -> Option<String> {
        if !self.vocabulary.writable {
            return Some(format!("{} can only be read", self.vocabulary.kind));
        }
        if path.ends_in_its_selector() {
            return Some("the value by which an item is chosen can't be changed".to_owned());
        }
        let listed = |paths: &[&str]| {
            whole
                && paths
                    .iter()
                    .any(|text| Written::parse(text).is_ok_and(|other| path.is_under(&other)))
        };
        listed(&self.vocabulary.read_only)
            .then(|| format!("\"{}\" belongs to the service", path.spelling()))
    }

    fn guarded(&self, spec: &FieldSpec, text: &str, path: &Written) {
        let guarded = self
            .vocabulary
            .guarded
            .iter()
            .any(|text| Written::parse(text).is_ok_and(|other| path.is_under(&other)));
        let pushed =
            spec.direction == Some(Direction::Push) && matches!(spec.source, SourceSpec::Path(_));
        if guarded && !pushed {
            self.report(
                "E-MAP-GUARDED",
                spec.at,
                format!(
                    "column \"{}\": \"{text}\" is a credential of the contact and is never copied; take the field out, or make it `direction: push`",
                    spec.column
                ),
            );
        }
    }

    fn rule(&self, spec: &FieldSpec, source: Source, pushes: bool) -> Option<Rule> {
        let style = &self.vocabulary.dates;
        let before = self.problems.count();
        let say = |code: &'static str, sentence: String| {
            self.report(
                code,
                spec.at,
                format!("column \"{}\": {sentence}", spec.column),
            );
        };
        if let Source::Paths { paths, .. } = &source {
            for path in paths {
                if let Some(clash) = clash(spec, path.scalar(), pushes) {
                    say("E-MAP-TYPE", format!("\"{}\" {clash}", path.spelling()));
                }
            }
        }
        if !spec.normalize.is_empty() && spec.kind != ColumnKind::Text {
            say(
                "E-MAP-TYPE",
                "`normalize` is for texts; take it or `type` out".to_owned(),
            );
        }
        let canonical = |text: &str| canonical(spec, text, style, pushes);
        let mut values = None;
        if let Some(pairs) = &spec.values {
            let mut table = Vec::with_capacity(pairs.len());
            for (column, remote) in pairs {
                match canonical(column) {
                    Ok(Some(text)) => table.push((text, remote.clone())),
                    Ok(None) => say(
                        "E-MAP-VALUE",
                        "an empty column value in `values` can't be told from NULL".to_owned(),
                    ),
                    Err(reason) => say(
                        "E-MAP-VALUE",
                        format!("\"{column}\" in `values` is {reason}"),
                    ),
                }
                let scalar = source.scalar();
                if convert::checked_text(scalar, remote, style).ok().as_ref() != Some(remote) {
                    say(
                        "E-MAP-VALUE",
                        format!("\"{remote}\" in `values` does not fit its place in the record"),
                    );
                }
            }
            match Values::new(table) {
                Ok(table) => values = Some(table),
                Err(clashes) => {
                    for clash in clashes {
                        say(
                            "E-MAP-LOSSY",
                            format!("{clash}; `values` must be one to one"),
                        );
                    }
                }
            }
        }
        let mut default = None;
        if let Some(text) = &spec.default {
            match canonical(text) {
                Ok(value) => default = value,
                Err(reason) => say("E-MAP-VALUE", format!("the default is {reason}")),
            }
            if let (Some(table), Some(value)) = (&values, &default)
                && table.to_remote(value).is_err()
            {
                say(
                    "E-MAP-VALUE",
                    "the default is not one of `values`".to_owned(),
                );
            }
        }
        (self.problems.count() == before).then_some(Rule {
            source,
            kind: spec.kind,
            normalize: spec.normalize.clone(),
            values,
            default,
            generate: None,
            pushed: pushes,
        })
    }

    fn generate(&self, spec: &FieldSpec, text: &str, file: &Spec) -> Option<Generate> {
        let say = |sentence: String| {
            self.report(
                "E-MAP-GENERATE",
                spec.at,
                format!("column \"{}\": {sentence}", spec.column),
            );
        };
        if spec.kind != ColumnKind::Text || spec.values.is_some() {
            say(
                "`generate` makes texts, so it goes with `type: text` and without `values`"
                    .to_owned(),
            );
            return None;
        }
        if text == "uuid" {
            return Some(Generate::Uuid);
        }
        if !text.contains("{{") {
            say(
                "`generate` is uuid or a template of columns such as \"M-{{ member_no }}\""
                    .to_owned(),
            );
            return None;
        }
        let resolved = Template::parse(text)
            .map_err(|problem| vec![problem])
            .and_then(|template| {
                template.resolve(|name| {
                    let at = file.fields.iter().position(|field| field.column == *name);
                    match at.and_then(|at| Some((at, file.fields.get(at)?))) {
                        Some((_, other)) if other.generate.is_some() => {
                            Err(format!("\"{name}\" is itself generated"))
                        }
                        Some((at, _)) => Ok(at),
                        None => {
                            let columns = file.fields.iter().map(|field| field.column.as_str());
                            Err(match nearest(name, columns) {
                                Some(near) => format!(
                                    "no field has the column \"{name}\"; did you mean \"{near}\"?"
                                ),
                                None => format!("no field has the column \"{name}\""),
                            })
                        }
                    }
                })
            });
        match resolved {
            Ok(template) => Some(Generate::Template(template)),
            Err(problems) => {
                problems.into_iter().for_each(say);
                None
            }
        }
    }

    /// No two fields may write to one place of the record.
    fn targets(&self, spec: &Spec, fields: &[Field], rules: &[Rule]) {
        let mut seen: Vec<(&ScalarPath, &str)> = Vec::new();
        for ((field, rule), written) in fields.iter().zip(rules).zip(&spec.fields) {
            if !field.direction.is_none_or(Direction::pushes) {
                continue;
            }
            for path in rule.targets() {
                if let Some((_, other)) = seen.iter().find(|(known, _)| *known == path) {
                    self.report(
                        "E-MAP-TARGET",
                        written.at,
                        format!(
                            "two rules write \"{}\": those of the columns \"{other}\" and \"{}\"; give one of them `direction: pull`",
                            path.spelling(),
                            field.column
                        ),
                    );
                }
                seen.push((path, &field.column));
            }
        }
    }

    /// No two rules may fill one column, nor one that serves another end.
    fn columns(&self, spec: &Spec) {
        let same = |a: &str, b: &str| a.to_lowercase() == b.to_lowercase();
        let twice = |fields: &[FieldSpec], table: &str| {
            for (at, field) in fields.iter().enumerate() {
                let earlier = fields.iter().take(at);
                if let Some(other) = earlier
                    .into_iter()
                    .find(|other| same(&other.column, &field.column))
                {
                    self.report(
                        "E-MAP-TARGET",
                        field.at,
                        format!(
                            "two rules fill the column \"{}\" of {table} (the other stands in line {})",
                            field.column, other.at.line
                        ),
                    );
                }
            }
        };
        for child in &spec.children {
            twice(&child.fields, &child.table);
            for field in &child.fields {
                if same(&field.column, &child.parent) {
                    self.report(
                        "E-MAP-TARGET",
                        field.at,
                        format!(
                            "the column \"{}\" holds the parent's key, so no field may fill it",
                            field.column
                        ),
                    );
                }
            }
        }
        let Some(table) = &spec.table else { return };
        twice(&spec.fields, &table.name);
        let mut taken: Vec<(&str, &str)> = Vec::new();
        if let Some(deleted) = &table.deleted {
            taken.push((deleted, "marks deleted rows"));
        }
        if let ChangeMethod::Column(column) = &table.changes {
            taken.push((column, "tells when a row was changed"));
        }
        for (column, what) in &taken {
            if same(column, &table.key) {
                self.report(
                    "E-MAP-TARGET",
                    table.at,
                    format!("the column \"{column}\" is the key and also {what}"),
                );
            }
            for field in spec
                .fields
                .iter()
                .filter(|field| same(column, &field.column))
            {
                self.report(
                    "E-MAP-TARGET",
                    field.at,
                    format!(
                        "the column \"{}\" {what}, so no field may fill it",
                        field.column
                    ),
                );
            }
        }
    }

    /// Each table has one rule.
    fn tables(&self, spec: &Spec) {
        let main = spec.table.iter().map(|table| table.name.as_str());
        let mut seen: Vec<String> = main.map(str::to_lowercase).collect();
        for child in &spec.children {
            let name = child.table.to_lowercase();
            if seen.contains(&name) {
                self.report(
                    "E-MAP-TARGET",
                    child.at,
                    format!("two rules fill the table \"{}\"", child.table),
                );
            }
            seen.push(name);
        }
    }

    /// A key that the database makes can't be a column that only we could fill.
    fn generated(&self, spec: &Spec, table: &TableSpec) {
        let Some(field) = spec
            .fields
            .iter()
            .find(|field| field.column.eq_ignore_ascii_case(&table.key))
        else {
            return;
        };
        if matches!(field.kind, ColumnKind::Bool | ColumnKind::Decimal) {
            self.report(
                "E-MAP-TYPE",
                field.at,
                format!("the column \"{}\" is the key of its table, so it is text, integer, date or datetime", field.column),
            );
        }
    }

    fn child(&self, spec: &ChildSpec) -> Option<(ChildRule, ChildLayout)> {
        let list = Written::parse(&spec.from)
            .and_then(|written| {
                let guarded = self.vocabulary.guarded.iter();
                for text in guarded {
                    if Written::parse(text).is_ok_and(|other| written.is_under(&other)) {
                        return Err("is never copied".to_owned());
                    }
                }
                written.to_list(&self.vocabulary.shape)
            })
            .map_err(|problem| {
                self.report(
                    "E-MAP-PATH",
                    spec.at,
                    format!(
                        "table \"{}\": from \"{}\": {problem}",
                        spec.table, spec.from
                    ),
                );
            })
            .ok()?;
        let before = self.problems.count();
        let mut rules = Vec::with_capacity(spec.fields.len());
        let mut names = Vec::with_capacity(spec.fields.len());
        for field in &spec.fields {
            if field.direction.is_some_and(Direction::pushes) {
                self.report(
                    "E-MAP-DIRECTION",
                    field.at,
                    format!("column \"{}\": child rows are only pulled for this kind; take `direction` out", field.column),
                );
            }
            let Some(found) = self.source(field, &list.item, false) else {
                continue;
            };
            names.push(match &field.source {
                SourceSpec::Path(_) => found.written.first().map(Written::spelling),
                _ => None,
            });
            rules.extend(self.rule(field, found.source, false));
        }
        if self.problems.count() > before {
            return None;
        }
        let mut key = Vec::with_capacity(spec.key.len());
        for name in &spec.key {
            match names
                .iter()
                .position(|known| known.as_deref() == Some(name))
            {
                Some(at) if key.contains(&at) => self.report(
                    "E-MAP-CHILD",
                    spec.at,
                    format!("table \"{}\": \"{name}\" stands twice in `key`", spec.table),
                ),
                Some(at) => key.push(at),
                None => {
                    let known = names.iter().flatten().map(String::as_str);
                    let hint = match nearest(name, known) {
                        Some(near) => format!("; did you mean \"{near}\"?"),
                        None => "; add a field that reads it".to_owned(),
                    };
                    self.report(
                        "E-MAP-CHILD",
                        spec.at,
                        format!("table \"{}\": the key \"{name}\" is not the `remote` of one of its fields{hint}", spec.table),
                    );
                }
            }
        }
        if self.problems.count() > before {
            return None;
        }
        let columns: Vec<String> = spec
            .fields
            .iter()
            .map(|field| field.column.clone())
            .collect();
        let fingerprint = fingerprint::of_child(
            &spec.table,
            &spec.parent,
            &list,
            &key,
            columns
                .iter()
                .map(String::as_str)
                .zip(&rules)
                .collect::<Vec<_>>()
                .into_iter(),
            &self.vocabulary.dates,
        );
        let layout = ChildLayout {
            table: spec.table.clone(),
            parent: spec.parent.clone(),
            columns: spec.fields.iter().map(column).collect(),
            key: key.clone(),
        };
        let rule = ChildRule {
            table: spec.table.clone(),
            label: spec.from.clone(),
            fingerprint,
            list,
            columns,
            rules,
            key,
        };
        Some((rule, layout))
    }
}

/// Why a column of this type can't hold what stands at a path; `None` when it can.
fn clash(spec: &FieldSpec, scalar: Scalar, pushes: bool) -> Option<String> {
    use ColumnKind::{Bool, Date, DateTime, Decimal, Integer, Text};
    let (holds, fitting) = match scalar {
        Scalar::Text => return None,
        Scalar::Integer => ("holds a whole number", "integer"),
        Scalar::Bool => ("holds true or false", "bool"),
        Scalar::DateTime => ("holds a date with its time", "date or datetime"),
    };
    let fine = match (scalar, spec.kind) {
        (Scalar::DateTime, _) if spec.values.is_some() => false,
        (_, _) if spec.values.is_some() => true,
        (Scalar::Integer, Integer | Decimal | Bool) => true,
        (Scalar::Bool, Bool) => true,
        (Scalar::DateTime, Date | DateTime) => true,
        // Read as it stands; written, any text could stand there, and one wrong one has a whole batch refused.
        (_, Text) => !pushes,
        _ => false,
    };
    (!fine).then(|| format!("{holds}; give the field `type: {fitting}`"))
}

/// A column value of the file in canonical form; the error is the reason alone.
fn canonical(
    spec: &FieldSpec,
    text: &str,
    style: &DateStyle,
    pushed: bool,
) -> std::result::Result<Canonical, String> {
    let value =
        convert::from_text(spec.kind, text, style, pushed).map_err(|problem| problem.reason)?;
    match value {
        Some(text) => normalized(&text, &spec.normalize).map_err(|problem| problem.reason),
        None => Ok(None),
    }
}

fn column(spec: &FieldSpec) -> Column {
    Column {
        name: spec.column.clone(),
        kind: spec.kind,
        matches: spec.matches,
    }
}

fn layout(
    table: &TableSpec,
    fields: &[FieldSpec],
    children: &[(ChildRule, ChildLayout)],
) -> Layout {
    Layout {
        table: table.name.clone(),
        key: table.key.clone(),
        key_field: fields
            .iter()
            .position(|field| field.column.to_lowercase() == table.key.to_lowercase()),
        create: table.create,
        changes: table.changes.clone(),
        deleted: table.deleted.clone(),
        columns: fields.iter().map(column).collect(),
        children: children.iter().map(|(_, layout)| layout.clone()).collect(),
    }
}
