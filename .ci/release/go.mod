// What makes a release: the standard library only.
module github.com/outlast-ci/outlast/.ci/release

go 1.26.0
