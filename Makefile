# g0: `make help` lists the targets. Everything that a target needs and is
# missing is installed by apt on Debian, with a word about it; elsewhere the
# package is named.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
NEED     = .ci/need

.PHONY: build demo run test test-slow fuzz bench lint fmt generate clean help
.DEFAULT_GOAL := help

build: ## Build bin/g0
	@$(NEED) go
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/g0 ./sidecar

demo: build ## See one attack go all the way, in under a minute
	@bin/g0 demo

run: build ## Run the sidecar with the built-in pipeline
	bin/g0 run

test: ## Run the tests, with the race detector
	@$(NEED) go gcc dockerd containerd runc iptables nft ip shellcheck jq busybox redis-server auditctl
	$(GO) test -race -timeout 8m ./...
	$(GO) test -C deploy/check ./...

test-slow: ## Run the long tests: crash after crash
	@$(NEED) go gcc redis-server
	G0_SLOW=1 $(GO) test -race -count=1 -timeout 30m -run Slow ./...

fuzz: ## Look for new inputs that break a parser, 20 s each; their seeds are in make test
	.ci/fuzz 20s

bench: ## Measure what docs/performance.md says, naming the machine
	@$(NEED) go redis-server iptables nft ip
	@.ci/bench

lint: ## Run gofmt, go vet and staticcheck, and check go.mod
	@$(NEED) go
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./... ./testdata
	$(GO) tool -modfile=tools.mod staticcheck ./...
	$(GO) mod verify
	$(GO) mod tidy -diff
	$(GO) vet -C deploy/check ./...
	$(GO) mod -C deploy/check tidy -diff

fmt: ## Format the Go files
	gofmt -w $$(git ls-files '*.go')

generate: ## Write the reference in docs/ and the golden files anew
	$(GO) generate ./...

clean: ## Remove what was built
	rm -rf bin

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
