//! Mapping files: from YAML to rules, and from documents to rows and back.
