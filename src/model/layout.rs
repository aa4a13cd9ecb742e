//! The tables that a mapping describes, as the local side needs them: names, kinds, and how changes are found.

/// The type of a column, as the mapping's `type` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// Text (the default).
    Text,
    /// A whole number.
    Integer,
    /// A number with a fraction; kept as text or numeric, never as binary floating point.
    Decimal,
    /// A boolean; 0 and 1 in SQLite.
    Bool,
    /// A calendar date; ISO 8601 text in SQLite.
    Date,
    /// A point in time; ISO 8601 text in SQLite, UTC where it has no offset.
    DateTime,
}

/// A mapped column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, unquoted.
    pub name: String,
    /// Its type.
    pub kind: ColumnKind,
    /// Newcomers are matched by it, so an index on it is worth having under `create: true`.
    pub matches: bool,
}

/// How local changes are found (`changes:` of a mapping).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeMethod {
    /// Compare every row.
    Scan,
    /// Triggers that we install.
    Journal,
    /// A column with the time of the last change; deletions by comparing keys.
    Column(String),
}

/// A child table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildLayout {
    /// The table's name.
    pub table: String,
    /// The column that holds the parent row's key.
    pub parent: String,
    /// One column per field of the rule.
    pub columns: Vec<Column>,
    /// Indexes into `columns` of those that tell the parts of one parent apart.
    pub key: Vec<usize>,
}

/// A mapped table with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The table's name, unquoted; may be `schema.table`.
    pub table: String,
    /// The column that names a row for good.
    pub key: String,
    /// Index into `columns` of the field that fills the key; `None`: the database generates it.
    pub key_field: Option<usize>,
    /// Make missing tables and columns.
    pub create: bool,
    /// How local changes are found.
    pub changes: ChangeMethod,
    /// The column that marks a row as deleted (a timestamp is written); `None`: rows are really deleted.
    pub deleted: Option<String>,
    /// One column per field, in the mapping's order.
    pub columns: Vec<Column>,
    /// The child tables.
    pub children: Vec<ChildLayout>,
}
