// SPDX-License-Identifier: Apache-2.0

//go:build unix

package tree

import (
	"context"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipe: opening a pipe would wait for its writer.
func TestPipe(t *testing.T) {
	dir := writeFiles(t, map[string]string{"kustomization.yaml": "resources: [pipe]\n"})
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(context.Background(), Options{Path: dir}); err == nil || !strings.HasPrefix(err.Error(), "pipe is no regular file") {
		t.Errorf("got %v", err)
	}
}
