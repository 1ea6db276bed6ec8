# SPDX-License-Identifier: Apache-2.0
#
# The image that every CI can run outlast from: outlast itself, git, a shell,
# certificates, and BuildKit with runc for builds without a daemon.
#
# Every base image is an argument, so that a mirror can serve it:
#
#   docker build --build-arg GO_IMAGE=mirror.example.com/golang:1.26 ... .
#
# PROGRAM=prebuilt takes bin/outlast of the context instead of compiling it.

ARG GO_IMAGE=golang:1.26-bookworm
ARG BUILDKIT_IMAGE=moby/buildkit:v0.34.2
# Needs sh, git and certificates, and nothing else.
ARG BASE_IMAGE=buildpack-deps:bookworm-scm
ARG PROGRAM=compiled

FROM ${GO_IMAGE} AS compiled
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY core core
ARG VERSION=unknown
RUN mkdir /out && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -buildid= -X main.version=$VERSION" -o /out/outlast ./core/cmd/outlast

FROM scratch AS prebuilt
COPY bin/outlast /out/outlast

FROM ${PROGRAM} AS program

FROM ${BUILDKIT_IMAGE} AS buildkit

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Outlast" \
      org.opencontainers.image.description="Ships a container to Kubernetes behind an AWS load balancer without losing a request" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/outlast-ci/outlast"
COPY --from=buildkit /usr/bin/buildctl /usr/bin/buildkitd /usr/bin/buildkit-runc /usr/local/bin/
COPY --from=program /out/outlast /usr/local/bin/outlast
# A CI mounts its checkout with an owner of its own, which git would refuse.
ENV GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*
# Root, since a CI mounts checkouts that only root may write to, and a build without a
# daemon needs it. All but such builds works as any user: --user 65532. The tests
# deploy as that one.
USER root
CMD ["outlast", "help"]
