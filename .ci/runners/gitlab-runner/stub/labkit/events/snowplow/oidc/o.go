// SPDX-License-Identifier: Apache-2.0

package oidc

type (
	Option func()
	Source struct{}
)

func WithSkipIfUnsupportedCloud(bool) Option { return nil }
func NewSource(...Option) *Source            { return nil }
