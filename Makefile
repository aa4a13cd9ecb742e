# What the project can do with itself. `make test` is the one that counts; .ci/run is what a build server runs.

.PHONY: build test lint bench torture simulate fuzz mutants evidence crm

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

simulate: ## Play the engine in simulated worlds: SEEDS=n of each (default 2000); SEED=k [WORLD=calm|busy|foul|narrow|kin|rare] [POINT=p] replays one
	@$(if $(SEED),SIM_SEED=$(SEED),SIM_SEEDS=$(or $(SEEDS),2000)) $(if $(POINT),SIM_POINT=$(POINT)) RUST_BACKTRACE=0 cargo test --locked --test sim $(if $(POINT),every_point,$(if $(WORLD),$(WORLD)_worlds,_worlds_)) -- --nocapture --test-threads=1

fuzz: ## Feed each reader of foreign bytes with what breaks readers: SECONDS=n each (default 60); TARGET=name plays one
	SECONDS_EACH=$(or $(SECONDS),60) $(if $(TARGET),TARGET=$(TARGET)) tests/fuzz.sh

mutants: ## Break the pure decisions one place at a time, and see that a unit test notices; FILE=merge tries one module
	$(if $(FILE),FILE=$(FILE)) tests/mutants.sh

evidence: ## Play everything that docs/evidence.md counts, and write it: SEEDS=n of each kind of world (default 3000), LIVES=n of queues and messages (1000)
	tests/evidence.sh $(or $(SEEDS),3000)

crm: ## A ContactList CRM on loopback, to play with
	cargo run --locked -- simulate contactlist
