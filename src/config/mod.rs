//! Configuration: what may be written in bridge.yaml, and what it means.
