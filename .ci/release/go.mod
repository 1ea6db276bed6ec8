// The program that makes a release: of the standard library only, and no part
// of the product's module.
module github.com/outlast-ci/outlast/.ci/release

go 1.26.0
