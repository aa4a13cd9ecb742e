//! Configuration: what may be written in bridge.yaml, and what it means.
//!
//! It reads and checks files and nothing else: it opens no connection, and it must not know the engine. The YAML
//! reader below is shared with mapping files, so that both speak of problems in the same way.

mod problems;
mod reader;
mod yaml;

pub use problems::{CONFIG_CODES, Codes, DEFAULT_PROBLEMS_MAX, MAPPING_CODES, Problem, Problems};
pub use reader::{MapReader, Value, nearest, parse_duration, parse_size, show_duration, show_size};
pub use yaml::{DEFAULT_YAML_DEPTH_MAX, DEFAULT_YAML_SIZE_MAX, Key, Kind, Mark, Node, parse};
