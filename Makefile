# What the project can do with itself. `make test` is the one that counts; .ci/run is what a build server runs.

.PHONY: build test lint bench torture simulate

build: ## The binary, tuned: target/release/contactbridge
	cargo build --release --locked

test: ## Everything that proves the program; installs what it needs where it may
	tests/run.sh

lint: ## Form, lints and documentation, without a warning
	cargo fmt --check
	cargo clippy --locked --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --locked --no-deps --document-private-items

bench: ## The measurements that docs/performance.md quotes
	cargo bench --locked

torture: ## Long tests: kills, power cuts, many seeds; may take an hour
	tests/run.sh --torture

simulate: ## A ContactList CRM on loopback, to play with
	cargo run --locked -- simulate contactlist
