# SPDX-License-Identifier: Apache-2.0
# What a newcomer runs: make demo, make test. Each target does its own set-up.

SHELL := /bin/sh
BIN := $(CURDIR)/bin
LAB := $(BIN)/lab
# No C compiler is needed, and what is built does not depend on one.
export CGO_ENABLED := 0
export GOWORK := off
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)

.PHONY: soak image release release-check help demo test e2e experiment lint build bench lab down clean tools runners
help: ## print this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: lab ## bring the lab up, deploy examples/web, then its next version under load
	$(LAB) demo

test: tools runners lab ## unit tests of the product, the lab and the example
	@.ci/test core ./...
	@.ci/test lab -C lab ./...
	@.ci/test example -C examples/web ./...
	@.ci/test runners -C .ci/runners ./circleci ./codebuild
	@.ci/test release -C .ci/release ./...

e2e: tools runners lab ## end-to-end tests: bring the lab up, deploy under load, look for losses
	$(LAB) up
	@TEST_VERBOSE=1 .ci/test e2e -C lab -tags e2e -timeout 75m ./e2e

experiment: lab ## 40 minutes: 60 rollouts under load, others with worse drain timings; results in docs/experiment
	$(LAB) up
	$(LAB) experiment --out docs/experiment

soak: lab ## two hours: good and bad images and kills, counted, under load; goes on where it ended; records in docs/soak
	$(LAB) up
	$(LAB) soak --out docs/soak/fast
	$(LAB) soak --profile real --out docs/soak/real

lint: tools ## gofmt, go vet, staticcheck, go mod tidy and verify, govulncheck
	@.ci/lint

build: ## build bin/outlast
	go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/outlast ./core/cmd/outlast

image: ## build the image into bin/image.oci.tar; IMAGE_ARGS="GO_IMAGE=... BASE_IMAGE=..." names other base images
	@go -C .ci/release run . --version "$(VERSION)" --only-image "$(BIN)/image.oci.tar"

release: tools runners ## make the release VERSION=vX.Y.Z in dist/; see docs/release.md
	@go -C .ci/release run . --version "$(VERSION)"

release-check: tools runners ## make the release VERSION=vX.Y.Z twice, from two checkouts, and compare
	@go -C .ci/release run . --version "$(VERSION)" --check

bench: ## benchmarks
	go test -run '^$$' -bench . -benchmem ./core/...
	go -C lab test -run '^$$' -bench . -benchmem ./...

lab: ## build bin/lab; see bin/lab help
	@go -C lab build -trimpath -o $(LAB) ./cmd/lab

tools: ## build the linters and the test runner into bin/
	@go -C .ci/tools build -trimpath -o $(BIN)/ tool

runners: ## build into bin/ what the tests run outlast in: the CI systems' own runners, Helm, kustomize, kpt
	@go -C .ci/runners build -trimpath -o $(BIN)/ tool
	@go -C .ci/runners build -trimpath -o $(BIN)/circleci-run ./circleci
	@go -C .ci/runners build -trimpath -o $(BIN)/codebuild-run ./codebuild
	@go -C .ci/runners build -trimpath -o $(BIN)/gitlab-run ./gitlab
	@go -C .ci/runners/gitlab-runner build -trimpath -ldflags '-s -w' -o $(BIN)/gitlab-runner .
	@go -C .ci/runners/circleci-cli build -trimpath -o $(BIN)/circleci github.com/CircleCI-Public/circleci-cli
	@go -C .ci/runners/render build -trimpath -ldflags '-s -w' -o $(BIN)/kustomize sigs.k8s.io/kustomize/kustomize/v5
	@go -C .ci/runners/render build -trimpath -ldflags '-s -w' -o $(BIN)/helm-v3 helm.sh/helm/v3/cmd/helm
	@go -C .ci/runners/render build -trimpath -ldflags '-s -w' -o $(BIN)/helm-v4 helm.sh/helm/v4/cmd/helm
	@go -C .ci/runners/kpt build -trimpath -ldflags '-s -w' -o $(BIN)/kpt .
	@.ci/runners/install

down: lab ## take the lab down
	$(LAB) down

clean: down ## take the lab down and forget what it built
	rm -rf $(BIN) "$${XDG_CACHE_HOME:-$$HOME/.cache}/outlast-lab"
