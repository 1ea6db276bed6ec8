// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package cure

import "testing"

func nobody(t *testing.T) {
	t.Helper()
	t.Skip("only Linux lets a thread become another user")
}
